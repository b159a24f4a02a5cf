"""The page as the server gives it: its files are those of the sources, with the headers that keep it safe.

usage: files.py GYR
"""
import gzip
import hashlib
import importlib.util
import re
import subprocess
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

from web import GYR, ROOT, Server, run_cases

WEB = ROOT / "src/server/web"
MOST = 400_000  # bytes of all files, compressed


def packer():
    loader = SourceFileLoader("pack", str(ROOT / "tools/web/pack.py"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("pack", loader))
    loader.exec_module(module)
    return module


def it_is_made_of_the_sources():
    pack = packer()
    made = pack.collect(pack.Sources(WEB))
    problems = []
    with Server(GYR) as s:
        for name, data in made.items():
            path = "/" if name == "index.html" else "/page/" + name
            status, headers, content = s.send("GET", path, None, {"Accept-Encoding": "identity"})
            packed = s.send("GET", path, None, {"Accept-Encoding": "br, gzip;q=0.5"})
            if packed[1]["Content-Encoding"] == "gzip":
                packed = (*packed[:2], gzip.decompress(packed[2]))
            if status != 200 or content != data or packed[2] != data or headers["Content-Encoding"]:
                problems.append(f"{path}: {status}, {len(content)} bytes, {len(packed[2])} unpacked, not {len(data)}")
            again = s.send("GET", path, None, {"If-None-Match": headers["ETag"], "Accept-Encoding": "identity"})
            if again[0] != 304 or again[2] or again[1]["ETag"] != headers["ETag"]:
                problems.append(f"{path}: asked again: {again[0]}, {len(again[2])} bytes")
    return problems


def its_headers_keep_others_out():
    want = {"Content-Security-Policy": ["default-src 'none'", "script-src 'self';", "style-src 'self';", "connect-src 'self'", "img-src 'self' data:;",
                                        "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"],
            "X-Content-Type-Options": ["nosniff"], "X-Frame-Options": ["DENY"], "Referrer-Policy": ["no-referrer"],
            "Cross-Origin-Opener-Policy": ["same-origin"], "Cross-Origin-Resource-Policy": ["same-origin"], "Vary": ["Accept-Encoding"]}
    problems = []
    with Server(GYR) as s:
        for path in ("/", "/page/app.js", "/page/worker.js"):
            headers = s.send("GET", path)[1]
            problems += [f"{path}: {name}: no {words} in {headers[name]}" for name, all_words in want.items() for words in all_words
                         if words not in (headers[name] or "")]
            if "unsafe" in headers["Content-Security-Policy"]:
                problems.append(f"{path}: {headers['Content-Security-Policy']}")
        for how, status in (({"Host": "evil.example"}, 403), ({"Origin": "http://evil.example"}, 403)):
            got = s.send("GET", "/", None, how)[0]
            problems += [f"{how}: {got}"] * (got != status)
        head = s.send("HEAD", "/")
        problems += [f"HEAD: {head}"] * (head[0] != 200 or head[2] != b"" or "ETag" not in head[1])
        for method, path, status in (("GET", "/page/none.js", 404), ("GET", "/page/../serve.c", 404), ("GET", "/page/", 404), ("POST", "/", 405)):
            got = s.send(method, path)[0]
            problems += [f"{method} {path}: {got}, not {status}"] * (got != status)
    return problems


def it_is_there_before_a_key_is():
    problems = []
    with Server(GYR) as home:
        subprocess.run([GYR, "key", "add", "ann"], env=home.environ, capture_output=True, check=True)
        with Server(GYR, "--auth", state=home.environ["GYR_STATE"]) as s:
            got = s.send("GET", "/")[0], s.send("GET", "/v1/models")[0]
        problems += [f"{got}"] * (got != (200, 401))
        with Server(GYR, "--no-page") as s:
            got = s.send("GET", "/")[0], s.send("GET", "/page/app.js")[0], s.send("GET", "/health")[0]
    return problems + [f"--no-page: {got}"] * (got != (404, 404, 200))


def it_is_small():
    pack = packer()
    _, rows = pack.lay_out(pack.collect(pack.Sources(WEB)))
    size = sum(row[6] or row[4] for row in rows)
    return [] if size < MOST else [f"{size} bytes; {MOST} is the most"]


def the_libraries_are_as_they_came():
    problems = []
    named = dict(reversed(line.split()) for line in (WEB / "vendor/SUMS").read_text(encoding="utf-8").splitlines())
    there = {p.name for p in (WEB / "vendor").iterdir()} - {"SUMS"}
    problems += [f"vendor/{name}: in the folder or in SUMS alone" for name in there ^ set(named)]
    for name in there & set(named):
        if hashlib.sha256((WEB / "vendor" / name).read_bytes()).hexdigest() != named[name]:
            problems.append(f"vendor/{name}: not what SUMS says")
    return problems + [f"no licence of {name}" for name in ("markdown-it", "dompurify", "katex", "highlight")
                       if "LICENSE." + name not in there]


def words_of(code):
    return dict(re.findall(r'^    "([\w.]+)": "(.*)",$', (WEB / f"js/lang/{code}.js").read_text(encoding="utf-8"), re.MULTILINE))


def the_languages_have_the_same_words():
    english, problems = words_of("en"), []
    for path in (WEB / "js/lang").iterdir():
        other = words_of(path.stem)
        names = {name for name in english if not name.endswith(".one")}
        problems += [f"{path.name}: no {name}" for name in sorted(names - set(other))] + \
                    [f"{path.name}: {name} is not English's" for name in sorted(set(other) - set(english))]
        problems += [f"{path.name}: {name}: other places for values" for name in names & set(other)
                     if set(re.findall(r"\{\w+\}", other[name])) != set(re.findall(r"\{\w+\}", english[name]))]
    code = "".join(p.read_text(encoding="utf-8") for p in (WEB / "js").glob("*.js"))
    # names that are put together ("settings." + name) are found by their beginning
    begun = tuple(set(re.findall(r'(?:t\(|t\(`)["`]([\w.]+\.)(?:"|\$\{)', code)) | {"compare.same", "message.branch."})
    problems += [f"en.js: nobody says {name}" for name in english if f'"{name}"' not in code and not name.startswith(begun)
                 and not name.endswith(".one")]
    said = re.findall(r'\bt\("([\w.]+)"[,)]', code)
    return problems + [f"{name}: no words for it" for name in sorted(set(said)) if name not in english]


def what_cannot_be_packed_is_said():
    pack, problems = packer(), []
    for text, words in (("export default 1;\n", "not a form"), ('import x from "./y.js";\n', "not a form"),
                        ('import {a} from "./main.js";\n', "circle")):
        with tempfile.TemporaryDirectory() as folder:
            first = Path(folder).resolve() / "main.js"
            first.write_text(text, encoding="utf-8")
            sources = pack.Sources(first.parent)
            try:
                pack.bundle(sources, first)
                problems.append(f"{text!r} was packed")
            except pack.Wrong as why:
                problems += [f"{text!r}: {why}"] * (words not in str(why))
    return problems


if __name__ == "__main__":
    run_cases(it_is_made_of_the_sources, its_headers_keep_others_out, it_is_there_before_a_key_is, it_is_small,
              the_libraries_are_as_they_came, the_languages_have_the_same_words, what_cannot_be_packed_is_said)
