"""/api/pull: models from the hub, told of while they come, and served; and /rerank, which no model here does.

usage: pull.py GYR
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../house"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../hub"))
from fake_hub import Hub, Repo  # noqa: E402
from house import ROOT, run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
PULL, CHAT = "/api/pull", "/v1/chat/completions"
POET = (ROOT / "models/poet.gguf").read_bytes()


class Hubbed:
    """A server with a hub and a store of its own."""

    def __init__(self, *options, faults=(), **pace):
        self.hub = Hub({"org/poet": Repo({"poet-Q8_0.gguf": POET, "README.md": b"read me"}),
                        "org/noise": Repo({"noise-Q8_0.gguf": random.Random(1).randbytes(5000)})}, faults, **pace)
        self.store = tempfile.TemporaryDirectory()
        for name in list(os.environ):
            if name.lower().endswith("_proxy") or name in ("HF_TOKEN", "GYR_MODEL"):
                del os.environ[name]
        os.environ.update(HF_ENDPOINT=self.hub.url, GYR_MODELS=self.store.name)
        self.server = Server(GYR, *options)

    def __enter__(self):
        return self.server

    def __exit__(self, *_):
        self.server.__exit__()
        self.hub.close()
        self.store.cleanup()


def names(s):
    return [m["id"] for m in s.ask("/v1/models")["data"]]


def what_is_pulled_is_served():
    problems = []
    with Hubbed("--pull", pace=(1 << 20, 0.1)) as s:
        want = s.ask(CHAT, chat("Write a poem about the sea", max_tokens=20))["choices"][0]["message"]
        lines = [e for _, e in s.events(PULL, {"model": "hf.co/org/poet:Q8_0"})]
        again = s.ask(PULL, {"name": "hf:org/poet", "stream": False})
        there = names(s)
        for name in ("hf.co/org/poet:Q8_0", "hf:org/poet", "hf:org/poet:latest"):
            got = s.ask(CHAT, chat("Write a poem about the sea", model=name, max_tokens=20))
            if got["choices"][0]["message"] != want:
                problems.append(f"{name}: {got}")
        shown = s.ask("/api/show", {"model": "hf:org/poet"})["model_info"]["general.architecture"]
        s.ask(PULL, {"name": "hf:org/poet", "stream": False})
        if names(s) != there or there != ["poet", "hf.co/org/poet:Q8_0", "hf:org/poet"] or shown != "falcon":
            problems.append(f"{there}, then {names(s)}; {shown}")
    counts = [e["completed"] for e in lines if "completed" in e]
    if lines[-1] != {"status": "success"} or again != {"status": "success"} or not counts or counts != sorted(counts) or \
       {e["total"] for e in lines if "total" in e} != {len(POET)}:
        problems.append(f"{lines} {again}")
    return problems


def only_who_may_pulls():
    problems = []
    with Hubbed() as s:  # a server for this machine alone
        s.ask(PULL, {"model": "hf:org/poet", "stream": False})
        if s.send("POST", PULL, {"model": "hf:org/poet"}, {"Origin": "http://evil.example"})[0] != 403:
            problems.append("a page of elsewhere may pull")
    with Hubbed("--host", "0.0.0.0", "--no-auth") as s:
        status, _, content = s.send("POST", PULL, {"model": "hf:org/poet"})
        if status != 403 or "administrator's key" not in content.decode():
            problems.append(f"{status} {content!r}")
        keys = {}
        for name, more in (("ann", []), ("root", ["--admin"])):
            made = subprocess.run([GYR, "key", "add", name, *more], env=s.environ, capture_output=True, text=True, check=True)
            keys[name] = {"Authorization": "Bearer " + made.stdout.split()[-1]}
        for name, status in (("ann", 403), ("root", 200)):
            for _ in range(100):  # a key is known within a second
                got, _, content = s.send("POST", PULL, {"model": "hf:org/poet", "stream": False}, keys[name])
                if got == status:
                    break
                time.sleep(0.05)
            if got != status:
                problems.append(f"{name}: {got} {content!r}")
        if names(s) != ["poet", "hf:org/poet"]:
            problems.append(f"{names(s)}")
    return problems


def what_cannot_be_pulled_is_said():
    problems = []
    rows = [({"model": "llama3"}, 400, "is named hf:OWNER/NAME"), ({"model": "/etc/passwd"}, 400, "is named hf:OWNER/NAME"),
            ({}, 400, "model: takes a model's name"), ({"model": 5}, 400, "model: takes a model's name"),
            ({"model": "hf:org/poet", "insecure": True}, 400, "insecure"), ({"model": "hf:org/poet", "x": 1}, 400, "unknown parameter"),
            ({"model": "hf:org/poet", "stream": "x"}, 400, "stream: takes true or false"),
            ({"model": "hf:org/none", "stream": False}, 500, "org/none"), ({"model": "hf:../..", "stream": False}, 400, ""),
            ({"model": "hf:org/poet:Q3_K", "stream": False}, 500, "Q3_K"), ({"model": "hf:org/noise", "stream": False}, 400, "")]
    with Hubbed("--pull") as s:
        for body, status, words in rows:
            got, _, content = s.send("POST", PULL, body)
            message = json.loads(content).get("error", "")
            if got != status or words not in message or not message or os.environ["GYR_MODELS"] in message:
                problems.append(f"{body}: {got} {content!r}, not {status} {words!r}")
        for path in ("/rerank", "/v1/rerank"):
            got, _, content = s.send("POST", path, {"query": "a", "documents": ["b"]})
            if got != 400 or "poet: this model ranks no documents" not in json.loads(content)["error"]["message"]:
                problems.append(f"{path}: {got} {content!r}")
        if s.send("POST", "/rerank", {"model": "x"})[0] != 404 or names(s) != ["poet"]:
            problems.append(f"{names(s)}")
    return problems


def who_leaves_stops_it():
    """And no more than two come at once; what came is kept. SIGTERM stops one that nobody waits for to end."""
    problems = []
    with Hubbed("--pull", faults=[("*cdn*", "drip")] * 50 + [("*resolve*", "drip")] * 50) as s:
        streams = []
        for name in ("hf:org/poet", "hf:org/noise"):
            c = s.connect()
            c.request("POST", PULL, json.dumps({"model": name}))
            reply = c.getresponse()
            streams.append((c, reply, reply.readline()))
        got, headers, content = s.send("POST", PULL, {"model": "hf:org/poet:Q8_0", "stream": False})
        if got != 429 or not headers["Retry-After"] or any(b'"status"' not in line for _, _, line in streams):
            problems.append(f"{got} {content!r} {streams}")
        for c, reply, _ in streams[:1]:
            reply.close()
            c.close()
        done = threading.Event()

        def third():
            for _ in range(200):
                c = s.connect()
                c.request("POST", PULL, json.dumps({"model": "hf:org/poet:Q8_0"}))
                reply = c.getresponse()
                if reply.status == 200:
                    reply.readline()
                    done.set()
                    return
                c.close()
                time.sleep(0.05)

        t = threading.Thread(target=third, daemon=True)
        t.start()
        t.join(20)
        start = time.time()
        code = s.stop()
        if not done.is_set() or code or time.time() - start > 20:
            problems.append(f"its place was not free: {done.is_set()}; {code} after {time.time() - start:.1f} s")
        streams[1][0].close()
    return problems


if __name__ == "__main__":
    run(what_is_pulled_is_served, only_who_may_pulls, what_cannot_be_pulled_is_said, who_leaves_stops_it)
