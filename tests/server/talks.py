"""OpenAI's Conversations: what clients and responses add stays, for the key that made it alone; responses go on with it.

usage: talks.py GYR
"""
import json
import subprocess
import sys
import tempfile

from accounts import key_of, run_cases, send
from serving import Server, in_threads

GYR = sys.argv[1]
TALKS, RESPONSES = "/v1/conversations", "/v1/responses"
ASK = {"max_output_tokens": 8, "temperature": 0}


def message(text, role="user"):
    return {"type": "message", "role": role, "content": text}


def texts(s, talk, who=None, query="?order=asc&limit=100"):
    return [i["content"][0]["text"] for i in s.ask(f"{TALKS}/{talk}/items{query}", None, who)["data"]]


def text_of(response):
    return "".join(c["text"] for i in response["output"] if i["type"] == "message" for c in i["content"])


def a_response_goes_on_with_it():
    """As one that is sent all of it, whole or streamed, stored or not, and after a restart."""
    problems = []
    with tempfile.TemporaryDirectory() as state:
        with Server(GYR, state=state) as s:
            talk = s.ask(TALKS, {"items": [message("Hello"), message("Hi.", "assistant")], "metadata": {"a": "b"}})
            first = s.ask(RESPONSES, {**ASK, "input": "a poem, sea", "conversation": talk["id"]})
            events = s.events(RESPONSES, {**ASK, "input": [message("one more")], "conversation": {"id": talk["id"]}, "store": False})
            second = events[-1][1]["response"]
        with Server(GYR, state=state) as s:
            third = s.ask(RESPONSES, {**ASK, "input": "the last", "conversation": talk["id"]})
            got = texts(s, talk["id"])
            whole = [message("Hello"), message("Hi.", "assistant"), message("a poem, sea"), message(text_of(first), "assistant"),
                     message("one more"), message(text_of(second), "assistant"), message("the last")]
            want = s.ask(RESPONSES, {**ASK, "input": whole})
            ids = [i["id"] for i in s.ask(f"{TALKS}/{talk['id']}/items")["data"]]
            page = s.ask(f"{TALKS}/{talk['id']}/items?limit=3&after={ids[1]}")
            again = s.ask(f"{TALKS}/{talk['id']}")
            counted = s.ask(RESPONSES + "/input_tokens", {"input": "the last", "conversation": talk["id"]})
    if text_of(third) != text_of(want) or third["usage"]["input_tokens"] != want["usage"]["input_tokens"]:
        problems.append(f"{third} is not {want}")
    if got != [i["content"] for i in whole] + [text_of(third)] or len(set(ids)) != 8:
        problems.append(f"{got}, {ids}")
    if [i["id"] for i in page["data"]] != ids[2:5] or not page["has_more"] or page["last_id"] != ids[4]:
        problems.append(f"{page}")
    if {r["conversation"]["id"] for r in (first, second, third)} != {talk["id"]} or again != talk or "conversation" in want:
        problems.append(f"{again}, not {talk}")
    if counted["input_tokens"] <= third["usage"]["input_tokens"]:
        problems.append(f"{counted}")
    return problems


def calls_and_their_outputs_are_items():
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    out = {"type": "function_call_output", "call_id": "c1", "output": "sun"}
    with Server(GYR) as s:
        talk = s.ask(TALKS, {})["id"]
        made = s.ask(f"{TALKS}/{talk}/items", {"items": [message("Look"), call, out]})["data"]
        one = s.ask(f"{TALKS}/{talk}/items/{made[1]['id']}")
        answer = s.ask(RESPONSES, {**ASK, "input": "So?", "conversation": talk})
        kinds = [i["type"] for i in s.ask(f"{TALKS}/{talk}/items?order=asc")["data"]]
    ok = one == made[1] == dict(call, id=one["id"], status="completed") and made[1]["id"].startswith("fc_") and text_of(answer)
    ok = ok and kinds == ["message", "function_call", "function_call_output", "message", "message"]
    return [] if ok else [f"{made} {one} {kinds}"]


def many_add_at_once():
    """Nothing is lost, whoever adds: items of clients and of responses."""
    with Server(GYR) as s:
        talk = s.ask(TALKS, {})["id"]

        def add(i):
            if i % 4:
                s.ask(f"{TALKS}/{talk}/items", {"items": [message(f"item {i}")]})
            else:
                s.ask(RESPONSES, {**ASK, "input": f"item {i}", "conversation": talk})

        problems = in_threads(add, range(24))
        got = texts(s, talk)
    asked = sorted(t for t in got if t.startswith("item "))
    return problems + ([] if asked == sorted(f"item {i}" for i in range(24)) and len(got) == 30 else [f"{got}"])


