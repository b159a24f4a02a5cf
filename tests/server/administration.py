"""What an administrator's key is for: keys and their usage, and which models are in memory.

usage: administration.py GYR
"""
import os
import re
import shutil
import sys
import tempfile
import threading
import time

from accounts import key_of, run_cases, send
from house import ROOT
from serving import Server, chat

GYR = sys.argv[1]
POET = ROOT / "models/poet.gguf"
KEYS, USAGE, CHAT = "/v1/keys", "/v1/usage", "/v1/chat/completions"
ADMIN_ROUTES = (("GET", KEYS, None), ("POST", KEYS, {"name": "eve"}), ("DELETE", KEYS + "/ann", None), ("GET", USAGE, None))


def keys_are_made_shown_once_and_taken_back():
    problems = []
    with Server(GYR, "--no-cache") as s:
        root = key_of(GYR, s, "root", "--admin")
        made = send(s, "POST", KEYS, root, {"name": "ann", "tokens_per_day": 100000, "models": "poet", "days": 3})
        text = made.json["key"]
        ann = {"Authorization": "Bearer " + text}
        me = send(s, "GET", "/v1/key", ann).json  # known with the next request
        listed = send(s, "GET", KEYS, root)
        row = {k["name"]: k for k in listed.json["data"]}["ann"]
        if not re.fullmatch("gyr-[A-Za-z0-9]{40}", text) or made.headers["Cache-Control"] != "no-store":
            problems.append(f"{made}")
        if (row["tokens_per_day"], row["models"], row["admin"], row["hint"]) != (100000, "poet", False, text[-4:]) or \
           not 2 * 86400 < row["expires"] - time.time() <= 3 * 86400:
            problems.append(f"{row}")
        with open(os.path.join(s.environ["GYR_STATE"], "state.db"), "rb") as f:
            kept = f.read()
        if text.encode() in listed.content or b"hash" in listed.content or text.encode() in kept or text in s.said():
            problems.append("the key is there to be read")
        if (me["name"], me["admin"], me["manages"], me["keeps"]) != ("ann", False, True, True):  # a server for this machine alone
            problems.append(f"{me}")
        again = send(s, "POST", KEYS, root, {"name": "ann"})
        gone = send(s, "DELETE", KEYS + "/ann", root), send(s, "GET", "/v1/key", ann), send(s, "DELETE", KEYS + "/ann", root)
        own = send(s, "DELETE", KEYS + "/root", root)
        if again.status != 400 or gone[0].status != 200 or gone[1].json["name"] is not None or gone[2].status != 404 or own.status != 409:
            problems.append(f"{again} {[str(g) for g in gone]} {own}")
    return problems


def only_administrators_may():
    problems = []
    for options in ((), ("--auth",)):
        with Server(GYR) as home:
            root, ann = key_of(GYR, home, "root", "--admin"), key_of(GYR, home, "ann")
            with Server(GYR, *options, state=home.environ["GYR_STATE"]) as s:
                for method, path, body in ADMIN_ROUTES:
                    for who, status in (({}, 401), ({"Authorization": "Bearer gyr-" + "0" * 40}, 401), (ann, 403)):
                        r = send(s, method, path, who, body)
                        problems += [f"{options} {method} {path}: {r}, not {status}"] * (r.status != status)
                    for more in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
                        r = send(s, method, path, root, body, more)
                        problems += [f"{more} {method} {path}: {r}, not 403"] * (r.status != 403)
                names = [k["name"] for k in send(s, "GET", KEYS, root).json["data"]]
                problems += [f"{names}"] * (names != ["ann", "root"])
    return problems


