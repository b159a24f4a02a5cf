"""Ways in which servers like this one were broken, 2024 to 2026, by root cause: a case each, with the CVE ids.

usage: root_causes.py GYR [CASE]...
"""
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat, fewer, sanitized  # noqa: E402

GYR = sys.argv[1]
CHAT, RESPONSES, MESSAGES, OLLAMA = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/api/chat"
SLOW = 20  # seconds of the CPU that a request may take at most, under sanitizers
TELLING = re.compile(r"/(tmp|home|usr|etc|proc|var|build)\b|\b0x[0-9a-f]{4,}|gyr-[0-9A-Za-z]{40}|\.(c|h|gguf|db)\b")


def secrets(s, content, sent=""):
    """What an error must not tell, but what was sent: paths, addresses, keys, files of the program."""
    text = content.decode(errors="replace")
    found = [m[0] for m in TELLING.finditer(text) if m[0] not in sent] + [p for p in (s.folder.name, GYR) if p in text]
    return [f"{found} in {text[:300]!r}"] if found else []


def cpu_time(s):
    """Seconds that the server has computed, whatever else the machine does."""
    rest = open(f"/proc/{s.process.pid}/stat", encoding="ascii").read().rpartition(")")[2].split()
    return (int(rest[11]) + int(rest[12])) / os.sysconf("SC_CLK_TCK")


def tried(s, path, body, statuses, headers=None, most=SLOW):
    """What is wrong with the answer to a request: not one of the statuses, too late, no error in the API's shape."""
    start = cpu_time(s)
    what = f"{path} {json.dumps(headers) if headers else ''}{body if isinstance(body, bytes) else json.dumps(body)}"[:160]
    try:
        status, reply, content = s.send("POST" if body is not None else "GET", path, body, headers)
    except OSError as e:
        return [f"{what}: {type(e).__name__}: {e}"]
    took, problems = cpu_time(s) - start, []
    if status not in statuses:
        problems.append(f"{what}: {status} {content[:300]!r}, not {statuses}")
    if took > most:
        problems.append(f"{what}: took {took:.1f} s")
    if status >= 400:
        sent = json.dumps(body) if isinstance(body, dict) and status < 500 else ""
        problems += [f"{what}: {p}" for p in secrets(s, content, sent)]
        if reply["Content-Type"] != "application/json" or "error" not in json.loads(content):
            problems.append(f"{what}: no error in the API's shape: {content[:200]!r}")
    return problems


def well(s):
    """It still answers, and as always."""
    said = s.ask(CHAT, chat("a", max_tokens=3, temperature=0))["choices"][0]["message"]["content"]
    return [] if s.process.poll() is None and said else [f"not well afterwards: {said!r}"]


def raw(s, data, seconds=20, finish=True, replies=0):
    """What comes back for bytes as they are, until the server closes, says nothing for so long, or nothing for a while
    after as many replies as are expected."""
    got = b""
    with socket.create_connection((s.host, s.port), timeout=seconds) as c:
        try:
            c.sendall(data)
            if finish:
                c.shutdown(socket.SHUT_WR)
            while piece := c.recv(65536):
                got += piece
                if replies and len([code for code in statuses(got) if code != 100]) >= replies:
                    c.settimeout(0.4)
        except (ConnectionError, TimeoutError):
            pass
    return got


def statuses(replies):
    return [int(n) for n in re.findall(rb"HTTP/1\.[01] (\d+) ", replies)]


# ---------------------------------------------------------------------------------------------------------------------