def nobody_sees_anothers():
    problems = []
    with Server(GYR) as s:
        ann, bob = key_of(GYR, s, "ann"), key_of(GYR, s, "bob", "--admin")
        talk = send(s, "POST", TALKS, ann, {"items": [message("secret")]}).json["id"]
        item = send(s, "GET", f"{TALKS}/{talk}/items", ann).json["data"][0]["id"]
        rows = (("GET", "", None), ("POST", "", {"metadata": {}}), ("DELETE", "", None), ("GET", "/items", None),
                ("POST", "/items", {"items": [message("a")]}), ("GET", "/items/" + item, None), ("DELETE", "/items/" + item, None))
        for who in (bob, {}):
            for method, tail, body in rows:
                r = send(s, method, f"{TALKS}/{talk}{tail}", who, body)
                problems += [f"{method} {tail}: {r}"] * (r.status != 404 or b"secret" in r.content)
            r = send(s, "POST", RESPONSES, who, {"input": "a", "conversation": talk, **ASK})
            problems += [f"{r}"] * (r.status != 404 or r.json["error"]["param"] != "conversation")
        own = send(s, "PUT", f"{TALKS}/conv_mine", ann, {"title": "mine"}, {"If-None-Match": "*"})  # gyr's own, of any id
        found = send(s, "GET", f"{TALKS}/conv_mine", ann), send(s, "DELETE", f"{TALKS}/conv_mine", ann)
        listed = send(s, "GET", TALKS, ann).json["data"]
        left = texts(s, talk, ann)
    if own.status != 200 or found[0].json.get("title") != "mine" or found[1].status != 200 or listed or left != ["secret"]:
        problems.append(f"{own} {found} {listed} {left}")
    return problems


def what_is_wrong_is_said():
    with Server(GYR) as s:
        talk = s.ask(TALKS, {"items": [message("a")]})["id"]
        one = f"{TALKS}/{talk}"
        rows = ((TALKS, {"items": [message("a")] * 21}, 400, "at most 20"), (TALKS, {"items": "a"}, 400, "items: takes"),
                (TALKS, {"items": [3]}, 400, "type 'none'"), (TALKS, {"items": [{"type": "web_search_call"}]}, 400, "web_search_call"),
                (TALKS, {"metadata": {"a": 1}}, 400, "metadata: takes"), (one, {}, 400, "metadata: takes"),
                (one, {"metadata": {str(i): "x" for i in range(17)}}, 400, "at most 16"), (one + "/items", {}, 400, "items: takes"),
                (one + "/items", {"items": []}, 400, "items: takes"), (one + "/items/x", {}, 405, "not a method"),
                (one + "/other", {}, 404, "kept here"), (one + "/items/a/b", None, 404, "kept here"), (one + "/items/none", None, 404, "no item"),
                (one + "/items?after=none", None, 400, "after: no item"), (one + "x" * 200, None, 404, "kept here"),
                (RESPONSES, {"input": "a", "conversation": 3}, 400, "conversation: takes"), (RESPONSES, {"input": "a", "conversation": {}}, 400, "takes"),
                (RESPONSES, {"input": "a", "conversation": "conv_" + "x" * 500}, 404, "conversation: no"),
                (RESPONSES, {"input": "a", "conversation": talk, "previous_response_id": "resp_a"}, 400, "one of them"))
        problems = []
        for path, body, status, words in rows:
            got = s.send("GET" if body is None else "POST", path, body)
            said = json.loads(got[2])["error"]["message"]
            problems += [f"{path} {str(body)[:60]}: {got[0]} {said}"] * (got[0] != status or words not in said)
        for path, status in ((one + "/items", 405), (one + "/items/none", 404), (one, 200), (one, 404)):
            got = s.send("DELETE", path)
            problems += [f"DELETE {path}: {got}"] * (got[0] != status)
    return problems


def it_has_an_end():
    """Before something is computed that would have no place; and a key has so many, and no more."""
    problems, long = [], "x" * (5 << 20)
    with Server(GYR) as s:
        talk = s.ask(TALKS, {"items": [message("a")]})["id"]
        for _ in range(3):
            s.ask(f"{TALKS}/{talk}/items", {"items": [message(long)]})
        more = s.send("POST", f"{TALKS}/{talk}/items", {"items": [message(long)]})
        asked = s.send("POST", RESPONSES, {"input": "x" * (1 << 19), "conversation": talk, **ASK})
        most = subprocess.run([sys.executable, "-c", FILL, s.environ["GYR_STATE"]], capture_output=True, text=True, check=False)
        one = s.send("POST", TALKS, {})
        left = len(texts(s, talk))
    for got, status, words in ((more, 413, b"more than the 16777216"), (asked, 400, b"begin another"), (one, 413, b"10000")):
        problems += [f"{got[0]} {got[2][:300]}"] * (got[0] != status or words not in got[2])
    return problems + [f"{left} items, {most.stderr}"] * (left != 4 or most.returncode != 0)


FILL = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1] + "/state.db") as db:
    db.executemany("INSERT INTO objects (kind, id, owner, created, expires, bytes, json) VALUES ('conversation', ?, 0, 0, 0, 2, '{}')",
                   ((f"conv_{i}",) for i in range(9999)))
"""


if __name__ == "__main__":
    run_cases(a_response_goes_on_with_it, calls_and_their_outputs_are_items, many_add_at_once, nobody_sees_anothers, what_is_wrong_is_said,
              it_has_an_end)