def wrong_wishes_are_refused():
    rows = [({}, "name: required"), ({"name": ""}, "name: required"), ({"name": 3}, "name: takes"), ({"name": "x" * 65}, "name: takes"),
            ({"name": "-x"}, "a name has"), ({"name": "a b"}, "a name has"), ({"name": "x", "days": -1}, "days: takes"),
            ({"name": "x", "days": 1 << 60}, "days: takes"), ({"name": "x", "days": 1.5}, "days: takes"), ({"name": "x", "admin": 1}, "admin: takes"),
            ({"name": "x", "tokens_per_day": "9"}, "tokens_per_day: takes"), ({"name": "x", "models": []}, "models: takes"),
            ({"name": "x", "models": "m" * 5000}, "list of models"), ({"name": "x", "hash": "y"}, "unknown parameter: 'hash'")]
    problems = []
    with Server(GYR) as s:
        root = key_of(GYR, s, "root", "--admin")
        for body, words in rows:
            r = send(s, "POST", KEYS, root, body)
            if r.status != 400 or words not in r.json["error"]["message"]:
                problems.append(f"{body}: {r}")
        for query, status in (("?days=0", 400), ("?days=x", 400), ("?days=99999999", 400), ("?key=nobody", 404), ("?days=1", 200)):
            r = send(s, "GET", USAGE + query, root)
            problems += [f"{query}: {r}"] * (r.status != status)
        if len(send(s, "GET", KEYS, root).json["data"]) != 1:
            problems.append("a key was made")
    return problems


def counted(s, root, requests):
    """Usage, with what was not written yet. A request is counted just after its answer was sent."""
    for _ in range(100):
        rows = {r["key"]: r for r in send(s, "GET", USAGE, root).json["data"]}
        if sum(r["requests"] for r in rows.values()) >= requests:
            break
        time.sleep(0.1)
    return rows


def usage_is_that_of_each_key():
    with Server(GYR) as s:
        root, ann = key_of(GYR, s, "root", "--admin"), key_of(GYR, s, "ann")
        used = [send(s, "POST", CHAT, who, chat("a", max_tokens=count)).json["usage"] for who, count in ((ann, 5), (ann, 7), (root, 3))]
        rows = counted(s, root, 3)
        alone = send(s, "GET", USAGE + "?key=ann", root).json["data"]
    want = {"ann": (2, used[0]["completion_tokens"] + used[1]["completion_tokens"]), "root": (1, used[2]["completion_tokens"])}
    got = {name: (r["requests"], r["answer_tokens"]) for name, r in rows.items()}
    return [] if got == want and [r["key"] for r in alone] == ["ann"] else [f"{got}, not {want}; {alone}"]


def models_of(s, who=None):
    return {m["id"]: m for m in send(s, "GET", "/v1/models", who or {}).json["data"]}


def models_are_loaded_and_unloaded():
    problems, answers = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name in "ab":
            shutil.copy(POET, os.path.join(folder, name + ".gguf"))
        with Server(GYR, "-m", f"{folder}/a.gguf", "-m", f"{folder}/b.gguf", "--memory", "12") as s:
            first = models_of(s)
            memory = send(s, "GET", "/props", {}).json["memory"]
            want = send(s, "POST", CHAT, {}, chat("Write a poem about the sea", max_tokens=30)).json["choices"][0]["message"]

            def long():
                answers.append(send(s, "POST", CHAT, {}, chat("a", model="a", max_tokens=200, ignore_eos=True)).json)

            t = threading.Thread(target=long)
            while models_of(s)["a"]["requests"]:  # the one before is answered, but counted a moment more
                time.sleep(0.01)
            t.start()
            while t.is_alive() and not models_of(s)["a"]["requests"]:  # until it is under way
                time.sleep(0.01)
            unloaded = send(s, "POST", "/models/unload", {}, {"model": "a"})
            t.join()
            after, nothing = models_of(s), send(s, "GET", "/props", {}).json["memory"]
            twice = send(s, "POST", "/models/unload", {}, {"model": "a"})
            loaded = send(s, "POST", "/models/load", {}, {"model": "b"})
            last = models_of(s)
            again = send(s, "POST", CHAT, {}, chat("Write a poem about the sea", model="a", max_tokens=30)).json["choices"][0]["message"]
            for path in ("/models/load", "/models/unload"):
                for body, status in (({"model": "none"}, 404), ({}, 400), ({"model": 3}, 400), ({"model": "a", "x": 1}, 400), ({"model": ""}, 404)):
                    r = send(s, "POST", path, {}, body)
                    problems += [f"{path} {body}: {r}"] * (r.status != status)
    if (first["a"]["state"], first["b"]["state"], first["b"]["fits"]) != ("loaded", "unloaded", "alone") or \
       first["a"]["memory"]["weights"] != first["a"]["bytes"] or memory["limit"] != 12 << 20 or not 0 < memory["used"] <= memory["limit"]:
        problems.append(f"{first} {memory}")
    if unloaded.json != {"success": True, "model": "a", "loaded": False} or answers[0]["usage"]["completion_tokens"] != 200:
        problems.append(f"{unloaded} {answers}")
    if after["a"]["loaded"] or nothing["used"] or after["b"]["fits"] != "now" or twice.status != 200:
        problems.append(f"{after} {nothing} {twice}")
    if not loaded.json["loaded"] or not last["b"]["loaded"] or again != want:
        problems.append(f"{loaded} {last} {again}")
    return problems