def integers_are_checked():
    """CVE-2026-21869, 2026-54235, 2026-73558: sign, range, overflow, NaN."""
    whole = [-1, -2**31, 2**31 * 1000, 2**63 - 1, -2**63, 1e308, 0.5, "1", True, [1], {}]
    real = [-1e9, 1e9, "1", True, [1], {}]
    fields = {CHAT: {"max_tokens": whole, "max_completion_tokens": whole, "min_tokens": whole, "n": whole + [0],
                     "top_logprobs": whole, "priority": whole, "temperature": real, "top_p": real, "min_p": real,
                     "repetition_penalty": real + [0], "presence_penalty": real, "frequency_penalty": real,
                     "seed": [0.5, "1", True, [1]], "top_k": whole[1:], "stop_token_ids": [[-1], [2**31], [2**63 - 1], [0.5]],
                     "logit_bias": [{"-1": 1}, {"99999999999999999999": 1}, {"1": 1e9}, {"1": "1"}, {"1e0": 1}, {"": 1}]},
              "/v1/completions": {"prompt": [[-1], [2**31], [2**63 - 1], [0.5], [True], ["a", 1], [[]]], "logprobs": whole,
                                  "best_of": whole},
              RESPONSES: {"max_output_tokens": whole, "n": [2, -1]},
              OLLAMA: {"options": [{"num_predict": v} for v in whole[1:]] + [{"num_ctx": "1"}, {"repeat_last_n": 2**40},
                                                                           {"repeat_last_n": -2}, {"seed": 0.5}]},
              "/detokenize": {"tokens": [[-1], [2**31], [2**63 - 1], [0.5], "1", {"0": 1}]}}
    bases = {CHAT: chat("a"), "/v1/completions": {"prompt": "a"}, RESPONSES: {"input": "a"}, OLLAMA: chat("a"), "/detokenize": {}}
    problems = []
    with Server(GYR) as s:
        for path, rows in fields.items():
            for name, values in rows.items():
                for value in values:
                    base = dict(bases[path], max_tokens=1) if path == CHAT and name != "max_tokens" else bases[path]
                    problems += tried(s, path, dict(base, **{name: value}), (400,))
        for literal in ("NaN", "Infinity", "-Infinity", "1e999", "0x10", "01", "9" * 400, "-", "1." + "0" * 100000 + "e"):
            body = b'{"messages": [{"role": "user", "content": "a"}], "temperature": ' + literal.encode() + b"}"
            problems += tried(s, CHAT, body, (400,))
        return problems + well(s)


