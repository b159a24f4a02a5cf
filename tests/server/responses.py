"""/v1/responses: log-probabilities, and what a kept response was asked with.

usage: responses.py GYR SERVE_STAND_IN
"""
import json
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR, STAND_IN = sys.argv[1:3]
PATH, INCLUDE = "/v1/responses", ["message.output_text.logprobs"]
POEM = "Write a poem about the sea"


def parts_of(response):
    return [c for item in response["output"] if item["type"] == "message" for c in item["content"]]


def log_probabilities_are_those_of_a_chat():
    problems = []
    with Server(GYR) as s:
        want = s.ask("/v1/chat/completions", chat(POEM, max_tokens=30, logprobs=True, top_logprobs=3))["choices"][0]
        got = s.ask(PATH, {"input": POEM, "max_output_tokens": 30, "include": INCLUDE, "top_logprobs": 3})
        alone = s.ask(PATH, {"input": POEM, "max_output_tokens": 30, "include": INCLUDE})
        none = s.ask(PATH, {"input": POEM, "max_output_tokens": 30})
        events = s.events(PATH, {"input": POEM, "max_output_tokens": 30, "include": INCLUDE, "top_logprobs": 3})
        kept = s.ask(PATH + "/" + got["id"])
    part = parts_of(got)[0]
    mine = want["logprobs"]["content"]
    if part["logprobs"] != mine or "".join(t["token"] for t in mine) != part["text"]:
        problems.append(f"{part} is not {mine}")
    if got["top_logprobs"] != 3 or parts_of(kept)[0] != part:
        problems.append(f"kept: {parts_of(kept)}")
    if [dict(t, top_logprobs=[]) for t in mine] != parts_of(alone)[0]["logprobs"] or parts_of(none)[0]["logprobs"]:
        problems.append(f"{parts_of(alone)} {parts_of(none)}")
    by_type = {}
    for name, e in events:
        by_type.setdefault(name, []).append(e)
    deltas = by_type["response.output_text.delta"]
    if [t for e in deltas for t in e["logprobs"]] != mine or "".join(e["delta"] for e in deltas) != part["text"]:
        problems.append(f"streamed: {deltas}")
    last = by_type["response.incomplete"][0]["response"]
    for where in (by_type["response.output_text.done"][0]["logprobs"], by_type["response.content_part.done"][0]["part"]["logprobs"],
                  by_type["response.output_item.done"][0]["item"]["content"][0]["logprobs"], parts_of(last)[0]["logprobs"]):
        if where != mine:
            problems.append(f"{where} is not {mine}")
    return problems


def only_tokens_of_the_text_are_told():
    """Reasoning, marks and calls are no text of the message."""
    say = "<think>\nLook there.\n</think>\n\nI will look.\n" + \
        '<tool_call>\n{"name": "look", "arguments": {"at": "sea"}}\n</tool_call>'
    tool = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {"at": {"type": "string"}}}}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "script.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump([{"say": say}] * 4, f)
        with Server(STAND_IN, str(ROOT / "models/poet.gguf"), "--script", path, verb=[]) as s:
            got = s.ask(PATH, {"input": "Look", "tools": [tool], "include": INCLUDE})
            events = s.events(PATH, {"input": "Look", "tools": [tool], "include": INCLUDE})
    kinds = [i["type"] for i in got["output"]]
    part = parts_of(got)[0]
    told = "".join(t["token"] for t in part["logprobs"])
    streamed = [t for n, e in events if n == "response.output_text.delta" for t in e["logprobs"]]
    problems = [] if kinds == ["reasoning", "message", "function_call"] else [f"{kinds}"]
    if told.strip() != "I will look." or part["text"] != "I will look." or streamed != part["logprobs"]:
        problems.append(f"{told!r} of {part}, streamed {streamed}")
    return problems


def what_was_asked_is_listed():
    problems = []
    with Server(GYR) as s:
        first = s.ask(PATH, {"input": [{"role": "user", "content": "One"}, {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "Two"}]}], "max_output_tokens": 2})
        second = s.ask(PATH, {"input": "Three", "previous_response_id": first["id"], "max_output_tokens": 2})
        lost = s.ask(PATH, {"input": "a", "store": False, "max_output_tokens": 2})
        where = f"{PATH}/{second['id']}/input_items"
        all_of = s.ask(where + "?order=asc")
        newest = s.ask(where)
        page = s.ask(f"{where}?limit=2")
        rest = s.ask(f"{where}?limit=2&after={page['last_id']}")
        one = s.ask(f"{PATH}/{first['id']}/input_items?order=asc")
        tried = [("GET", where + "?limit=0", 400), ("GET", where + "?limit=x", 400), ("GET", where + "?order=up", 400),
                 ("GET", where + "?after=none", 400), ("GET", f"{PATH}/{lost['id']}/input_items", 404), ("DELETE", where, 405),
                 ("GET", where + "/more", 404), ("GET", PATH + "/resp_0/input_items", 404), ("GET", PATH + "/" + "x" * 300, 404)]
        for method, path, status in tried:
            got, _, content = s.send(method, path)
            if got != status or "error" not in json.loads(content):
                problems.append(f"{method} {path}: {got} {content[:200]!r}, not {status}")
        if s.send("DELETE", PATH + "/" + second["id"])[0] != 200 or s.send("GET", where)[0] != 404:
            problems.append("what was deleted is listed")
    texts = [i["content"][0]["text"] for i in all_of["data"]]
    ids = [i["id"] for i in all_of["data"]]
    if [texts[0], texts[1], texts[3]] != ["One", "Two", "Three"] or len(set(ids)) != 4 or all_of["has_more"]:
        problems.append(f"{all_of}")
    if [i["role"] for i in all_of["data"]] != ["user", "user", "assistant", "user"] or {i["type"] for i in all_of["data"]} != {"message"}:
        problems.append(f"{all_of}")
    if [i["id"] for i in newest["data"]] != ids[::-1] or (newest["first_id"], newest["last_id"]) != (ids[3], ids[0]):
        problems.append(f"{newest}")
    if [i["id"] for i in page["data"] + rest["data"]] != ids[::-1] or not page["has_more"] or rest["has_more"]:
        problems.append(f"{page} {rest}")
    if [i["content"][0]["text"] for i in one["data"]] != ["One", "Two"]:
        problems.append(f"{one}")
    return problems


if __name__ == "__main__":
    run(log_probabilities_are_those_of_a_chat, only_tokens_of_the_text_are_told, what_was_asked_is_listed)