def a_card_says_what_the_file_does():
    problems = []
    with Server(GYR) as home, Server(GYR, "-m", str(POET)) as s:
        before = models_of(s)
        send(s, "POST", "/models/unload", {}, {"model": "poet"})
        card = send(s, "GET", "/models/card?model=poet", {})
        if card.status != 200 or card.json["about"]["architecture"] != "falcon" or card.json["memory"] != before["poet"]["memory"] or \
           models_of(s)["poet"]["loaded"]:  # it is told without loading
            problems.append(f"{card}")
        if str(ROOT) in card.content.decode() or "tokenizer.ggml.tokens" in card.json["about"]["metadata"]:
            problems.append("a path, or the vocabulary, is in it")
        for query, status in (("?model=none", 404), ("", 404), ("?model=", 404), ("?model=../poet", 404)):
            r = send(s, "GET", "/models/card" + query, {})
            problems += [f"{query}: {r}"] * (r.status != status)
        inside = send(home, "GET", "/models/card?model=poet", {})
        problems += [f"{inside}"] * (inside.status != 200)
    return problems


def who_may_say_what_is_loaded():
    """On a server for this machine that asks for no keys, anybody; elsewhere, administrators."""
    problems = []
    with Server(GYR) as home:
        root, ann = key_of(GYR, home, "root", "--admin"), key_of(GYR, home, "ann")
        with Server(GYR, "--auth", state=home.environ["GYR_STATE"]) as s:
            for path in ("/models/load", "/models/unload"):
                for who, status in (({}, 401), (ann, 403), (root, 200)):
                    r = send(s, "POST", path, who, {"model": "poet"})
                    problems += [f"--auth {path}: {r}, not {status}"] * (r.status != status)
        with Server(GYR, "--host", "0.0.0.0", "--no-auth", state=home.environ["GYR_STATE"]) as s:
            s.host = "127.0.0.1"
            for who, status in (({}, 401), (ann, 403), (root, 200)):
                r = send(s, "POST", "/models/unload", who, {"model": "poet"})
                problems += [f"--no-auth: {r}, not {status}"] * (r.status != status)
            problems += ["it says that anybody may"] * send(s, "GET", "/v1/key", {}).json["manages"]
        for more in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}):
            r = send(home, "POST", "/models/unload", {}, {"model": "poet"}, more)
            problems += [f"{more}: {r}"] * (r.status != 403)
        r = send(home, "POST", "/models/unload", {}, {"model": "poet"})
        problems += [f"{r}"] * (r.status != 200)
    return problems


if __name__ == "__main__":
    run_cases(keys_are_made_shown_once_and_taken_back, only_administrators_may, wrong_wishes_are_refused, usage_is_that_of_each_key,
              models_are_loaded_and_unloaded, a_card_says_what_the_file_does, who_may_say_what_is_loaded)