def what_a_request_fans_out_to_is_bounded():
    """CVE-2026-34756, 2026-73559, 2024-8939, 2025-48956."""
    many = fewer(100000, 30000)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    rows = [(CHAT, chat("a", n=10**6)), ("/v1/completions", {"prompt": "a", "best_of": 10**6}),
            ("/v1/completions", {"prompt": ["a"] * many}), ("/v1/completions", {"prompt": [["a"]] * many}),
            ("/v1/completions", {"prompt": [0] * many}), (CHAT, chat("a", stop=["x"] * many)),
            (CHAT, chat("a", stop="x" * many)), (CHAT, chat("a", stop_token_ids=[1] * many)),
            (CHAT, chat("a", logit_bias={str(i): 1 for i in range(many)})), (CHAT, chat("a", tools=[tool] * many)),
            (CHAT, chat("a", **{f"x{i}": 1 for i in range(many)})),
            (CHAT, chat("a", structured_outputs={"choice": [f"choice {i}" for i in range(many)]})),
            (CHAT, {"messages": [{"role": "user", "content": "a"}] * many}),
            (CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}] * many}]}),
            (RESPONSES, {"input": [{"type": "message", "role": "user", "content": "a"}] * many}),
            (MESSAGES, {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}] * many}),
            (MESSAGES, {"max_tokens": 1, "messages": [{"role": "user", "content": "a"}],
                        "system": [{"type": "text", "text": "a "}] * many})]
    problems = []
    with Server(GYR) as s:
        for path, body in rows:
            problems += tried(s, path, body, (400,))
        for lines in (b"X: y\r\n" * 50000, b"X: " + b"y" * 10**6 + b"\r\n", b"X" * 10**6):
            got = raw(s, b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n", 5)
            if 200 in statuses(got):
                problems.append(f"headers of {len(lines)} bytes were taken")
        return problems + well(s)


def bodies_are_not_decompressed():
    """CVE-2026-54233, 2026-34755."""
    bomb = gzip.compress(b" " * (64 << 20))
    good = json.dumps(chat("a", max_tokens=1)).encode()
    rows = [("gzip", bomb), ("gzip", gzip.compress(good)), ("deflate", zlib.compress(good)), ("br", good), ("zstd", good),
            ("gzip, identity", gzip.compress(good)), ("x", good)]
    with Server(GYR) as s:
        problems = [p for coding, body in rows for p in tried(s, CHAT, body, (415,), {"Content-Encoding": coding})]
        problems += tried(s, CHAT, good, (200,), {"Content-Encoding": "identity"})
        got = raw(s, b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
                     b"2\r\n{}\r\n0\r\n\r\n")
        if set(statuses(got)) - {400, 415, 501}:
            problems.append(f"Transfer-Encoding: gzip, chunked: {got[:200]!r}")
        return problems + well(s)


def bombs():
    """Schemas, regular expressions and grammars that made engines hang or fall."""
    deep = {"type": "object"}
    for _ in range(400):
        deep = {"type": "object", "properties": {"a": deep}, "required": ["a"]}
    loop = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    wide = {"type": "object", "properties": {f"p{i}": {"type": "string"} for i in range(5000)}}
    doubling = {"$defs": {f"d{i}": {"type": "array", "prefixItems": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)},
                "$ref": "#/$defs/d0"}
    doubling["$defs"]["d40"] = {"type": "null"}
    schemas = [deep, loop, wide, doubling, {"pattern": "(a+)+$", "type": "string"}, {"type": "string", "maxLength": 2**40},
               {"type": "string", "minLength": 10**9}, {"type": "array", "minItems": 10**9}, {"type": "integer", "minimum": -1e308},
               {"enum": [f"value {i}" for i in range(50000)]}, {"$ref": "http://127.0.0.1:1/x"}, {"$ref": "file:///etc/passwd"},
               {"allOf": [{"anyOf": [{"const": i}, {"const": -i}]} for i in range(40)]}, {"not": {}}, {"type": "no-type"},
               {"oneOf": [{"type": "string", "pattern": f"^{'a' * i}"} for i in range(100)]}, {"type": "object", "minProperties": 10**6}]
    regexes = ["(a+)+$", "(a*)*b", "a{1000000000}", "(a{1000}){1000}", "((((a{10}){10}){10}){10}){10}", "(" * 50000, "[" * 50000,
               "(a|a)*" * 5000, "\\" * 9999, "(?=a)b", "(?<a>x)\\k<a>", "[\\U0010ffff-\\x00]", "^" * 10000, ".{0,65536}" * 100,
               "(.*){1,32000}[bc]", "\\p{L}" * 20000, "x" * 1000000]
    grammars = ["root ::= root", "root ::= root root | ", "root ::= a\na ::= b\nb ::= a", 'root ::= ("a"' * 20000, "root ::= " + '"a" | ' * 50000,
                "root ::= [^\\x00-\\U0010FFFF]", 'root ::= "a"{1000000000}', "root ::= nothing", "", "::=", "root ::= \x00",
                'root ::= ""* ""*', 'root ::= ("" | "a"*)*', "\n".join(f"r{i} ::= r{i + 1} r{i + 1}" for i in range(60)) + '\nr60 ::= "a"\nroot ::= r0',
                "x ::= " * 100000, 'root ::= %json{"type": "object"', "root ::= " + "a" * 1000000]
    return ([{"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": v}}} for v in schemas] +
            [{"guided_regex": v} for v in regexes] + [{"guided_grammar": v} for v in grammars])


def grammars_are_bounded():
    """CVE-2026-55574, 2025-48942, 2025-48943, 2025-48944, 2025-32381, 2025-29770."""
    problems = []
    many = fewer(300, 60)
    with Server(GYR) as s:
        for bomb in bombs():
            problems += tried(s, CHAT, chat("a", max_tokens=3, **bomb), (200, 400))
        before = memory(s)
        for i in range(many):  # no memory of grammars that grows with what is sent
            s.ask(CHAT, chat("a", max_tokens=1, guided_regex=f"[a-z]{{{i + 1},400}}{i}"))
        grown = memory(s) - before
        if grown > 200 << 20:
            problems.append(f"{many} grammars took {grown >> 20} MiB for good")
        return problems + well(s)


def memory(s):
    status = open(f"/proc/{s.process.pid}/status", encoding="ascii").read()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) << 10


