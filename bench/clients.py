"""Clients of gyr serve and of llama.cpp's server, for bench/serve, bench/http and bench/soak."""
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

WORDS = ("sea light song rose night love gold rain falcon wind stone river snow fire dream tree star hand eye heart road "
         "hill bird leaf moon king ship bell door glass").split()


def prompt(seed, words):
    """Text that has no beginning in common with another's."""
    picked = []
    for i in range(words):
        seed = (seed * 1103515245 + 12345 + i) % (1 << 31)
        picked.append(WORDS[(seed >> 8) % len(WORDS)])
    return " ".join(picked)


class Server:
    def __init__(self, command, ready, cache):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env=dict(os.environ, XDG_CACHE_HOME=cache, GYR_STATE=cache))
        self.port = ready(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def listening(s):
    """The port that gyr serve says it listens on."""
    line = s.process.stdout.readline()
    found = re.search(r":(\d+)\n", line)
    if not found:
        sys.exit(f"gyr serve: {line}")
    return int(found[1])


def gyr_server(o, cache, *more):
    return Server([o.gyr, "serve", "-m", o.model, "--port", "0", "--quiet", *more], listening, cache)


def llama_server(o, cache, streams):
    port = 18431
    tokens = 4096 if streams > 1 else 8192

    def ready(s):
        for _ in range(600):
            try:
                asyncio.run(whole(port, "GET", "/health", None))
                return port
            except (OSError, ValueError):
                time.sleep(0.1)
        sys.exit("llama-server did not start")

    return Server([o.llama_server, "-m", o.model, "--port", str(port), "-np", str(streams), "-c", str(tokens * streams),
                   "-t", str(len(os.sched_getaffinity(0))), "--no-webui", "-fa", "on"], ready, cache)


async def send(port, method, path, body):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
    data = json.dumps(body).encode() if body is not None else b""
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                 f"Content-Length: {len(data)}\r\nConnection: close\r\n\r\n".encode() + data)
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head.split()[1])
    return reader, writer, status, b"chunked" in head.lower()


async def whole(port, method, path, body):
    reader, writer, status, _ = await send(port, method, path, body)
    content = await reader.read()
    writer.close()
    if status != 200:
        raise ValueError(f"{path}: {status} {content[:300]!r}")
    return content


async def stream(port, text, tokens, times=None):
    """(text, times of its events, usage) of an answer. Times go into the list that is given, also of an answer that is
    cancelled."""
    body = {"prompt": text, "max_tokens": tokens, "temperature": 0, "ignore_eos": True, "stream": True,
            "stream_options": {"include_usage": True}}
    start = time.perf_counter()
    reader, writer, status, _ = await send(port, "POST", "/v1/completions", body)
    if status != 200:
        raise ValueError(f"{status} {(await reader.read())[:300]!r}")
    said, usage = [], {}
    times = [] if times is None else times
    while True:
        line = await reader.readline()
        if not line or line.strip() == b"data: [DONE]":
            break
        if not line.startswith(b"data: "):
            continue
        event = json.loads(line[6:])
        usage = event.get("usage") or usage
        if event.get("choices") and event["choices"][0].get("text"):
            said.append(event["choices"][0]["text"])
            times.append(time.perf_counter() - start)
    writer.close()
    return "".join(said), times, usage
