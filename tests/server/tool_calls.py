"""Calls of tools over HTTP, of a model whose answers are scripted.

usage: tool_calls.py SERVE_STAND_IN
"""
import json
import os
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat  # noqa: E402

CALL = '<tool_call>\n{"name": "look", "arguments": {"at": "%s"}}\n</tool_call>'
ANSWER = "I will look.\n" + CALL % "sea" + "\n" + CALL % "sky"
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {
    "type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}}}]


def scripted(folder):
    path = os.path.join(folder, "script.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump([{"say": ANSWER}] * 8, f)
    return Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--script", path, verb=[])


def streamed(events):
    """(text, arguments of the calls, finish reason) of a stream."""
    text, calls, finish = "", [], None
    for _, e in events:
        choice = e["choices"][0] if e != "[DONE]" and e["choices"] else {"delta": {}}
        text += choice["delta"].get("content") or ""
        for c in choice["delta"].get("tool_calls", []):
            if "id" in c:
                calls.append("")
            calls[c["index"]] += c["function"]["arguments"]
        finish = choice.get("finish_reason") or finish
    return text, calls, finish


def whole(reply):
    choice = reply["choices"][0]
    calls = [c["function"]["arguments"] for c in choice["message"].get("tool_calls", [])]
    return choice["message"]["content"], calls, choice["finish_reason"]


def calls_come_streamed_as_whole():
    want = ("I will look.", ['{"at": "sea"}', '{"at": "sky"}'], "tool_calls")
    with tempfile.TemporaryDirectory() as folder, scripted(folder) as s:
        got = [whole(s.ask("/v1/chat/completions", chat("Look", tools=TOOLS))),
               streamed(s.events("/v1/chat/completions", chat("Look", tools=TOOLS)))]
    return [f"{g} is not {want}" for g in got if g != want]


def one_call_is_enough_where_it_was_said():
    want = ("I will look.", ['{"at": "sea"}'], "tool_calls")
    asked = chat("Look", tools=TOOLS, parallel_tool_calls=False)
    with tempfile.TemporaryDirectory() as folder, scripted(folder) as s:
        got = [whole(s.ask("/v1/chat/completions", asked)), streamed(s.events("/v1/chat/completions", asked))]
        tool = {"name": "look", "input_schema": TOOLS[0]["function"]["parameters"]}
        message = s.ask("/v1/messages", chat("Look", max_tokens=400, tools=[tool],
                                             tool_choice={"type": "auto", "disable_parallel_tool_use": True}))
    problems = [f"{g} is not {want}" for g in got if g != want]
    used = [b["input"] for b in message["content"] if b["type"] == "tool_use"]
    return problems + [f"{message}"] * (used != [{"at": "sea"}] or message["stop_reason"] != "tool_use")


def what_a_model_wrote_goes_back_as_it_was():
    """The next prompt begins with this one and the bytes of the call, however they are spaced."""
    written = ['{"at":"sea"}', '{ "at" :  "s\\u0001ea", "n": [1,2 , 1.50e1] }', '{"at": "Grüße \\/ \\"x\\""}']
    problems = []
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script.json")
        says = ['<tool_call>\n{"name": "look", "arguments": %s}\n</tool_call>' % w for w in written]
        with open(path, "w", encoding="utf-8") as f:
            json.dump([{"say": say} for say in says for _ in range(2)], f)
        with Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--script", path, verb=[]) as s:
            for say, args in zip(says, written):
                asked = chat("Look", tools=tools, return_token_ids=True)
                first = s.ask("/v1/chat/completions", asked)
                message = first["choices"][0]["message"]
                back = asked["messages"] + [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "a"}]
                prompt = [s.ask("/detokenize", {"tokens": ids})["content"] for ids in (
                    first["prompt_token_ids"], s.ask("/v1/chat/completions", dict(asked, messages=back))["prompt_token_ids"])]
                if message["tool_calls"][0]["function"]["arguments"] != args or not prompt[1].startswith(prompt[0] + say):
                    problems.append(f"{prompt[1]!r} does not begin with {prompt[0] + say!r}")
            # what other programs wrote is written as templates do
            for args, want in (('{"at":"\\u00e9"}', '{"at": "é"}'), ('{"at":1', '"{\\"at\\":1"')):
                call = {"id": "x", "type": "function", "function": {"name": "look", "arguments": args}}
                made = s.ask("/apply-template", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": [call]}],
                                                 "tools": tools})["prompt"]
                if '"arguments": ' + want not in made:
                    problems.append(f"{args}: {made!r}")
    return problems


def tokens_of_chat(s, call, tools):
    """How many the prompt has if a chat sends the call as it is."""
    asked = chat("Look", tools=tools, return_token_ids=True, max_tokens=1)
    asked["messages"] += [{"role": "assistant", "tool_calls": [{"id": "x", "type": "function", "function": call}]},
                          {"role": "tool", "tool_call_id": "x", "content": "a"}]
    return len(s.ask("/v1/chat/completions", asked)["prompt_token_ids"])


