"""Files and batches of gyr serve, asked as clients ask.

usage: files_and_batches.py GYR
"""
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
CHAT = "/v1/chat/completions"


def form(fields, name="lines.jsonl", data=b""):
    """(headers, body) of a form with a file."""
    mark = "----form"
    parts = [f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n' for k, v in fields.items()]
    head = "".join(parts) + f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    return {"Content-Type": f"multipart/form-data; boundary={mark}"}, head.encode() + data + f"\r\n--{mark}--\r\n".encode()


def upload(s, data, purpose="batch", key=None, **fields):
    headers, body = form(dict(fields, purpose=purpose), data=data)
    return s.send("POST", "/v1/files", body, dict(headers, **bearer(key)))


def bearer(key):
    return {"Authorization": f"Bearer {key}"} if key else {}


def keep(s, data, purpose="batch", key=None):
    status, _, content = upload(s, data, purpose, key)
    if status != 200:
        raise AssertionError(f"{status} {content}")
    return json.loads(content)


def add_key(state, name, *limits):
    made = subprocess.run([GYR, "key", "add", name, *limits], env=dict(os.environ, GYR_STATE=state), capture_output=True,
                          text=True, check=True)
    return made.stdout.split()[-1]


def line(custom_id, body, url=CHAT):
    return json.dumps({"custom_id": custom_id, "method": "POST", "url": url, "body": body})


def batch(s, lines, key=None, endpoint=CHAT, **more):
    file = keep(s, "\n".join(lines).encode(), key=key)
    wish = {"input_file_id": file["id"], "endpoint": endpoint, "completion_window": "24h", **more}
    return s.ask("/v1/batches", wish, bearer(key))


def wait(s, b, key=None, until=("completed", "failed", "expired", "cancelled")):
    for _ in range(1500):
        b = s.ask(f"/v1/batches/{b['id']}", None, bearer(key))
        if b["status"] in until:
            return b
        time.sleep(0.02)
    raise AssertionError(f"the batch does not end: {b}")


def lines_of(s, file, key=None):
    """What a file of answers has: by custom_id."""
    if not file:
        return {}
    status, _, content = s.send("GET", f"/v1/files/{file}/content", None, bearer(key))
    if status != 200:
        raise AssertionError(f"{file}: {status}")
    all_lines = [json.loads(text) for text in content.decode().splitlines()]
    ids = [one["custom_id"] for one in all_lines]
    if len(set(ids)) != len(ids):
        raise AssertionError(f"{file}: a line is answered twice: {sorted(ids)}")
    return {one["custom_id"]: one for one in all_lines}


def said(reply):
    """What an answer is but for what differs each time."""
    reply = json.loads(json.dumps(reply))
    for key in ("id", "created", "created_at"):
        reply.pop(key, None)
    reply.get("usage", {}).pop("energy", None)
    reply.get("usage", {}).pop("prompt_tokens_details", None)
    reply.get("usage", {}).pop("input_tokens_details", None)
    for item in reply.get("output", []):
        item.pop("id", None)
    return reply


def bodies(n, tokens=12):
    topics = ("the sea", "a falcon", "snow", "night", "a river", "my love")
    return [chat(f"Write a poem about {topics[i % 6]}", max_tokens=tokens, seed=i, temperature=0.8) for i in range(n)]


def a_file_comes_back_as_it_was_sent():
    data = os.urandom(3 << 20)
    problems = []
    with Server(GYR) as s:
        made = keep(s, data, "user_data")
        status, headers, content = s.send("GET", f"/v1/files/{made['id']}/content")
        again = s.ask(f"/v1/files/{made['id']}")
        empty = keep(s, b"", "user_data")
        nothing = s.send("GET", f"/v1/files/{empty['id']}/content")[::2]
        gone = json.loads(s.send("DELETE", f"/v1/files/{made['id']}")[2])
        after = [s.send("GET", f"/v1/files/{made['id']}{end}")[0] for end in ("", "/content")]
        left = os.listdir(os.path.join(s.environ["GYR_STATE"], "files"))
    want = {"object": "file", "bytes": len(data), "filename": "lines.jsonl", "purpose": "user_data", "expires_at": None,
            "status": "processed", "status_details": None}
    if {k: v for k, v in made.items() if k in want} != want or again != made:
        problems.append(f"{made}, then {again}")
    if status != 200 or content != data or headers["Content-Length"] != str(len(data)):
        problems.append(f"{status}: {len(content)} bytes come back, {headers}")
    if "attachment" not in headers["Content-Disposition"] or headers["X-Content-Type-Options"] != "nosniff":
        problems.append(f"a browser may open it: {headers}")
    if nothing != (200, b"") or gone != {"id": made["id"], "object": "file", "deleted": True} or after != [404, 404]:
        problems.append(f"{nothing}, {gone}, {after}")
    return problems + [f"left behind: {left}"] * (left != [empty["id"]])


def files_are_listed_in_pages():
    with Server(GYR) as s:
        ids = [keep(s, b"x" * i, "batch" if i % 2 else "user_data")["id"] for i in range(7)]
        pages, after = [], ""
        while True:
            page = s.ask("/v1/files?limit=3" + after)
            pages.append([f["id"] for f in page["data"]])
            after = f"&after={page['last_id']}"
            if not page["has_more"]:
                break
        up = [f["id"] for f in s.ask("/v1/files?order=asc")["data"]]
        odd = [f["id"] for f in s.ask("/v1/files?purpose=batch")["data"]]
        refused = [s.send("GET", f"/v1/files?{q}")[0] for q in ("limit=0", "limit=x", "limit=10001", "order=up", "after=x")]
    down = ids[::-1]
    good = pages == [down[:3], down[3:6], down[6:]] and up == ids and odd == down[1::2] and refused == [400] * 5
    return [] if good else [f"{ids}: {pages}, {up}, {odd}, {refused}"]


FORMS = [
    ({}, 400, "purpose: required"),
    ({"purpose": "fun"}, 400, "purpose: takes"),
    ({"purpose": "batch", "colour": "red"}, 400, "unknown parameter: 'colour'"),
    ({"purpose": "batch", "expires_after[anchor]": "now", "expires_after[seconds]": "3600"}, 400, "[anchor]"),
    ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "1"}, 400, "[seconds]"),
    ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "-3600"}, 400, "[seconds]"),
    ({"purpose": "batch", "expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}, 200, "expires_at"),
]


def what_is_no_file_is_refused():
    problems = []
    with Server(GYR, "--body", "100000", "--key-files", "60000") as s:
        for fields, status, words in FORMS:
            headers, body = form(fields, data=b"abc")
            got, _, content = s.send("POST", "/v1/files", body, headers)
            if got != status or words not in content.decode():
                problems.append(f"{fields}: {got} {content[:200]!r}, not {status} {words}")
        headers, body = form({"purpose": "batch"}, data=b"abc")
        tries = [(headers, body[:-10], 400), ({"Content-Type": "application/json"}, b"{}", 400), ({}, b"", 400),
                 (headers, body.replace(b'filename="lines.jsonl"', b""), 400),
                 form({"purpose": "user_data"}, "\u2028\u202e" * 200, b"x") + (400,),
                 form({"purpose": "user_data"}, "a" * 300, b"x") + (400,)]
        for h, b, status in tries:
            got, _, content = s.send("POST", "/v1/files", b, h)
            if got != status or "error" not in json.loads(content):
                problems.append(f"{h} {b[:80]}: {got} {content[:200]!r}, not {status}")
        sizes = [upload(s, b"x" * n, "user_data")[0] for n in (50000, 20000, 5000, 200000)]
        if sizes != [200, 413, 200, 413]:
            problems.append(f"limits of bytes: {sizes}")
        lost = [s.send(m, p)[0] for m, p in (("GET", "/v1/files/file-0"), ("GET", "/v1/files/../../x"),
                                             ("DELETE", "/v1/files/x"), ("POST", "/v1/files/x"), ("GET", "/v1/files/x/y"),
                                             ("GET", "/v1/files/x/content"))]
        if lost != [404, 404, 404, 405, 404, 404]:
            problems.append(f"what is not there: {lost}")
    return problems


def a_slow_reader_costs_no_memory():
    def kilobytes():
        with open(f"/proc/{s.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1])

    with Server(GYR) as s:
        made = keep(s, os.urandom(16 << 20), "user_data")
        before = kilobytes()
        readers = []
        for _ in range(16):
            c = socket.create_connection((s.host, s.port))
            c.sendall(f"GET /v1/files/{made['id']}/content HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            readers.append(c)
        time.sleep(0.7)
        more = kilobytes() - before
        for c in readers:
            c.close()
        well = s.ask("/health")["status"] == "ok"
        for _ in range(200):
            if not [fd for fd in os.listdir(f"/proc/{s.process.pid}/fd") if "files/" in link(s.process.pid, fd)]:
                break
            time.sleep(0.02)
        else:
            return ["files stay open after their readers left"]
    return [] if well and more < 128 << 10 else [f"{more} KiB for 16 readers of 16 MiB, {well}"]


def what_is_cut_short_is_not_passed_off_as_whole():
    data = os.urandom(24 << 20)
    with Server(GYR) as s:
        made = keep(s, data, "user_data")
        c = s.connect()
        for _ in range(2):  # on one connection
            c.request("GET", f"/v1/files/{made['id']}/content")
            if c.getresponse().read() != data:
                return ["it comes back as something else"]
        c.request("GET", f"/v1/files/{made['id']}/content")
        reply = c.getresponse()
        got = len(reply.read(1 << 16))
        path = os.path.join(s.environ["GYR_STATE"], "files", made["id"])
        os.truncate(path, 20 << 20)
        try:
            got += len(reply.read())
            return [f"{got} of {len(data)} bytes, as if that were all"]
        except http.client.IncompleteRead as e:
            got += len(e.partial)
        status, _, content = s.send("GET", f"/v1/files/{made['id']}/content")
    good = got <= 20 << 20 and status == 500 and b"damaged" in content
    return [] if good else [f"{got} bytes, then {status} {content[:200]!r}"]


def link(pid, fd):
    try:
        return os.readlink(f"/proc/{pid}/fd/{fd}")
    except OSError:
        return ""


BAD = {"model": dict(chat("a"), model="gpt-9"), "temperature": chat("a", temperature=-1), "empty": {"messages": []},
       "stream": chat("a", stream=True), "long": chat("word " * 3000)}


def a_batch_is_answered_as_its_requests_are():
    asked = {f"line {i}": b for i, b in enumerate(bodies(25))}
    asked.update(BAD)
    problems = []
    with Server(GYR, "--parallel", "8") as s:
        made = batch(s, [line(k, v) for k, v in asked.items()], metadata={"job": "poems"})
        b = wait(s, made)
        good, bad = lines_of(s, b["output_file_id"]), lines_of(s, b["error_file_id"])
        wrong = [k for k in asked if k not in BAD and said(good[k]["response"]["body"]) != said(s.ask(CHAT, asked[k]))]
        direct = {k: s.send("POST", CHAT, v)[::2] for k, v in BAD.items() if k != "stream"}
        listed = [f["purpose"] for f in s.ask("/v1/files")["data"]]
        page = s.ask("/v1/batches?limit=1")
    if made["status"] != "validating" or b["status"] != "completed" or b["metadata"] != {"job": "poems"}:
        problems.append(f"{made}, {b}")
    if b["request_counts"] != {"total": 30, "completed": 25, "failed": 5} or set(good) | set(bad) != set(asked):
        problems.append(f"{b['request_counts']}, {sorted(good)}, {sorted(bad)}")
    if wrong:
        problems.append(f"answers that are not those of requests: {wrong}")
    for k, (status, content) in direct.items():
        got = bad[k]["response"]
        if (got["status_code"], got["body"]) != (status, json.loads(content)):
            problems.append(f"{k}: {got}, not {status} {content}")
    if bad["stream"]["response"]["status_code"] != 400 or sorted(listed) != ["batch", "batch_output", "batch_output"]:
        problems.append(f"{bad['stream']}, {listed}")
    return problems + [f"{page}"] * (page["data"] != [b] or page["has_more"])


def other_endpoints_and_wishes():
    problems = []
    with Server(GYR) as s:
        for url, body in (("/v1/completions", {"prompt": "The sea", "max_tokens": 5}),
                          ("/v1/responses", {"input": "The sea", "max_output_tokens": 5, "store": False}),
                          ("/v1/embeddings", {"input": ["The sea", "Snow"]})):
            b = wait(s, batch(s, [line("a", body, url)], endpoint=url))
            got = lines_of(s, b["output_file_id"])["a"]["response"]
            if got["status_code"] != 200 or said(got["body"]) != said(s.ask(url, body)):
                problems.append(f"{url}: {got}")
        failed = wait(s, batch(s, [line("a", {}), "{", line("a", {}), line("b", {}, "/v1/files")]))
        codes = [(e["line"], e["code"]) for e in failed["errors"]["data"]]
        if failed["status"] != "failed" or sorted(codes, key=str) != sorted(
                [(2, "invalid_json_line"), (4, "invalid_url"), (None, "duplicate_custom_id")], key=str):
            problems.append(f"{failed}")
        file = keep(s, b"{}", "user_data")["id"]
        good = {"input_file_id": file, "endpoint": CHAT, "completion_window": "24h"}
        tries = [({}, 400), (dict(good, endpoint="/v1/files"), 400), (dict(good, completion_window="soon"), 400),
                 (dict(good, metadata=[1]), 400), (dict(good, metadata={"a": 1}), 400), (dict(good, colour=1), 400),
                 (dict(good, input_file_id="file-x"), 404), (good, 400)]
        for body, status in tries:
            got, _, content = s.send("POST", "/v1/batches", body)
            if got != status:
                problems.append(f"{body}: {got} {content[:200]!r}, not {status}")
        lost = [s.send(m, p)[0] for m, p in (("GET", "/v1/batches/x"), ("POST", "/v1/batches/x/cancel"),
                                             ("POST", "/v1/batches/x"), ("DELETE", "/v1/batches/x"),
                                             ("GET", "/v1/batches?limit=101"), ("GET", "/v1/batches?after=x"))]
        if lost != [404, 404, 404, 405, 400, 400]:
            problems.append(f"{lost}")
    return problems


def a_batch_can_be_cancelled_and_requests_come_first():
    with Server(GYR, "--parallel", "2") as s:
        b = batch(s, [line(str(i), dict(body, ignore_eos=True)) for i, body in enumerate(bodies(200, 100))])
        busy = wait(s, b, until=("in_progress",))
        start, running = time.time(), set()
        while time.time() < start + (0.3 if 1 in running else 20):
            metrics = s.send("GET", "/metrics")[2].decode()
            running.add(int(re.search(r"^vllm:num_requests_running (\d+)$", metrics, re.M)[1]))
        in_use = s.send("DELETE", f"/v1/files/{b['input_file_id']}")[0]
        start = time.time()
        s.ask(CHAT, chat("a", max_tokens=2))
        took = time.time() - start
        s.ask(f"/v1/batches/{b['id']}/cancel", {})
        over = wait(s, b)
        again = s.send("POST", f"/v1/batches/{b['id']}/cancel", {})[0]
        good, bad = lines_of(s, over["output_file_id"]), lines_of(s, over["error_file_id"])
        free = s.send("DELETE", f"/v1/files/{b['input_file_id']}")[0]
    problems = []
    if over["status"] != "cancelled" or not over["cancelled_at"] or in_use != 409 or again != 409 or free != 200:
        problems.append(f"{over}: file in use: {in_use}, cancelled again: {again}, then deleted: {free}")
    if len(good) + len(bad) != 200 or set(good) & set(bad) or len(good) > 150:
        problems.append(f"{busy}: {len(good)} answered, {len(bad)} not")
    if {e["error"]["code"] for e in bad.values()} != {"batch_cancelled"}:
        problems.append(f"{list(bad.values())[:2]}")
    if not running <= {0, 1} or 1 not in running:
        problems.append(f"{running} lines at once, of 2 places")
    return problems + [f"a request waited {took:.1f} s for the batch"] * (took > 5)


def what_is_one_keys_is_not_anothers():
    with tempfile.TemporaryDirectory() as state:
        ann, bob, root = add_key(state, "ann"), add_key(state, "bob"), add_key(state, "root", "--admin")
        with Server(GYR, "--host", "0.0.0.0", "--name", "localhost", state=state) as s:
            s.host = "127.0.0.1"
            made = batch(s, [line("a", bodies(1)[0])], ann)
            b = wait(s, made, ann)
            paths = [("GET", f"/v1/files/{f}{end}") for f in (b["input_file_id"], b["output_file_id"])
                     for end in ("", "/content")]
            paths += [("GET", f"/v1/batches/{b['id']}"), ("POST", f"/v1/batches/{b['id']}/cancel"),
                      ("DELETE", f"/v1/files/{b['output_file_id']}")]
            theirs = [s.send(m, p, None, bearer(bob))[0] for m, p in paths]
            use = s.send("POST", "/v1/batches", {"input_file_id": b["input_file_id"], "endpoint": CHAT,
                                                 "completion_window": "24h"}, bearer(bob))[0]
            none = [s.ask(p, None, bearer(bob))["data"] for p in ("/v1/files", "/v1/batches")]
            nobody = [s.send(m, p)[0] for m, p in paths]
            admin = [s.send(m, p, None, bearer(root))[0] for m, p in paths]
            s.stop()
        usage = subprocess.run([GYR, "key", "usage", "ann", "--json"], env=dict(os.environ, GYR_STATE=state),
                               capture_output=True, text=True, check=True)
    tokens = json.loads(usage.stdout)[0]["answer_tokens"]
    good = theirs == [404] * 7 and use == 404 and none == [[], []] and nobody == [401] * 7 and tokens == 12
    good = good and admin == [200] * 5 + [409, 200]
    return [] if good else [f"{theirs}, {use}, {none}, {nobody}, {admin}, {usage.stdout}"]


def killed_batches_go_on():
    asked = {str(i): b for i, b in enumerate(bodies(30, 40))}
    with tempfile.TemporaryDirectory() as state:
        kept = []
        b = None
        for kills in range(4):
            with Server(GYR, "--parallel", "4", state=state) as s:
                b = b or batch(s, [line(k, v) for k, v in asked.items()])
                if kills == 3:
                    over = wait(s, b)
                    good, bad = lines_of(s, over["output_file_id"]), lines_of(s, over["error_file_id"])
                    direct = {k: said(s.ask(CHAT, v)) for k, v in list(asked.items())[::5]}
                    break
                while s.ask(f"/v1/batches/{b['id']}")["request_counts"]["completed"] < 6 * (kills + 1):
                    time.sleep(0.005)
                kept.append(s.ask(f"/v1/batches/{b['id']}")["request_counts"]["completed"])
                s.stop(signal.SIGTERM if kills == 2 else signal.SIGKILL)
    problems = []
    if over["status"] != "completed" or set(good) != set(asked) or bad or over["request_counts"]["completed"] != 30:
        problems.append(f"{over}: {sorted(good)}, {sorted(bad)}; {kept} when killed")
    wrong = [k for k, v in direct.items() if said(good[k]["response"]["body"]) != v]
    return problems + [f"wrong answers: {wrong}"] * bool(wrong) + [f"not in the midst: {kept}"] * (kept[-1] >= 30)


def another_server_takes_over():
    asked = {str(i): b for i, b in enumerate(bodies(12, 40))}
    with tempfile.TemporaryDirectory() as state:
        with Server(GYR, "--parallel", "4", state=state) as first, Server(GYR, state=state) as second:
            b = batch(first, [line(k, v) for k, v in asked.items()])
            while first.ask(f"/v1/batches/{b['id']}")["request_counts"]["completed"] < 3:
                time.sleep(0.005)
            first.stop(signal.SIGKILL)
            over = wait(second, b)
            good = lines_of(second, over["output_file_id"])
    return [] if over["status"] == "completed" and set(good) == set(asked) else [f"{over}: {sorted(good)}"]


def a_days_limit_outlives_the_server():
    with tempfile.TemporaryDirectory() as state:
        key = add_key(state, "ann", "--tokens", "1000/day")
        got = []
        for _ in range(2):
            with Server(GYR, state=state) as s:
                got.append(s.send("POST", CHAT, chat("a", max_tokens=60), bearer(key))[0])
                if len(got) == 2:
                    b = wait(s, batch(s, [line("a", chat("a", max_tokens=60))], key), key, ("in_progress",))
                    time.sleep(0.3)
                    got.append(s.ask(f"/v1/batches/{b['id']}", None, bearer(key)))
            with closing(sqlite3.connect(os.path.join(state, "state.db"))) as db, db:  # as if it had been a long answer
                db.execute("UPDATE usage SET answer_tokens = 1000000, day = ?", (int(time.time()) // 86400,))
    waits = got[2]["status"] == "in_progress" and got[2]["request_counts"] == {"total": 1, "completed": 0, "failed": 0}
    return [] if got[:2] == [200, 429] and waits else [f"{got}"]


def a_batch_leaves_a_key_its_requests():
    asked = {str(i): b for i, b in enumerate(bodies(8))}
    with tempfile.TemporaryDirectory() as state:
        key = add_key(state, "ann", "--rate", "1/min", "--tokens", "100/min", "--concurrency", "1")
        with Server(GYR, state=state) as s:
            over = wait(s, batch(s, [line(k, v) for k, v in asked.items()], key), key)
            got = [s.send("POST", CHAT, chat("a", max_tokens=3), bearer(key))[0] for _ in range(2)]
    return [] if over["request_counts"]["completed"] == 8 and got == [200, 429] else [f"{over}, {got}"]


def what_a_kill_left_is_swept():
    with tempfile.TemporaryDirectory() as state:
        with Server(GYR, state=state) as s:
            kept = keep(s, b"x", "user_data")["id"]
        folder = os.path.join(state, "files")
        for name in ("file-" + "a" * 24, "file-" + "b" * 24 + ".part", kept):
            with open(os.path.join(folder, name), "a", encoding="ascii"):
                pass
            os.utime(os.path.join(folder, name), (1, 1))
        with Server(GYR, state=state) as s:
            for _ in range(100):
                if os.listdir(folder) == [kept]:
                    return []
                time.sleep(0.05)
        return [f"{os.listdir(folder)}, not {kept}"]


def only_the_loopback_is_without_keys():
    problems = []
    with tempfile.TemporaryDirectory() as state:
        for host in ("127.evil.example", "127.0.0.1.example", "127.999.0.1", "0.0.0.0"):
            tried = subprocess.run([GYR, "serve", "--port", "0", "--host", host], capture_output=True, text=True,
                                   check=False, timeout=60, env=dict(os.environ, GYR_STATE=state))
            if tried.returncode == 0 or "keys are asked for at this address" not in tried.stderr:
                problems.append(f"{host}: {tried.returncode} {tried.stderr}")
        for host in ("127.0.0.1", "127.0.0.2", "localhost"):
            with Server(GYR, "--host", host, state=state) as s:
                if s.ask("/health")["status"] != "ok":
                    problems.append(host)
    return problems


if __name__ == "__main__":
    run(a_file_comes_back_as_it_was_sent, files_are_listed_in_pages, what_is_no_file_is_refused,
        a_slow_reader_costs_no_memory, a_batch_is_answered_as_its_requests_are, other_endpoints_and_wishes,
        a_batch_can_be_cancelled_and_requests_come_first, what_is_one_keys_is_not_anothers, killed_batches_go_on,
        a_batch_leaves_a_key_its_requests, another_server_takes_over, what_is_cut_short_is_not_passed_off_as_whole, a_days_limit_outlives_the_server, what_a_kill_left_is_swept, only_the_loopback_is_without_keys)
