"""Chat completions that are kept: listed, told, described anew, deleted; by key; whole and streamed.

usage: chats.py GYR
"""
import json
import os
import subprocess
import sys
import tempfile
import time
from urllib.parse import quote

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
PATH = "/v1/chat/completions"
POEM = "Write a poem about the sea"


def without(o, *names):
    return {k: v for k, v in o.items() if k not in names}


def what_was_told_is_kept():
    """The kept completion is the reply, with what was asked of it; one that was streamed is what it would be whole."""
    problems = []
    ask = dict(chat(POEM, max_tokens=12, logprobs=True, top_logprobs=2, return_token_ids=True, n=2, seed=7), store=True,
               metadata={"for": "a test"})
    with Server(GYR) as s:
        reply = s.ask(PATH, ask)
        kept = s.ask(f"{PATH}/{reply['id']}")
        events = s.events(PATH, dict(ask, stream_options={"include_usage": True}))
        streamed = s.ask(f"{PATH}/{events[0][1]['id']}")
        s.ask(PATH, chat(POEM, max_tokens=2))
        s.ask(PATH, dict(chat(POEM, max_tokens=2), store=False))
        listed = s.ask(PATH)
    added = {"metadata": {"for": "a test"}, "seed": 7, "temperature": None, "top_p": None, "tools": None, "tool_choice": None,
             "presence_penalty": None, "frequency_penalty": None, "response_format": None, "input_user": None}
    if without(kept, "request_id") != dict(reply, **added) or reply["id"] != "chatcmpl-" + kept["request_id"]:
        problems.append(f"{kept} is not {reply}")
    if streamed["choices"] != kept["choices"] or streamed["object"] != "chat.completion" or \
            streamed["usage"]["completion_tokens"] != kept["usage"]["completion_tokens"] or \
            streamed["prompt_token_ids"] != kept["prompt_token_ids"]:
        problems.append(f"streamed: {streamed} is not {kept}")
    if listed["data"] != [kept, streamed] or listed["first_id"] != kept["id"] or listed["last_id"] != streamed["id"] or listed["has_more"]:
        problems.append(f"{listed}")
    return problems


def messages_are_listed():
    problems = []
    parts = [{"type": "text", "text": "Two "}, {"type": "text", "text": "parts"}]
    ask = {"messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": parts, "name": "ann"}], "max_tokens": 2,
           "store": True}
    with Server(GYR) as s:
        name = s.ask(PATH, ask)["id"]
        where = f"{PATH}/{name}/messages"
        got, newest, page = s.ask(where), s.ask(where + "?order=desc"), s.ask(where + "?limit=1")
        rest = s.ask(f"{where}?limit=1&after={page['last_id']}")
    want = [{"id": f"{name}-0", "role": "system", "content": "Be short.", "name": None, "content_parts": None},
            {"id": f"{name}-1", "role": "user", "content": "Two parts", "name": "ann", "content_parts": parts}]
    if got["data"] != want or newest["data"] != want[::-1] or page["data"] != want[:1] or rest["data"] != want[1:]:
        problems.append(f"{got} {newest} {page} {rest}")
    if (page["has_more"], rest["has_more"], got["first_id"]) != (True, False, f"{name}-0"):
        problems.append(f"{page} {rest}")
    return problems