def templates_come_from_the_model_alone():
    """CVE-2025-61620, 2025-62426, 2026-5760."""
    evil = "{% for i in range(10**9) %}{{ i }}{% endfor %}"
    problems = []
    with Server(GYR) as s:
        for field in ("chat_template", "template", "jinja", "prompt_template"):
            problems += tried(s, CHAT, chat("a", max_tokens=1, **{field: evil}), (400,))
            problems += tried(s, "/apply-template", chat("a", **{field: evil}), (400,))
        problems += tried(s, "/api/generate", {"model": "poet", "prompt": "a", "template": evil}, (400,))
        ask = chat("a", max_tokens=1, return_token_ids=True, temperature=0)
        plain = s.ask(CHAT, ask)["prompt_token_ids"]
        for kwargs in ({"chat_template": evil}, {"tokenize": True, "template": evil}, {"messages": [{"role": "user", "content": "b"}]},
                       {"add_generation_prompt": False}):
            got = s.ask(CHAT, dict(ask, chat_template_kwargs=kwargs))["prompt_token_ids"]
            if got != plain:
                problems.append(f"{kwargs}: another prompt: {got}, not {plain}")
        problems += tried(s, CHAT, dict(ask, chat_template_kwargs={str(i): "{{ x }}" * 100 for i in range(10000)}), (200, 400))
        problems += tried(s, CHAT, dict(ask, chat_template_kwargs=[evil]), (400,))
        return problems + well(s)


