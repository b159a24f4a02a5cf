"""/v1/conversations: kept for a key, found by that key alone, and never replaced unseen.

usage: conversations.py GYR
"""
import json
import subprocess
import sys
import threading
import time

from accounts import KNOWN_SECONDS, key_of, run_cases, send
from serving import Server

GYR = sys.argv[1]
LIST, ONE = "/v1/conversations", "/v1/conversations/" + "a" * 24
NEW = {"If-None-Match": "*"}


def matches(version):
    return {"If-Match": f'"{version}"'}


def document(title, *texts):
    return {"title": title, "messages": [{"id": f"{i:024x}", "role": "user", "content": text} for i, text in enumerate(texts)]}


def it_is_kept_as_it_was_sent():
    problems = []
    with Server(GYR) as s:
        ann = key_of(GYR, s, "ann")
        empty = send(s, "GET", LIST, ann)
        sent = document("Birds", "a falcon", "猎鹰 \u202e <script>", "x" * 100000)
        made = send(s, "PUT", ONE, ann, sent, NEW)
        got = send(s, "GET", ONE, ann)
        changed = send(s, "PUT", ONE, ann, document("Owls"), matches(made.json["version"]))
        listed = send(s, "GET", LIST, ann)
        same = send(s, "GET", LIST, ann, None, {"If-None-Match": listed.headers["ETag"]})
        other = send(s, "PUT", "/v1/conversations/b_-9", ann, {}, NEW)
        again = send(s, "GET", LIST, ann, None, {"If-None-Match": listed.headers["ETag"]})
        gone = send(s, "DELETE", ONE, ann, None, matches(changed.json["version"]))
        problems += [f"{r}" for r in (made, got, changed, listed, other, again, gone) if r.status != 200]
        if got.json["document"] != sent or got.json["title"] != "Birds" or got.headers["ETag"] != f'"{made.json["version"]}"':
            problems.append(f"{got}")
        if not made.json["version"] < changed.json["version"] < other.json["version"] or "document" in made.json:
            problems.append(f"{made} {changed} {other}")
        if empty.json["data"] or [(c["id"], c["title"], c["version"]) for c in listed.json["data"]] != [("a" * 24, "Owls", changed.json["version"])]:
            problems.append(f"{empty} {listed}")
        if same.status != 304 or same.content or len(again.json["data"]) != 2:
            problems.append(f"{same} {again}")
        left = send(s, "GET", ONE, ann), send(s, "DELETE", ONE, ann), [c["id"] for c in send(s, "GET", LIST, ann).json["data"]]
        if (left[0].status, left[1].status, left[2]) != (404, 404, ["b_-9"]):
            problems.append(f"{left}")
    return problems


def nobody_sees_anothers():
    problems = []
    with Server(GYR) as s:
        ann, bob, root = (key_of(GYR, s, name, *more) for name, more in (("ann", ()), ("bob", ()), ("root", ("--admin",))))
        version = send(s, "PUT", ONE, ann, document("secret"), NEW).json["version"]
        for who in (bob, root):  # an administrator reads no conversations
            for method, body, more in (("GET", None, {}), ("DELETE", None, {}), ("DELETE", None, matches(version)), ("PUT", {}, matches(version))):
                r = send(s, method, ONE, who, body, more)
                if r.status != 404 or b"secret" in r.content:
                    problems.append(f"{method}: {r}")
            if send(s, "GET", LIST, who).json["data"]:
                problems.append("it is listed")
        bobs = send(s, "PUT", ONE, bob, document("Bob's"), NEW)  # the same id is another one
        anns = send(s, "GET", ONE, ann).json
        if bobs.status != 200 or bobs.json["version"] != 1 or anns["title"] != "secret" or anns["version"] != version:
            problems.append(f"{bobs} {anns}")
        for headers in ({}, {"Authorization": "Bearer gyr-" + "x" * 40}, {"Authorization": "Bearer "}):
            for method, path in (("GET", LIST), ("GET", ONE), ("PUT", ONE), ("DELETE", ONE)):
                r = send(s, method, path, headers, {} if method == "PUT" else None, NEW if method == "PUT" else {})
                problems += [f"{method} {path} without a key: {r}"] * (r.status != 401)
    return problems


def two_writers_do_not_overwrite_each_other():
    problems, won = [], []
    with Server(GYR) as s:
        ann = key_of(GYR, s, "ann")
        first = send(s, "PUT", ONE, ann, document("0"), NEW).json["version"]
        rows = [({}, 428), (NEW, 412), (matches(first + 1), 412), ({"If-Match": "*"}, 400), ({"If-Match": "1"}, 400), ({"If-Match": '"0"'}, 400),
                ({"If-Match": '"-1"'}, 400), ({"If-Match": '"99999999999999999999"'}, 400), ({**NEW, **matches(first)}, 400)]
        for headers, status in rows:
            r = send(s, "PUT", ONE, ann, document("no"), headers)
            problems += [f"{headers}: {r}, not {status}"] * (r.status != status)
        if send(s, "PUT", ONE[:-1], ann, {}, matches(first)).status != 404 or send(s, "DELETE", ONE, ann, None, matches(first + 1)).status != 412:
            problems.append("a version that is not there")

        def writer(name):
            for i in range(12):
                for _ in range(200):
                    now = send(s, "GET", ONE, ann).json
                    text = now["document"]["title"] + f" {name}{i}"
                    if send(s, "PUT", ONE, ann, document(text), matches(now["version"])).status == 200:
                        won.append(f"{name}{i}")
                        break

        threads = [threading.Thread(target=writer, args=(name,)) for name in "xyz"]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        words = send(s, "GET", ONE, ann).json["title"].split()
        # one that is deleted and made again has another version
        now = send(s, "GET", ONE, ann).json["version"]
        send(s, "DELETE", ONE, ann)
        again = send(s, "PUT", ONE, ann, document("again"), NEW).json["version"]
    if sorted(words[1:]) != sorted(won) or len(won) != 36 or again <= now:
        problems.append(f"{len(won)} written, {len(words) - 1} there; {now} {again}")
    return problems


