"""Bodies of requests: whose are kept, and how much of them.

usage: bodies.py GYR
"""
import json
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from root_causes import BODY, CHAT, REQUEST, add_key, guarded, memory, raw, sanitized, statuses, tried, well  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]


def no_body_is_kept_of_who_may_not_ask():
    """Memory for who has no key: the refusal comes with the head, and the body is dropped as it comes."""
    problems = []
    with Server(GYR) as home:
        key = "Authorization: " + add_key(home, "ann")["Authorization"] + "\r\n"
        with guarded(home) as s:
            good = REQUEST + key.encode() + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
            late = b"Content-Length: 30000000\r\n\r\n"
            get = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
            rows = {"a body to come": (REQUEST + late, [401], False),
                    "a wrong key": (REQUEST + b"X-Api-Key: x\r\n" + late, [401], False),
                    "no such path": (REQUEST.replace(CHAT.encode(), b"/none") + late, [404], False),
                    "a compressed one": (REQUEST + key.encode() + b"Content-Encoding: gzip\r\n" + late, [415], False),
                    "a wrong host": (REQUEST.replace(b"localhost", b"evil.example") + key.encode() + late, [403], False),
                    "chunks to come": (REQUEST + b"Transfer-Encoding: chunked\r\n\r\n", [401], True),
                    "leave to send it": (REQUEST + b"Expect: 100-continue\r\n" + late, [401], True),
                    "a body behind GET": (get + b"Content-Length: %d\r\n\r\n" % len(good) + good, [401], True),
                    "chunks behind GET": (get + key.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + good, [200], True),
                    "the next one": (REQUEST + b"Content-Length: %d\r\n\r\n" % len(good) + good + good, [401, 200], False),
                    "many": ((REQUEST + b"Content-Length: 9\r\n\r\n" + b"x" * 9 + good) * 5, [401, 200] * 5, False),
                    "in pieces": ((REQUEST + b"Content-Length: 9\r\n\r\n" + b"x" * 9 + good), [401, 200], False)}
            for name, (data, want, closed) in rows.items():
                with socket.create_connection((s.host, s.port), timeout=20) as c:
                    for at in range(0, len(data), 7) if name == "in pieces" else [0]:
                        c.sendall(data[at:at + 7] if name == "in pieces" else data)
                    got, ended = b"", False
                    while not ended and len(statuses(got)) < len(want):
                        piece = c.recv(65536)
                        got, ended = got + piece, not piece
                    c.settimeout(5 if closed else 0.2)
                    try:
                        while not ended:
                            piece = c.recv(65536)
                            got, ended = got + piece, not piece
                    except TimeoutError:
                        pass
                    except ConnectionError:
                        ended = True
                if statuses(got) != want or ended != closed:
                    problems.append(f"{name}: {statuses(got)}, {'' if ended else 'not '}closed: {got[:300]!r}")
            before = memory(s)
            held = [socket.create_connection((s.host, s.port)) for _ in range(24)]
            for c in held:
                c.sendall(REQUEST + late + b" " * 4_000_000)
            grown = memory(s) - before
            for c in held:
                c.close()
            if grown > 40 << 20 and not sanitized():
                problems.append(f"{grown} bytes are kept of 96 MB of strangers' bodies")
            return problems + [f"{got}" for got in [statuses(raw(s, good, finish=False, replies=1))] if got != [200]]


def bodies_take_no_more_than_they_may():
    """However many connections send one: what would be too much is refused with 503, small requests go on."""
    head, problems, held, full = REQUEST + b"Content-Length: 1000000\r\n\r\n", [], [], 0
    whole = head + json.dumps(chat("a", max_tokens=1)).encode().ljust(1000000)
    with Server(GYR, "--body", "1000000") as s:
        while len(held) < 100 and full < 5:
            c = socket.create_connection((s.host, s.port), timeout=0.2 if len(held) > 40 else 0.01)
            held.append(c)
            try:
                c.sendall(head + b" " * 990000)
                full += statuses(c.recv(65536)) == [503]
            except OSError:
                pass
        problems += tried(s, CHAT, chat("a", max_tokens=2), (200,))
        grown = memory(s)
        for c in held:
            c.close()
        again = any(statuses(raw(s, whole, 5, finish=False, replies=1)) == [200] for _ in range(20))
        if not full or not again or (grown > 120 << 20 and not sanitized()):
            problems.append(f"full: {full}, again: {again}, {grown} bytes")
        return problems + well(s)


if __name__ == "__main__":
    run(no_body_is_kept_of_who_may_not_ask, bodies_take_no_more_than_they_may)
