"""Budgets for reasoning: it ends when they are spent, and the answer goes on as it would behind the same text.

usage: reasoning.py GYR
"""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
CHAT, TEXT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/messages", "/v1/responses"
OPEN, CLOSE = "<think>", "</think>"


def thinking(text, **more):
    """A chat whose prompt ends with the mark that begins reasoning."""
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": OPEN}],
            "continue_final_message": True, "return_token_ids": True, "ignore_eos": True, **more}


def ids_of(s, text):
    return s.ask("/tokenize", {"prompt": text})["tokens"]


def spent_it_ends():
    problems = []
    with Server(GYR) as s:
        close = ids_of(s, CLOSE)
        for budget in (0, 1, 10, 37):
            asked = thinking("Write a poem about the sea", thinking_token_budget=budget, max_tokens=60, seed=budget)
            got = s.ask(CHAT, asked)
            ids, message = got["choices"][0]["token_ids"], got["choices"][0]["message"]
            free = s.ask(CHAT, {k: v for k, v in asked.items() if k != "thinking_token_budget"})
            before = free["choices"][0]["token_ids"]
            at = len(next(ids[:k] for k in range(len(ids)) if ids[k:k + len(close)] == close))
            if not budget <= at <= budget + 3 or ids[:at] != before[:at] or len(ids) != 60:
                problems.append(f"{budget}: {ids} closes at {at}; without, {before}")
            rest = s.ask(TEXT, {"prompt": got["prompt_token_ids"] + ids[:at + len(close)], "max_tokens": 60 - at - len(close),
                                "return_token_ids": True, "ignore_eos": True, "seed": budget})["choices"][0]["token_ids"]
            if rest != ids[at + len(close):]:
                problems.append(f"{budget}: goes on with {ids[at + len(close):]}, not {rest}")
            said = "".join(message.get("reasoning_content") or "")
            if not message["content"] or CLOSE in message["content"] + said or (said and not at) or (at > 3 and not said) or \
               free["choices"][0]["message"]["content"]:
                problems.append(f"{budget}: {message}; without, {free['choices'][0]['message']}")
            events = s.events(CHAT, asked)
            parts = [e["choices"][0]["delta"] for _, e in events if e != "[DONE]" and e["choices"]]
            if "".join(p.get("content") or "" for p in parts) != message["content"] or \
               "".join(p.get("reasoning_content") or "" for p in parts) != said:
                problems.append(f"{budget}: streamed {parts}")
    return problems


def who_ends_earlier_is_not_cut():
    """A grammar that writes reasoning itself: shorter than the budget, and one that must be cut."""
    problems = []
    with Server(GYR) as s:
        for words, budget, want in (("abc", 50, ("abc", "answer")), ("(b|c)+", 6, None), ("é+", 5, None)):
            got = s.ask(CHAT, chat("a", guided_regex=f"{OPEN}{words}{CLOSE}answer", thinking_token_budget=budget,
                                   max_tokens=200, return_token_ids=True, logit_bias={str(i): -30 for i in ids_of(s, CLOSE)}))
            message = got["choices"][0]["message"]
            said = message.get("reasoning_content") or "", message["content"]
            if said[1] != "answer" or (want and said != want) or (not want and not 1 <= len(said[0]) <= 24) or \
               "\ufffd" in said[0]:
                problems.append(f"{words}: {message}")
        # what only spells the mark in the midst of an answer begins nothing
        got = s.ask(CHAT, chat("a", guided_regex=f"no {OPEN}(x|y){{30}}", thinking_token_budget=2, max_tokens=200))
        text = got["choices"][0]["message"]["content"]
        if CLOSE in text or len(text) != len("no " + OPEN) + 30:
            problems.append(f"{got}")
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"enum": ["yes", "no"]}}}
        got = s.ask(CHAT, thinking("Is the sea deep?", thinking_token_budget=9, max_tokens=80, response_format=form,
                                   ignore_eos=False))
        message = got["choices"][0]["message"]
        if message["content"] not in ('"yes"', '"no"') or not message["reasoning_content"]:
            problems.append(f"a schema behind it: {message}")
        tool = {"type": "function", "function": {"name": "look", "parameters": {
            "type": "object", "properties": {"at": {"enum": ["sea", "sky"]}}, "required": ["at"], "additionalProperties": False}}}
        got = s.ask(CHAT, thinking("Look", thinking_token_budget=9, max_tokens=200, tools=[tool], tool_choice="required",
                                   parallel_tool_calls=False, ignore_eos=False, n=8))["choices"]
        whole = [c for c in got if c["finish_reason"] == "tool_calls"]
        if not whole or not all(c["message"]["reasoning_content"] and c["message"]["tool_calls"] for c in got) or not all(
                json.loads(c["message"]["tool_calls"][0]["function"]["arguments"])["at"] in ("sea", "sky") for c in whole):
            problems.append(f"a call behind it: {got}")
    return problems


def each_api_has_its_name_for_it():
    problems = []
    with Server(GYR) as s:
        asked = thinking("Write a poem about snow", thinking_token_budget=8, max_tokens=40)
        message = s.ask(CHAT, asked)["choices"][0]["message"]
        want = message["reasoning_content"], message["content"]
        made = s.ask(MESSAGES, {"messages": asked["messages"], "max_tokens": 40, "ignore_eos": True,
                                "thinking": {"type": "enabled", "budget_tokens": 8}})["content"]
        if [b.get("thinking") or b.get("text") for b in made] != list(want):
            problems.append(f"{made} is not {want}")
        free = s.ask(RESPONSES, {"input": "Write a poem about snow", "max_output_tokens": 20, "reasoning": {"max_tokens": 3}})
        plain = s.ask(RESPONSES, {"input": "Write a poem about snow", "max_output_tokens": 20})
        if free["output"][0]["content"] != plain["output"][0]["content"]:
            problems.append("a budget changes an answer without reasoning")
        refused = [(CHAT, chat("a", thinking_token_budget=-1), "thinking_token_budget: takes whole numbers"),
                   (CHAT, chat("a", thinking_token_budget=1.5), "thinking_token_budget: takes whole numbers"),
                   (CHAT, chat("a", thinking_token_budget=5, receipt=True), "receipt: not together with a budget"),
                   (MESSAGES, chat("a", max_tokens=1, thinking={"type": "enabled", "budget_tokens": "x"}),
                    "thinking.budget_tokens: takes whole numbers"),
                   (RESPONSES, {"input": "a", "reasoning": {"max_tokens": -5}}, "reasoning.max_tokens: takes whole numbers")]
        for path, body, words in refused:
            status, _, content = s.send("POST", path, body)
            if status != 400 or words not in json.loads(content)["error"]["message"]:
                problems.append(f"{path} {body}: {status} {content[:200]!r}")
    return problems


if __name__ == "__main__":
    run(spent_it_ends, who_ends_earlier_is_not_cut, each_api_has_its_name_for_it)