def what_comes_back_as_an_object_is_written_as_it_was():
    """Messages and Ollama's chats: clients get arguments as an object, and send it back in their own words."""
    problems = []
    schema = {"type": "object"}
    chats = [{"type": "function", "function": {"name": "look", "description": "", "parameters": schema}}]
    for written in ('{"at":"sea",   "by":[1,2,3]}', '{ "b" :  "s\\u00e9a", "a": [1,2 , 1.50e1, {}] }', '{"b": 1,  "a": "Grüße \\/ \\"x\\""}'):
        say = '<tool_call>\n{"name": "look", "arguments": %s}\n</tool_call>' % written
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "script.json")
            with open(path, "w", encoding="utf-8") as f:
                json.dump([{"say": say}] * 20, f)
            with Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--script", path, verb=[]) as s:
                asked = chat("Look", max_tokens=400, tools=[{"name": "look", "input_schema": schema}])
                used = s.ask("/v1/messages", asked)["content"][-1]
                call = s.ask("/api/chat", chat("Look", tools=chats, stream=False))["message"]["tool_calls"][0]

                def messages(sent, used=used, s=s, asked=asked, **more):
                    back = [{"role": "assistant", "content": [dict(used, input=sent)]},
                            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": used["id"], "content": "a"}]}]
                    return s.ask("/v1/messages/count_tokens", dict(asked, messages=asked["messages"] + back, **more))["input_tokens"]

                def ollama(sent, s=s, **more):
                    back = [{"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "look", "arguments": sent}}]},
                            {"role": "tool", "content": "a"}]
                    asked = chat("Look", tools=chats, stream=False, **more)
                    return s.ask("/api/chat", dict(asked, messages=asked["messages"] + back))["prompt_eval_count"]

                value = json.loads(written)
                usual = tokens_of_chat(s, {"name": "look", "arguments": json.dumps(value, ensure_ascii=False)}, chats)
                chat_call = {"name": "look", "arguments": written}
                exact = tokens_of_chat(s, chat_call, chats)
                turned = dict(sorted(json.loads(json.dumps(value).replace("15.0", "15")).items()))  # JavaScript, Go
                for way, got in (("messages", used["input"]), ("ollama", call["function"]["arguments"])):
                    ask = {"messages": messages, "ollama": ollama}[way]
                    counts = [ask(value), ask(turned), ask(value, cache_salt="x")]
                    if got != value or counts[0] == usual or counts[:2] != [counts[0]] * 2 or \
                            ("\\u00e9" not in written and counts[0] != exact) or counts[2] == counts[0]:
                        problems.append(f"{way}: {written}: {got}: {counts}, usual {usual}, exact {exact}")
    return problems


def a_call_that_is_cut_leaves_the_reply_whole():
    """Messages and Ollama's chats have arguments as objects, wherever max_tokens ends the answer."""
    problems, seen = [], set()
    sea, sky = {"at": "sea"}, {"at": "sky"}
    lengths = range(25, 125, 4)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump([{"say": ANSWER}] * (3 * len(lengths)), f)
        with Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--script", path, verb=[]) as s:
            for n in lengths:
                reply = s.ask("/v1/messages", chat("Look", max_tokens=n, tools=[
                    {"name": "look", "input_schema": TOOLS[0]["function"]["parameters"]}]))
                asked = chat("Look", tools=TOOLS, options={"num_predict": n})
                answer = s.ask("/api/chat", dict(asked, stream=False))
                lines = [json.loads(line) for line in s.send("POST", "/api/chat", asked)[2].splitlines()]
                inputs = [b["input"] for b in reply["content"] if b["type"] == "tool_use"]
                calls = [c["function"]["arguments"] for c in answer["message"].get("tool_calls", [])]
                streamed_calls = [c["function"]["arguments"] for line in lines for c in line["message"].get("tool_calls", [])]
                cut = inputs[-1:] == [{}]
                seen.add((len(calls), cut, reply["stop_reason"]))
                if inputs != [sea, sky][:len(calls)] + [{}] * cut or calls != [sea, sky][:len(calls)] or streamed_calls != calls or \
                        (cut and (reply["stop_reason"], answer["done_reason"]) != ("max_tokens", "length")):
                    problems.append(f"{n}: {reply} {answer} {lines}")
    return problems + [f"only {seen}"] * (not {(0, True, "max_tokens"), (1, True, "max_tokens"), (2, False, "tool_use")} <= seen)


def an_answer_may_take_longer_than_a_connection_may_wait():
    with Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--idle", "1", verb=[]) as s:
        start = time.monotonic()
        usage = s.ask("/v1/completions", {"prompt": "The", "max_tokens": 190000})["usage"]
        took = time.monotonic() - start
    return [] if usage["completion_tokens"] == 190000 else [f"{usage} after {took:.1f} s"]


if __name__ == "__main__":
    run(calls_come_streamed_as_whole, one_call_is_enough_where_it_was_said, what_a_model_wrote_goes_back_as_it_was,
        what_comes_back_as_an_object_is_written_as_it_was, a_call_that_is_cut_leaves_the_reply_whole, an_answer_may_take_longer_than_a_connection_may_wait)