def lists_are_searched():
    problems = []
    with Server(GYR) as s:
        ids = [s.ask(PATH, dict(chat(f"Number {i}", max_tokens=1), store=True, metadata={"odd": str(i % 2), "a b": "c&d"}))["id"]
               for i in range(5)]
        for query, want in [("", ids), ("?order=desc", ids[::-1]), ("?limit=2", ids[:2]), (f"?limit=2&after={ids[1]}", ids[2:4]),
                            (f"?order=desc&after={ids[2]}", ids[1::-1]), ("?metadata[odd]=1", ids[1::2]), ("?metadata%5Bodd%5D=0", ids[::2]),
                            ("?metadata[odd]=1&metadata[" + quote("a b") + "]=" + quote("c&d"), ids[1::2]), ("?metadata[odd]=2", []),
                            ("?metadata[none]=1", []), ("?model=poet", ids), ("?model=another", [])]:
            got = s.ask(PATH + query)
            if [c["id"] for c in got["data"]] != want or got["has_more"] != (query in ("?limit=2", f"?limit=2&after={ids[1]}")):
                problems.append(f"{query}: {got}")
        changed = s.ask(f"{PATH}/{ids[0]}", {"metadata": {"odd": "now"}})
        if changed["metadata"] != {"odd": "now"} or changed != s.ask(f"{PATH}/{ids[0]}"):
            problems.append(f"{changed}")
        if [c["id"] for c in s.ask(PATH + "?metadata[odd]=now")["data"]] != ids[:1]:
            problems.append("what was described anew is not found")
        if s.ask(f"{PATH}/{ids[0]}", {"metadata": None})["metadata"] != {}:
            problems.append("metadata do not go")
        status, _, content = s.send("DELETE", f"{PATH}/{ids[0]}")
        if status != 200 or json.loads(content) != {"object": "chat.completion.deleted", "id": ids[0], "deleted": True}:
            problems.append(f"{status} {content}")
        if [c["id"] for c in s.ask(PATH)["data"]] != ids[1:]:
            problems.append("what was deleted is listed")
        one = f"{PATH}/{ids[1]}"
        for method, path, body, status in [
                ("GET", f"{PATH}/{ids[0]}", None, 404), ("DELETE", f"{PATH}/{ids[0]}", None, 404), ("GET", one + "/more", None, 404),
                ("POST", f"{PATH}/{ids[0]}", {"metadata": {}}, 404), ("GET", f"{PATH}/" + "x" * 300, None, 404),
                ("GET", f"{PATH}/{ids[0]}/messages", None, 404), ("DELETE", one + "/messages", None, 405),
                ("POST", one, {}, 400), ("POST", one, {"metadata": {"a": 1}}, 400), ("POST", one, {"metadata": {}, "x": 1}, 400),
                ("POST", one, {"metadata": {"k" * 65: "v"}}, 400), ("GET", PATH + "?limit=0", None, 400), ("GET", PATH + "?limit=x", None, 400),
                ("GET", PATH + "?order=up", None, 400), ("GET", PATH + "?after=none", None, 400), ("GET", PATH + "?metadata[a]=%ff", None, 400),
                ("GET", one + "/messages?after=none", None, 400), ("PUT", one, {}, 405),
                ("POST", PATH, dict(chat("a"), store=True, metadata={"a": 1}), 400), ("POST", PATH, dict(chat("a"), store="yes"), 400)]:
            got, _, content = s.send(method, path, body)
            if got != status or "error" not in json.loads(content):
                problems.append(f"{method} {path} {body}: {got} {content[:200]!r}, not {status}")
    return problems


def a_key_sees_its_own_alone():
    problems = []
    with tempfile.TemporaryDirectory() as state:
        env = dict(os.environ, GYR_STATE=state)

        def key(*args):
            return subprocess.run([GYR, "key", *args], env=env, capture_output=True, text=True, check=True).stdout.strip()
        keys = [{"Authorization": "Bearer " + key("add", name, *more)} for name, *more in [("ann",), ("bob", "--admin")]]
        with Server(GYR, "--auth", state=state) as s:
            mine = [s.ask(PATH, dict(chat("Whose?", max_tokens=1), store=True), k)["id"] for k in keys]
            for k, own, others in zip(keys, mine, mine[::-1]):
                if [c["id"] for c in s.ask(PATH, headers=k)["data"]] != [own]:
                    problems.append("another key's are listed")
                for method, path, body in [("GET", "", None), ("GET", "/messages", None), ("POST", "", {"metadata": {}}), ("DELETE", "", None)]:
                    if s.send(method, f"{PATH}/{others}{path}", body, k)[0] != 404:
                        problems.append(f"{method}: another key's is there")
            if s.send("GET", PATH)[0] != 401:
                problems.append("no key is needed")
        with Server(GYR, "--auth", state=state) as s:  # after a restart
            if [c["id"] for c in s.ask(PATH, headers=keys[0])["data"]] != mine[:1]:
                problems.append("lost by a restart")
            key("rm", "ann")
            deadline = time.monotonic() + 30
            while s.send("GET", PATH, headers=keys[0])[0] != 401 and time.monotonic() < deadline:
                time.sleep(0.1)
            if [c["id"] for c in s.ask(PATH, headers=keys[1])["data"]] != mine[1:]:
                problems.append("bob's are gone")
        import sqlite3
        rows = sqlite3.connect(os.path.join(state, "state.db")).execute("SELECT id FROM chats").fetchall()
        if rows != [(mine[1],)]:
            problems.append(f"what a removed key kept is there: {rows}")
    return problems


def limits_are_refusals():
    problems = []
    with tempfile.TemporaryDirectory() as state, Server(GYR, "--context", "64", state=state) as s:
        import sqlite3
        s.ask(PATH, dict(chat("a", max_tokens=1), store=True))
        db = sqlite3.connect(os.path.join(state, "state.db"))
        db.execute("UPDATE chats SET bytes = 1073741824")
        db.commit()
        for body, more in [(chat("a", max_tokens=1), {}), (chat("a", max_tokens=1), {"stream": True})]:
            status, _, content = s.send("POST", PATH, dict(body, store=True, **more))
            if status != 413 or b"would have more than 1073741824 bytes" not in content:
                problems.append(f"{status} {content}")
        db.execute("UPDATE chats SET expires = 1")
        db.commit()
        if s.ask(PATH)["data"]:
            problems.append("what has expired is listed")
    return problems


if __name__ == "__main__":
    run(what_was_told_is_kept, messages_are_listed, lists_are_searched, a_key_sees_its_own_alone, limits_are_refusals)