def what_cannot_be_kept_is_said():
    problems = []
    long = "x" * (16 << 20)
    rows = [("[]", 400, "not a JSON object"), ("{", 400, "not JSON"), ("null", 400, "not JSON"), ('{"title": 3}', 400, "title: takes"),
            ('{"a": 1, "a": 2}', 400, "not JSON"), ('{"a": "\\u0000"}', 400, "u0000"), ("[" * 3000, 400, "not JSON"),
            (json.dumps({"title": "x" * 1025}), 400, "title: takes"), (json.dumps({"x": long}), 413, "more than the 16777216"), ("\xff", 400, "not JSON")]
    with Server(GYR) as s:
        ann = key_of(GYR, s, "ann")
        for body, status, words in rows:
            r = send(s, "PUT", ONE, ann, body.encode("latin-1") if body == "\xff" else body.encode(), NEW)
            if r.status != status or words not in r.json["error"]["message"]:
                problems.append(f"{body[:40]!r}: {r}, not {status} {words!r}")
        for tail in ("x" * 65, "a%2Fb", "a%20b", "%C3%A9", "a.b", "..", "a'b"):
            r = send(s, "PUT", "/v1/conversations/" + tail, ann, {}, NEW)
            problems += [f"{tail}: {r}"] * (r.status != 400)
            r = send(s, "GET", "/v1/conversations/" + tail, ann)
            problems += [f"{tail}: {r}"] * (r.status != 404)
        for method, path, status in (("PUT", LIST, 405), ("POST", ONE, 404), ("PATCH", ONE, 405)):
            r = send(s, method, path, ann, {})
            problems += [f"{method} {path}: {r}"] * (r.status != status)
        if send(s, "GET", LIST, ann).json["data"]:
            problems.append("something of it was kept")
        most = subprocess.run([sys.executable, "-c", FILL, s.environ["GYR_STATE"]], capture_output=True, text=True, check=False)
        r = send(s, "PUT", ONE, ann, {}, NEW)
        if most.returncode or r.status != 413 or "10000" not in r.json["error"]["message"]:
            problems.append(f"the most: {most.stderr} {r}")
    return problems


# As many as one key may have, written past the server.
FILL = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1] + "/state.db", timeout=20)
db.executemany("INSERT INTO conversations VALUES (1, ?, 1, 1, 1, 2, '', '{}')", [(f"m{i}",) for i in range(10000)])
db.commit()
"""


def a_key_that_is_taken_back_is_refused():
    problems = []
    with Server(GYR) as s:
        root, ann, bob = key_of(GYR, s, "root", "--admin"), key_of(GYR, s, "ann"), key_of(GYR, s, "bob")
        for who in (ann, bob):
            send(s, "PUT", ONE, who, document("x"), NEW)
        if send(s, "DELETE", "/v1/keys/ann", root).status != 200:
            problems.append("not removed")
        at_once = send(s, "GET", LIST, ann), send(s, "PUT", ONE, ann, {}, NEW)  # by the server itself: with the next request
        subprocess.run([GYR, "key", "rm", "bob"], env=s.environ, check=True)
        end = time.monotonic() + KNOWN_SECONDS
        while send(s, "GET", LIST, bob).status == 200 and time.monotonic() < end:
            time.sleep(0.05)
        later = send(s, "GET", LIST, bob)
        made = send(s, "POST", "/v1/keys", root, {"name": "ann"}).json["key"]  # who has the name now is somebody else
        new = send(s, "GET", LIST, {"Authorization": "Bearer " + made})
    if [r.status for r in (*at_once, later)] != [401, 401, 401] or new.status != 200 or new.json["data"]:
        problems.append(f"{at_once} {later} {new}")
    return problems


def pages_of_elsewhere_may_not_ask():
    problems = []
    with Server(GYR) as s:
        ann = key_of(GYR, s, "ann")
        for headers in ({"Origin": "http://evil.example"}, {"Host": "evil.example"}, {"Origin": "null"}):
            for method, path in (("GET", LIST), ("PUT", ONE), ("DELETE", ONE)):
                r = send(s, method, path, ann, {} if method == "PUT" else None, {**headers, **(NEW if method == "PUT" else {})})
                problems += [f"{method} {headers}: {r}"] * (r.status != 403)
        r = send(s, "OPTIONS", ONE, {}, None, {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"})
        problems += [f"{r}"] * (r.status != 403)
    return problems


if __name__ == "__main__":
    run_cases(it_is_kept_as_it_was_sent, nobody_sees_anothers, two_writers_do_not_overwrite_each_other, what_cannot_be_kept_is_said,
              a_key_that_is_taken_back_is_refused, pages_of_elsewhere_may_not_ask)