def prompts_are_bounded_work():
    """CVE-2025-46560: time that grows faster than what is sent."""
    big = fewer(1 << 20, 1 << 18)
    system = [{"role": "system", "content": "a" * 1000}] * fewer(9999, 1000) + [{"role": "user", "content": "a"}]
    deep = b'{"messages": ' + b"[" * 100000 + b"]" * 100000 + b"}"
    rows = [(CHAT, chat(" " * (30 << 20))), (CHAT, chat("a" * big)), (CHAT, chat("\n" * big)), (CHAT, chat("0" * big)),
            (CHAT, chat("\u0301" * (big // 8))), (CHAT, chat("\U0001f469\u200d" * (big // 16))), (CHAT, chat("<|" * (big // 2))),
            (CHAT, {"messages": system}), (CHAT, deep), (CHAT, b'{"a":' * 100000 + b"1" + b"}" * 100000),
            (CHAT, b'{"messages": [' + b'{"role": "user", "content": "a"},' * 99999 + b'{"role": "user", "content": "a"}]}'),
            (RESPONSES, {"input": [{"type": "message", "role": "assistant", "content": "a" * 300}] * 90000}),
            (MESSAGES, {"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "text", "text": "ab"}] * 200000}]}),
            ("/v1/completions", {"prompt": "ab" * (big // 2)})]
    problems = []
    with Server(GYR) as s:
        for path, body in rows:
            if isinstance(body, dict):
                body = json.dumps(body, ensure_ascii=False).encode()
            problems += tried(s, path, body, (400, 413), most=60)
        calls = [{"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"}] * 100000
        for path, body in (("/tokenize", {"prompt": "ab " * fewer(300000, 100000)}), ("/detokenize", {"tokens": [5] * fewer(300000, 100000)}),
                           (RESPONSES, {"input": calls, "max_output_tokens": 1})):
            problems += tried(s, path, body, (200, 400), most=60)
        return problems + well(s)


def empty_prompts_are_refused():
    """CVE-2024-8768."""
    rows = [("/v1/completions", {"prompt": ""}), ("/v1/completions", {"prompt": []}), ("/v1/completions", {"prompt": [""]}),
            ("/v1/completions", {"prompt": [[]]}), ("/v1/completions", {"prompt": None}), ("/v1/completions", {}),
            (CHAT, {"messages": []}), (CHAT, {"messages": None}), (CHAT, {}), (CHAT, {"messages": [{}]}), (CHAT, {"messages": [None]}),
            (CHAT, {"messages": {"role": "user"}}), (RESPONSES, {}), (RESPONSES, {"input": None}), (RESPONSES, {"input": []}),
            (MESSAGES, {"max_tokens": 1, "messages": []}), (CHAT, b""), (CHAT, b"null"),
            ("/tokenize", {}), ("/detokenize", {})]
    with Server(GYR) as s:
        problems = [p for path, body in rows for p in tried(s, path, body, (400,))]
        problems += tried(s, CHAT, chat("", max_tokens=1), (200, 400))
        problems += tried(s, CHAT, chat("a\0b", max_tokens=1), (400,))  # not taken as "a"
        problems += tried(s, "/tokenize", {"prompt": "a\0b"}, (400,))
        return problems + well(s)


def text_never_becomes_a_special_token():
    """CVE-2026-44222."""
    problems = []
    with Server(GYR) as s:
        def ids(text):
            return s.ask("/tokenize", chat(text))["tokens"]

        vocab = len(s.ask("/tokenize", {"prompt": "a"})["tokens"]) and 4096
        around = set(ids("x")) - set(s.ask("/tokenize", {"content": "x"})["tokens"])
        marks = {i: s.ask("/detokenize", {"tokens": [i]})["content"] for i in around if i < vocab}
        marks = {i: text for i, text in marks.items() if len(text) > 1}
        if not marks:
            problems.append(f"the template has no special tokens: {around}")
        base = ids("x")
        for i, text in marks.items():
            got = ids(f"x{text}x")
            if got.count(i) != base.count(i):
                problems.append(f"{text!r} in a message is token {i}: {got}")
            if i in s.ask("/tokenize", {"prompt": text, "add_special_tokens": False})["tokens"]:
                problems.append(f"{text!r} of a prompt is token {i}")
            body = {"prompt": text, "max_tokens": 1, "echo": True}
            if s.ask("/v1/completions", body)["choices"][0]["text"][:len(text)] != text:
                problems.append(f"{text!r} is not text in a completion")
            kwargs = {"name": text, "date_string": text, "documents": [text], "bos_token": text}
            count = s.ask(CHAT, chat("x", max_tokens=1, return_token_ids=True, chat_template_kwargs=kwargs))["prompt_token_ids"].count(i)
            if count > base.count(i):
                problems.append(f"{text!r} of chat_template_kwargs is token {i}")
        return problems + well(s)


def add_key(s, name, *options):
    made = subprocess.run([GYR, "key", "add", name, *options], env=s.environ, capture_output=True, text=True, check=True)
    return {"Authorization": f"Bearer {made.stdout.split()[-1]}"}


def guarded(home, *options):
    """A server that asks for keys, with the state of another."""
    s = Server(GYR, "--host", "0.0.0.0", *options, state=home.environ["GYR_STATE"])
    s.host = "127.0.0.1"
    return s


def nobody_learns_what_others_asked():
    """CVE-2025-25183, 2025-46570: prefixes are found by who sent them alone."""
    text = "Write a poem about a secret that nobody but me knows"
    problems = []
    with Server(GYR) as home:
        ann, bob = add_key(home, "ann"), add_key(home, "bob")
        with guarded(home) as s:
            def cached(key, **more):
                usage = s.ask(CHAT, chat(text, max_tokens=2, **more), key)["usage"]
                return usage["prompt_tokens_details"]["cached_tokens"], usage["prompt_tokens"]

            steps = [(ann, {}, False), (bob, {}, False), (ann, {}, True), (bob, {}, True), (ann, {"cache_salt": "x"}, False),
                     (ann, {"cache_salt": "x"}, True), (bob, {"cache_salt": "x"}, False), (ann, {"cache_salt": "y"}, False)]
            for i, (key, more, found) in enumerate(steps):
                got, all_of = cached(key, **more)
                if got != (all_of - 1 if found else 0) and not (found and got == all_of):
                    problems.append(f"step {i}: {got} of {all_of} tokens were found")
            reply = s.ask(RESPONSES, {"input": text, "max_output_tokens": 2}, ann)["id"]
            for key, code in ((ann, 200), (bob, 404)):
                problems += [f"a response of ann's: {got}" for got in [s.send("GET", f"{RESPONSES}/{reply}", None, key)[0]] if got != code]
            problems += tried(s, RESPONSES, {"input": "a", "previous_response_id": reply}, (400,), bob)
            if s.send("DELETE", f"{RESPONSES}/{reply}", None, bob)[0] != 404:
                problems.append("bob may remove a response of ann's")
    return problems


def routes():
    """The rows of the server's own table: method, path, who may ask."""
    table = (ROOT / "src/server/routes.c").read_text(encoding="utf-8")
    return re.findall(r'\{"(GET|POST|DELETE|PUT)", "(/[^"]*)", (OPEN|USER|ADMIN),', table)


def no_route_is_without_its_check():
    """CVE-2025-63389, 2026-48746, 2025-59425."""
    problems, rows = [], routes()
    if len(rows) < 20 or {p for _, p, access in rows if access == "OPEN"} != {"/", "/page/*", "/health", "/api/version"}:
        problems.append(f"the table of routes is not as it was: {rows}")
    with Server(GYR) as home:
        good = add_key(home, "ann")
        key = good["Authorization"].split()[1]
        bad = [{}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}, {"Authorization": key}, {"Authorization": "Basic " + key},
               {"X-Api-Key": ""}, {"Authorization": f"Bearer {key[:-1]}"}, {"Authorization": f"Bearer {key}x"},
               {"Authorization": f"Bearer {key[:-1]}{'a' if key[-1] != 'a' else 'b'}"}, {"Authorization": f"Bearer {key.upper()}"},
               {"Authorization": "Bearer " + "x" * 10000}, {"X-Api-Key": "%00"}, {"Cookie": f"key={key}"}]
        with guarded(home, "--name", "llm.example") as s:
            for method, path, access in rows:
                path = path.replace("*", "x")
                for headers in bad if access != "OPEN" else []:
                    got, _, content = s.send(method, path, b"{}" if method == "POST" else None, headers)
                    if got != 401:
                        problems.append(f"{method} {path} {headers}: {got}")
                    problems += secrets(s, content)
                if access == "OPEN" and s.send(method, path)[0] != (404 if path == "/page/x" else 200):
                    problems.append(f"{method} {path}: not open")
            for path in ("//v1/models", "/v1/models/", "/v1//models", "/V1/MODELS", "/v1/./models", "/health/../v1/models",
                         "/v1%2fmodels", "/%76%31/models", "/v1/models?x=/health", "/v1/models%00", "/v1/models;/health", "/v1/models#x",
                         "http://localhost/v1/models", "http://localhost/health/../v1/models", "/api/version/../tags", "/metrics/"):
                for host in ("localhost", "llm.example", "127.0.0.1"):
                    got = raw(s, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                    if not set(statuses(got)) <= {400, 401, 404, 405} or not got:
                        problems.append(f"{path}: {got[:200]!r}")
            for method in ("HEAD", "OPTIONS", "PUT", "PATCH", "TRACE", "CONNECT", "get", "GARBAGE"):
                got = raw(s, f"{method} /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                if b'"data"' in got or 200 in statuses(got):
                    problems.append(f"{method}: {got[:200]!r}")
            problems += [f"a good key: {got}" for got in [s.send("GET", "/v1/models", None, good)[0]] if got != 200]
            if key in s.said():
                problems.append("the log has a key")
    return problems


def names_of_elsewhere_are_refused():
    """CVE-2024-28224; CORS that reflects any origin."""
    hosts = ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "evil.example:80", "localhost@evil.example", "", " ",
             "[::1", "[::1]evil", "localhost:99999999", "127.0.0.1:80:80", "0x7f000001.evil", "localhost\tevil", "a" * 5000]
    origins = ["http://evil.example", "https://localhost.evil.example", "null", "file://", "http://localhost:1", "http://localhost@evil.example",
               "http://127.0.0.1:1", "chrome-extension://x", "http://"]
    problems = []
    with Server(GYR) as s:
        for host in hosts:
            got = raw(s, f"GET /v1/models HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            if not got or set(statuses(got)) - {400, 403}:
                problems.append(f"Host {host[:40]!r}: {got[:100]!r}")
        twice = raw(s, b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
        if set(statuses(twice)) - {400, 403}:
            problems.append(f"two Hosts: {twice[:100]!r}")
        for origin in origins:
            for method in ("GET", "OPTIONS"):
                headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
                got, reply, _ = s.send(method, "/v1/models", None, headers)
                if got != 403 or any(name.lower().startswith("access-control") for name in reply):
                    problems.append(f"Origin {origin!r}: {method} {got} {reply.items()}")
        return problems + well(s)


def nothing_is_fetched():
    """CVE-2025-6242, 2026-24779."""
    came = []
    with socket.create_server(("127.0.0.1", 0)) as bait, Server(GYR) as s:
        bait.settimeout(0.5)
        url = f"http://127.0.0.1:{bait.getsockname()[1]}/x.png"
        parts = [{"type": "image_url", "image_url": {"url": url}}, {"type": "input_image", "image_url": url}, {"type": "file", "file": {"file_id": url}},
                 {"type": "image", "source": {"type": "url", "url": url}}, {"type": "input_file", "file_url": url}]
        problems = []
        for part in parts:
            message = [{"role": "user", "content": [part]}]
            for path, body in ((CHAT, {"messages": message}), (MESSAGES, {"max_tokens": 1, "messages": message}), (RESPONSES, {"input": message})):
                problems += tried(s, path, body, (400,))
        problems += tried(s, CHAT, chat("a", max_tokens=1, response_format={"type": "json_schema", "json_schema": {"schema": {"$ref": url}}}), (400,))
        problems += tried(s, OLLAMA, dict(chat("a"), images=[url]), (400,))
        try:
            came.append(bait.accept()[1])
        except TimeoutError:
            pass
        return problems + [f"somebody came: {c}" for c in came] + well(s)


def paths_lead_nowhere():
    """CVE-2024-37032, 2024-39719, 2024-39721, 2024-39722, 2026-7020."""
    problems = []
    names = ["../../../../etc/passwd", "/etc/passwd", "..%2f..%2fetc%2fpasswd", "....//etc/passwd", "/dev/zero", "/dev/tty", "/proc/self/environ",
             "sha256:../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", "\\..\\..\\etc\\passwd", "poet\x00.gguf", "a" * 5000]
    with Server(GYR) as s:
        for name in names:
            for prefix in ("/", "/v1/models/", "/v1/responses/", "/v1/files/", "/api/blobs/", "/static/"):
                got = raw(s, f"GET {prefix}{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
                if set(statuses(got)) - {400, 404, 405, 414} or b"root:" in got or secrets_of_paths(got, name):
                    problems.append(f"{prefix}{name[:60]!r}: {got[:200]!r}")
            for path, body in ((CHAT, chat("a", model=name)), ("/api/show", {"model": name}), (RESPONSES, {"input": "a", "previous_response_id": name}),
                               ("/api/pull", {"model": name}), ("/api/create", {"model": "x", "files": {"x": name}}), ("/api/push", {"model": name})):
                status, _, content = s.send("POST", path, body)
                if status not in (400, 403, 404, 405) or b"root:" in content or b"No such file" in content:
                    problems.append(f"{path} {name[:60]!r}: {status} {content[:200]!r}")
        return problems + well(s)


def secrets_of_paths(got, name):
    return b"No such file" in got or b"Permission" in got or (b"environ" in got and b"environ" not in name.encode())


REQUEST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n"
BODY = json.dumps(chat("a", max_tokens=1)).encode()
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
# What of a request is its end is told in two ways, or in a wrong one: it is refused, and what comes behind is not a request.
AMBIGUOUS = {
    "length and chunks": REQUEST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    "chunks and length": REQUEST + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(CHUNKED) + CHUNKED,
    "two lengths": REQUEST + b"Content-Length: %d\r\nContent-Length: 5\r\n\r\n" % len(BODY) + BODY,
    "a list of lengths": REQUEST + b"Content-Length: 5, %d\r\n\r\n" % len(BODY) + BODY,
    "a length with a sign": REQUEST + b"Content-Length: +%d\r\n\r\n" % len(BODY) + BODY,
    "a negative length": REQUEST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length too large": REQUEST + b"Content-Length: 99999999999999999999\r\n\r\n" + BODY,
    "a length in hexadecimal": REQUEST + b"Content-Length: 0x10\r\n\r\n" + BODY,
    "a length with more": REQUEST + b"Content-Length: %dx\r\n\r\n" % len(BODY) + BODY,
    "chunks twice": REQUEST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKED,
    "another coding": REQUEST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKED,
    "a chunk too large": REQUEST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n" + BODY,
    "a negative chunk": REQUEST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + BODY,
    "no chunk": REQUEST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + BODY,
    "a space before the colon": REQUEST + b"Content-Length : %d\r\n\r\n" % len(BODY) + BODY,
}


def the_end_of_a_request_is_certain():
    """Request smuggling: two servers that disagree about where a request ends (CVE-2026-48746 and many before)."""
    problems = []
    with Server(GYR) as s:
        for name, data in AMBIGUOUS.items():
            got = statuses(raw(s, data + SMUGGLED, 3))
            if got and (got[0] not in (400, 413, 501) or len(got) > 1):
                problems.append(f"{name}: {got}")
        plain = REQUEST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
        good = {"one": (plain, [200]), "chunks": (REQUEST + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKED, [200]),
                "pipelined": (plain + plain + SMUGGLED, [200] * 3), "many": (SMUGGLED * 50, [200] * 50),
                "HTTP/1.0": (b"GET /v1/models HTTP/1.0\r\nHost: localhost\r\n\r\n", [200]), "1.0 without Host": (b"GET /v1/models HTTP/1.0\r\n\r\n", [403]),
                "absolute": (b"GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n", [200]),
                "absolute, elsewhere": (b"GET http://evil.example/v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n", [403]),
                "expectation": (REQUEST + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY, [200])}
        for name, (data, want) in good.items():
            got = statuses(raw(s, data, 10, finish=False, replies=len(want)))
            if [code for code in got if code != 100] != want:
                problems.append(f"{name}: {got}, not {want}")
        return problems + well(s)


def slow_senders_hold_nobody_up():
    """Slow bodies, slow headers, connections that say nothing, clients that read nothing."""
    problems = []
    with Server(GYR, "--connections", "400") as s:
        slow = [socket.create_connection((s.host, s.port)) for _ in range(300)]
        stop = threading.Event()

        def trickle():
            while not stop.is_set():
                for i, c in enumerate(slow):
                    try:
                        c.send([b"x", b"X-%d: y\r\n" % i, b"\0"][i % 3])
                    except OSError:
                        pass
                time.sleep(0.05)

        for i, c in enumerate(slow):
            c.sendall([REQUEST + b"Content-Length: 10000000\r\n\r\n{", b"GET / HTTP/1.1\r\n", REQUEST + b"Transfer-Encoding: chunked\r\n\r\n"][i % 3])
        thread = threading.Thread(target=trickle)
        thread.start()
        for _ in range(5):
            problems += tried(s, CHAT, chat("a", max_tokens=2), (200,))
        deaf = [socket.create_connection((s.host, s.port)) for _ in range(4)]
        for c in deaf:
            body = json.dumps(chat("a", stream=True, n=8, max_tokens=300, ignore_eos=True, logprobs=True, top_logprobs=20)).encode()
            c.sendall(REQUEST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        for _ in range(3):
            problems += tried(s, CHAT, chat("a", max_tokens=2), (200,), most=60)
        for c in slow + deaf:
            c.close()
        stop.set()
        thread.join()
        return problems + well(s)


def unloaded_models_are_used_by_nobody():
    """CVE-2026-43631, and the errors of a model that cannot be loaded (CVE-2026-22778, 2026-54236)."""
    problems = []
    with Server(GYR) as home:
        broken = os.path.join(home.folder.name, "broken.gguf")
        with open(broken, "wb") as f:
            f.write(b"GGUF\3\0\0\0" + b"\xff" * 64)
        with Server(GYR, "-m", str(ROOT / "models/poet.gguf"), "-m", broken, "-m", os.path.join(home.folder.name, "none.gguf"),
                    "--alias", "poet", "--alias", "broken", "--alias", "none") as s:
            for name in ("broken", "none"):
                for path, body in ((CHAT, chat("a", model=name)), (MESSAGES, chat("a", model=name, max_tokens=1)), ("/api/show", {"model": name}),
                                   ("/tokenize", {"model": name, "prompt": "a"})):
                    problems += tried(s, path, body, (500, 503))
            problems += well(s)
    return problems


CASES = [integers_are_checked, what_a_request_fans_out_to_is_bounded, bodies_are_not_decompressed, grammars_are_bounded,
         templates_come_from_the_model_alone, prompts_are_bounded_work, empty_prompts_are_refused,
         text_never_becomes_a_special_token, nobody_learns_what_others_asked, no_route_is_without_its_check,
         names_of_elsewhere_are_refused, nothing_is_fetched, paths_lead_nowhere, the_end_of_a_request_is_certain,
         slow_senders_hold_nobody_up, unloaded_models_are_used_by_nobody]

if __name__ == "__main__":
    run(*[case for case in CASES if not sys.argv[2:] or case.__name__ in sys.argv[2:]])
