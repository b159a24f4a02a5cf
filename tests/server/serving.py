"""A server of one's own for a test: started, asked and stopped."""
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading


def sanitized():
    """Whether the program that is tested is one that sanitizers watch, and slow."""
    program = open(sys.argv[1], "rb").read()
    return b"__asan_init" in program or b"__tsan_init" in program


def fewer(all_of_them, under_sanitizers):
    """How many of what costs the same each: as test_times() of the tests in C."""
    return under_sanitizers if sanitized() and not os.environ.get("TEST_ALL") else all_of_them


class Server:
    """gyr serve on a free port, with a state of its own."""

    def __init__(self, gyr, *options, state=None, cache=None, verb=("serve", "--port", "0", "--no-cache")):
        self.folder = tempfile.TemporaryDirectory()
        self.environ = dict(os.environ, GYR_STATE=state or self.folder.name, XDG_CACHE_HOME=cache or self.folder.name)
        self.log = open(os.path.join(self.folder.name, "log"), "w+", encoding="utf-8")
        self.process = subprocess.Popen([gyr, *verb, *options], env=self.environ,
                                        stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on https?://(.*):(\d+)\n", line)
        if not found:
            self.process.wait()
            self.log.seek(0)
            raise RuntimeError(f"{self.process.returncode}: {line}{self.log.read()}")
        self.host, self.port = found[1].strip("[]"), int(found[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()
        self.log.close()
        self.folder.cleanup()

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(timeout=60)

    def said(self):
        self.log.seek(0)
        return self.log.read()

    def connect(self):
        return http.client.HTTPConnection(self.host, self.port, timeout=120)

    def send(self, method, path, body=None, headers=None):
        """(status, headers, bytes) of a request."""
        c = self.connect()
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        c.request(method, path, data, headers or {})
        reply = c.getresponse()
        content = reply.read()
        c.close()
        return reply.status, reply.headers, content

    def ask(self, path, body=None, headers=None, status=200):
        """The JSON that a POST (a GET without a body) is answered with; anything but `status` is an error."""
        got, _, content = self.send("GET" if body is None else "POST", path, body, headers)
        if got != status:
            raise AssertionError(f"{path}: {got} {content[:500]!r}")
        return json.loads(content) if content else None

    def events(self, path, body, headers=None):
        """What a stream says: (name of the event or None, data) of each."""
        status, reply, content = self.send("POST", path, dict(body, stream=True), headers)
        if status != 200:
            raise AssertionError(f"{path}: {status} {content[:500]!r}")
        if reply["Content-Type"] == "application/x-ndjson":
            return [(None, json.loads(line)) for line in content.splitlines()]
        events = []
        for block in content.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            events.append((lines.get("event"), lines["data"] if lines["data"] == "[DONE]" else json.loads(lines["data"])))
        return events


def chat(text, **more):
    return dict({"messages": [{"role": "user", "content": text}]}, **more)


def in_threads(fn, items):
    """fn(item) of each at once: what was raised."""
    problems = []

    def one(item):
        try:
            fn(item)
        except Exception as e:  # pylint: disable=broad-except
            problems.append(f"{item}: {type(e).__name__}: {e}")

    threads = [threading.Thread(target=one, args=(i,)) for i in items]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return problems
