"""A hub of our own: the part of the model hub's interface that gyr uses, and every way in which it can go wrong.

A Hub serves repositories from memory. Large files are redirected to a second address, as the real one sends to its
content network. What goes wrong is put into `faults` as (path pattern, fault): each request takes the first that matches
it. A fault is a method of Handler by name, with what follows a colon as its argument.
"""
import fnmatch
import hashlib
import json
import random
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def listing_entry(path, data, lfs=True):
    """A file as the tree of the hub shows it."""
    git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry = {"type": "file", "oid": git, "size": len(data), "path": path}
    if lfs:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry


class Repo:
    """Files of one repository. `entries` is what the listing says; by default the truth."""

    def __init__(self, files, commit=COMMIT, entries=None, page=1000):
        self.files, self.commit, self.page = files, commit, page
        self.entries = entries or [listing_entry(p, d, p.endswith((".gguf", ".safetensors")))
                                   for p, d in files.items()]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        hub, url = self.server.hub, urlsplit(self.path)
        with hub.lock:
            hub.seen.append({"port": self.server.server_port, "path": unquote(url.path), "query": url.query,
                             "raw": self.path, "headers": dict(self.headers)})
            fault = hub.take_fault(unquote(url.path))
        try:
            self.answer(fault, url)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def answer(self, fault, url):
        kind, _, argument = (fault or "").partition(":")
        if kind and not hasattr(self, kind):
            self.status(int(kind), argument)
        elif kind in ("refuse", "loop", "send_to", "hang_up", "garbage"):
            getattr(self, kind)(argument)
        else:
            reply = self.find(url)
            if reply is None:
                self.status(404, "EntryNotFound")
            elif isinstance(reply, str):
                self.status(302, location=reply)
            else:
                getattr(self, kind or "plain")(reply, argument)

    def find(self, url):
        """What belongs to this address: bytes, an address to go to, or None."""
        hub, parts = self.server.hub, unquote(url.path).strip("/").split("/")
        if parts[0] == "cdn":
            return hub.blobs.get(parts[1])
        name = "/".join(parts[2:4]) if parts[0] == "api" else "/".join(parts[:2])
        repo = hub.repos.get(name)
        if not repo:
            return None
        if parts[0] == "api" and parts[4] == "revision":
            return json.dumps({"id": name, "sha": repo.commit}).encode()
        if parts[0] == "api":
            return self.tree(repo, url)
        data = repo.files.get("/".join(parts[4:]))
        if data is None or len(data) < hub.lfs_from:
            return data
        key = hashlib.sha256(data).hexdigest()
        hub.blobs[key] = data
        return f"http://127.0.0.1:{hub.cdn.server_port}/cdn/{key}?signature=1"

    def tree(self, repo, url):
        at = int(url.query.partition("cursor=")[2] or 0)
        if at + repo.page < len(repo.entries):
            self.next = f"{self.server.hub.url}{url.path}?recursive=true&cursor={at + repo.page}"
        return json.dumps(repo.entries[at:at + repo.page]).encode()

    def head(self, status, size, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(size))
        if getattr(self, "next", None):
            self.send_header("Link", f'<{self.next}>; rel="next"')
            self.next = None
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def ask(self, data, tag='"one"'):
        """What of the data was asked for: status, where it begins, and headers."""
        wanted, condition = self.headers.get("Range"), self.headers.get("If-Range")
        headers = {"ETag": tag}
        if not wanted or (condition and condition != tag):
            return 200, 0, headers
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        at, self.until = int(first), min(int(last or len(data)), len(data) - 1) + 1
        if at >= len(data):
            return 416, len(data), headers
        headers["Content_Range"] = f"bytes {at}-{self.until - 1}/{len(data)}"
        return 206, at, headers

    def plain(self, data, _=""):
        self.until = len(data)
        status, at, headers = self.ask(data)
        data = data[:self.until]
        self.head(status, len(data) - at, **headers)
        piece, pause = self.server.hub.pace
        for i in range(at, len(data), piece):
            self.wfile.write(data[i:min(i + piece, len(data))])
            if pause:
                time.sleep(pause)

    def status(self, status, argument="", location=None):
        headers = {"X_Error_Code": argument} if argument and not argument[0].isdigit() else {}
        if argument and argument[0].isdigit():
            headers["Retry_After"] = argument
        if location:
            headers["Location"] = location
        self.head(status, 3, **headers)
        self.wfile.write(b"no\n")

    def cut(self, data, argument):
        """Promises all and hangs up on the way, at a random place or where the argument says."""
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at, **headers)
        stop = min(at + (int(argument) if argument else random.randrange(len(data) - at + 1)), len(data) - 1)
        self.wfile.write(data[at:max(stop, at)])
        self.hang_up()

    def wrong(self, data, _):
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at, **headers)
        self.wfile.write(bytes(255 - b for b in data[at:]))

    def stall(self, data, _):
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at, **headers)
        self.wfile.write(data[at:at + 10])
        self.wfile.flush()
        self.server.hub.stop.wait(20)
        self.close_connection = True

    def drip(self, data, _):
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at, **headers)
        for i in range(at, len(data)):
            self.wfile.write(data[i:i + 1])
            if self.server.hub.stop.wait(0.1):
                break
        self.close_connection = True

    def short(self, data, _):
        """An honest length of half of it."""
        _, at, headers = self.ask(data)
        self.head(200 if not at else 206, (len(data) - at) // 2, **headers)
        self.wfile.write(data[at:at + (len(data) - at) // 2])

    def long(self, data, _):
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at + 100, **headers)
        self.wfile.write(data[at:] + b"x" * 100)

    def bad_length(self, data, _):
        status, at, headers = self.ask(data)
        self.head(status, len(data) - at + 5000, **headers)
        self.wfile.write(data[at:])
        self.hang_up()

    def no_range(self, data, _):
        self.head(200, len(data), ETag='"one"')
        self.wfile.write(data)

    def other_range(self, data, _):
        self.head(206, 10, Content_Range=f"bytes 0-9/{len(data)}")
        self.wfile.write(data[:10])

    def other_tag(self, data, _):
        status, at, headers = self.ask(data, '"two"')
        self.head(status, len(data) - at, **headers)
        self.wfile.write(data[at:])

    def bare(self, data, _):
        """Bytes until the end of the connection, without a length."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(data)
        self.close_connection = True

    def text(self, _, argument):
        self.head(200, len(argument))
        self.wfile.write(argument.encode())

    def big(self, _, argument):
        """A list without end."""
        self.head(200, int(argument))
        for _ in range(int(argument) >> 16):
            self.wfile.write(b" " * (1 << 16))

    def loop(self, _):
        self.status(302, location=self.path)

    def send_to(self, argument):
        self.status(302, location=argument)

    def garbage(self, _):
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2p1\r\n")
        self.hang_up()

    def hang_up(self, _=""):
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that leaves is what is tested
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class Hub:
    """Serves until the next one is made. `url` is the hub's address, `cdn` the second server."""

    servers = []

    def __init__(self, repos, faults=(), pace=(1 << 20, 0), lfs_from=1000):
        self.repos, self.faults, self.pace, self.lfs_from = repos, list(faults), pace, lfs_from
        self.blobs, self.seen, self.lock, self.stop = {}, [], threading.Lock(), threading.Event()
        if not Hub.servers:
            Hub.servers = [serve(), serve()]
        self.main, self.cdn = Hub.servers
        for server in Hub.servers:
            server.hub = self
        self.url = f"http://127.0.0.1:{self.main.server_port}"

    def take_fault(self, path):
        for i, (pattern, fault) in enumerate(self.faults):
            if fnmatch.fnmatch(path, pattern):
                del self.faults[i]
                return fault
        return None

    def close(self):
        self.stop.set()
