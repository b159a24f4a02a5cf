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


def scripted(folder, *says):
    path = os.path.join(folder, "script.json")
    with open(path, "w", encoding="utf-8") as f:
        json.dump([{"say": say} for say in says or [ANSWER] * 8], f)
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


def a_schema_beside_tools_holds_for_what_is_no_call():
    schema = {"type": "object", "properties": {"at": {"const": "sea"}}, "required": ["at"], "additionalProperties": False}
    asked = chat("Look", tools=TOOLS, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    want = [("", ['{"at": "sky"}'], "tool_calls"), ('{"at": "sea"}', [], "stop")]
    with tempfile.TemporaryDirectory() as folder, scripted(folder, CALL % "sky", '{"at": "sea"}', '{"at": "sky"}') as s:
        got = [whole(s.ask("/v1/chat/completions", asked)) for _ in want]
        broken = s.ask("/v1/chat/completions", asked, status=400)["error"]["message"]
        other = s.ask("/v1/chat/completions", chat("Look", tools=TOOLS, guided_regex="a+"), status=400)["error"]["message"]
        must = s.ask("/v1/chat/completions", dict(asked, tool_choice="required"), status=400)["error"]["message"]
    got = [(text or "", *rest) for text, *rest in got]
    problems = [f"{g} is not {w}" for g, w in zip(got, want) if g != w]
    problems += [m for m in (broken, must) if "the grammar does not allow it" not in m]
    return problems + [other] * ("tool_choice none" not in other)


def an_answer_may_take_longer_than_a_connection_may_wait():
    with Server(sys.argv[1], str(ROOT / "models/poet.gguf"), "--idle", "1", verb=[]) as s:
        start = time.monotonic()
        usage = s.ask("/v1/completions", {"prompt": "The", "max_tokens": 190000})["usage"]
        took = time.monotonic() - start
    return [] if usage["completion_tokens"] == 190000 else [f"{usage} after {took:.1f} s"]


if __name__ == "__main__":
    run(calls_come_streamed_as_whole, one_call_is_enough_where_it_was_said,
        a_schema_beside_tools_holds_for_what_is_no_call,
        an_answer_may_take_longer_than_a_connection_may_wait)
