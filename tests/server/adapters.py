"""Adapters that are served: an answer with one is that of gyr run --adapter, byte for byte, whoever else is in the
batch and whatever is remembered; they come and go while the server runs, and only from where they may.

usage: adapters.py GYR
"""
import json
import os
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import ROOT, run  # noqa: E402
from peft import adapter  # noqa: E402
from serving import Server, chat, fewer, in_threads  # noqa: E402

GYR = sys.argv[1]
CHAT, LOAD, UNLOAD = "/v1/chat/completions", "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
POET = str(ROOT / "models/poet.gguf")
SUBJECTS = ("the sea", "a falcon", "snow", "night", "a river", "my love")


def prompt(what):
    return f"Write a poem about {what}"


TOKENS = fewer(60, 30)


def alone(what, path=None, n=TOKENS):
    """What gyr run says."""
    with_it = ["--adapter", path] if path else []
    return subprocess.run([GYR, "run", "--no-cache", "-m", POET, *with_it, "-n", str(n), prompt(what)],
                          capture_output=True, text=True, check=True).stdout.rstrip("\n")


def said(s, what, name=None, n=TOKENS, **more):
    reply = s.ask(CHAT, chat(prompt(what), max_tokens=n, **(dict(more, model=name) if name else more)))
    return reply["choices"][0]["message"]["content"].rstrip("\n"), reply


def problem(s, path, body, status, *words, headers=None):
    """What is wrong with a refusal: nothing, if it has the status and all the words."""
    got, _, content = s.send("POST", path, body, headers)
    text = content.decode()
    return [] if got == status and all(w in text for w in words) else [f"{path} {body}: {got} {text}, not {status} {words}"]


def one_is_asked_for_by_its_name():
    with tempfile.TemporaryDirectory() as folder:
        a, b = adapter(f"{folder}/a", 1), adapter(f"{folder}/b", 2)
        want = {None: alone("snow"), "one": alone("snow", a), "two": alone("snow", b)}
        problems = [] if len(set(want.values())) == 3 else [f"the adapters change nothing: {want}"]
        with Server(GYR, "-m", POET, "--adapter", f"one={a}", "--adapter", f"two@poet={b}") as s:
            for name in (None, "one", "two", "one", None):
                text, reply = said(s, "snow", name)
                if text != want[name] or reply["model"] != (name or "poet"):
                    problems.append(f"{name}: {reply}")
            cards = {m["id"]: m for m in s.ask("/v1/models")["data"]}
            one = s.ask("/v1/models/one")
            tags = {m["name"]: m["details"]["parent_model"] for m in s.ask("/api/tags")["models"]}
            shown = s.ask("/api/show", {"model": "one"})["model_info"]["general.architecture"]
            log = s.said()
    problems += [f"{tags} {shown}"] * ((tags, shown) != ({"poet": "", "one": "poet", "two": "poet"}, "falcon"))
    roots = {name: (m["root"], m["parent"], m["loaded"]) for name, m in cards.items()}
    if roots != {"poet": ("poet", None, True), "one": ("a", "poet", True), "two": ("b", "poet", True)} or one != cards["one"]:
        problems.append(f"{cards} {one}")
    return problems + [f"not said: {log}"] * ("one: an adapter of poet; " not in log)


def any_number_share_a_batch():
    """Adapters a, b and c and none, mixed, twice over: what was remembered of one is not another's."""
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: adapter(f"{folder}/{name}", seed, rank) for seed, (name, rank) in enumerate((("a", 4), ("b", 8), ("c", 1)))}
        asked = [(what, name) for name in (None, *paths) for what in SUBJECTS[:3]]
        want = {(what, name): alone(what, paths.get(name), 40) for what, name in asked}
        got, told = [], f"generation_tokens_total {len(asked) * 2 * 40}\n"
        with Server(GYR, "-m", POET, *(f"--adapter={name}={path}" for name, path in paths.items())) as s:
            problems = in_threads(lambda key: got.append((key, said(s, *key, n=40)[0])), asked * 2)
            for _ in range(100):  # an answer is counted after its last byte
                metrics = s.send("GET", "/metrics")[2].decode()
                if told in metrics:
                    break
                time.sleep(0.1)
    problems += [f"{key}: {text!r} is not {want[key]!r}" for key, text in got if text != want[key]]
    if told not in metrics:
        problems.append(metrics)
    return problems


def what_is_on_the_disk_is_kept_apart():
    """The same long prompt with adapters and without, in three servers one after the other with one folder."""
    long = "Write a poem about " + " and ".join(SUBJECTS * 20)
    with tempfile.TemporaryDirectory() as folder:
        a, b = adapter(f"{folder}/a", 1), adapter(f"{folder}/b", 2)
        body = chat(long, max_tokens=30)
        want, got, cached = {}, [], []
        for path, name in ((None, None), (a, "x"), (b, "x"), (None, None), (a, "x"), (b, "x")):
            more = ["--adapter", f"x={path}"] if path else []
            with Server(GYR, "-m", POET, *more, cache=f"{folder}/cache") as s:
                reply = s.ask(CHAT, dict(body, **({"model": name} if name else {})))
            text = reply["choices"][0]["message"]["content"]
            cached.append(reply["usage"]["prompt_tokens_details"]["cached_tokens"])
            got.append((path, text))
            want.setdefault(path, text)
    problems = [f"{path}: {text!r} is not {want[path]!r}" for path, text in got if text != want[path]]
    if any(cached[:3]) or not all(cached[3:]) or len(set(want.values())) != 3:
        problems.append(f"cached: {cached}; {want}")
    return problems


def it_comes_and_goes_while_the_server_runs():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        a, b = adapter(f"{folder}/in/a", 1), adapter(f"{folder}/in/deep/b", 2)
        want = {None: alone("night"), "a": alone("night", a), "b": alone("night", b)}
        with Server(GYR, "-m", POET, "--adapters", f"{folder}/in") as s:
            problems += problem(s, CHAT, chat("night", model="one"), 404, "no model 'one' is served here")
            done = s.send("POST", LOAD, {"lora_name": "one", "lora_path": "a"})
            if done[0] != 200 or done[2] != b"Success: LoRA adapter 'one' added successfully.":
                problems.append(f"loaded: {done}")
            problems += problem(s, LOAD, {"lora_name": "one", "lora_path": a}, 400, "is loaded already")
            if said(s, "night", "one")[0] != want["a"] or said(s, "night")[0] != want[None]:
                problems.append("loaded: other bytes")
            # in place, by its whole path; the one before it is answering all the while
            before = s.connect()
            before.request("POST", CHAT, json.dumps(chat(prompt("night"), model="one", max_tokens=fewer(600, 300), ignore_eos=True,
                                                         stream=True)))
            reply = before.getresponse()
            head = reply.read(10)
            s.send("POST", LOAD, {"lora_name": "one", "lora_path": b, "load_inplace": True})
            if said(s, "night", "one")[0] != want["b"]:
                problems.append("in place: not the new one")
            gone = s.send("POST", UNLOAD, {"lora_name": "one"})
            problems += problem(s, CHAT, chat("night", model="one"), 404, "no model 'one'")
            problems += problem(s, UNLOAD, {"lora_name": "one"}, 404, "no adapter 'one' is loaded here")
            rest = (head + reply.read()).decode()
            before.close()
            listed = [m["id"] for m in s.ask("/v1/models")["data"]]
            again = s.send("POST", LOAD, {"lora_name": "one", "lora_path": "a"})[0], said(s, "night", "one")[0]
    events = [json.loads(line[6:]) for line in rest.split("\n\n") if line.startswith("data: {")]
    text = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
    if gone[0] != 200 or listed != ["poet"] or again != (200, want["a"]):
        problems.append(f"{gone} {listed} {again}")
    if "[DONE]" not in rest or not text.startswith(want["a"]) or events[-1]["choices"][0]["finish_reason"] != "length":
        problems.append(f"the answer under way: {text!r}")
    return problems


def it_stays_with_its_model():
    """A model that is unloaded takes its adapters along; they are there again with it, and others make room."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [adapter(f"{folder}/{i}", i, 8) for i in range(3)]
        want = [alone("snow", path, 20) for path in paths]
        more = [f"--adapter=of{i}={path}" for i, path in enumerate(paths)]
        with Server(GYR, "-m", POET, *more, "--adapter-memory", "1") as s:  # one takes 0.6 MB
            opened = [[m["loaded"] for m in s.ask("/v1/models")["data"][1:]]]
            got = [said(s, "snow", f"of{i}", 20)[0] for i in (0, 1, 2, 0)]
            s.ask("/models/unload", {"model": "poet"})
            opened.append([m["loaded"] for m in s.ask("/v1/models")["data"][1:]])
            got += [said(s, "snow", f"of{i}", 20)[0] for i in (2, 1)]
            opened.append([m["loaded"] for m in s.ask("/v1/models")["data"][1:]])
    problems = [] if got == [want[i] for i in (0, 1, 2, 0, 2, 1)] else [f"{got} is not {want}"]
    return problems + [f"open: {opened}"] * (opened != [[False, False, True], [False] * 3, [False, True, False]])


def receipts_name_it():
    with tempfile.TemporaryDirectory() as folder:
        a, b = adapter(f"{folder}/a", 1), adapter(f"{folder}/b", 2)
        with Server(GYR, "-m", POET, "--adapter", f"one={a}") as s:
            reply = said(s, "a river", "one", 30, receipt=True)[1]
            checksum = s.ask("/v1/models/one")["checksum"]

        def verified(*options):
            done = subprocess.run([GYR, "verify", "--no-cache", "-m", POET, *options, "-"], input=json.dumps(reply),
                                  capture_output=True, text=True, check=False)
            return done.returncode, done.stdout + done.stderr

        right, other, none = verified("--adapter", a), verified("--adapter", b), verified()
    problems = [] if reply["receipt"]["adapter"] == {"checksum": checksum} else [f"{reply['receipt']} {checksum}"]
    if right[0] != 0 or "equal: 30 tokens" not in right[1]:
        problems.append(f"{right}")
    for got, words in ((other, "of another adapter"), (none, "of an answer with an adapter")):
        if got[0] != 1 or words not in got[1]:
            problems.append(f"{got}")
    return problems


def what_is_wrong_is_said():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        adapter(f"{folder}/in/good", 1)
        adapter(f"{folder}/out", 2)
        adapter(f"{folder}/in/larger", 3, shapes={"mlp.dense_4h_to_h": (256, 512)}, modules=["mlp.dense_4h_to_h"])
        adapter(f"{folder}/in/deeper", 4, layers=(9,))
        adapter(f"{folder}/in/claims", 5, claimed=16)
        adapter(f"{folder}/in/cut", 6)
        with open(f"{folder}/in/cut/adapter_model.safetensors", "r+b") as f:
            f.truncate(5000)
        os.mkdir(f"{folder}/in/empty")
        os.symlink(f"{folder}/out", f"{folder}/in/link")
        refused = [("good", 200, ""), ("larger", 400, "is for another model: it adapts"), ("deeper", 400, "has 8 layers"),
                   ("claims", 400, "rank"), ("cut", 400, ""), ("empty", 400, "no adapter_config.json")] + \
            [(path, 404, "is not in this server's folder of adapters") for path in (
                "nowhere", "../out", "link", f"{folder}/out", "/etc/passwd", ".", f"{folder}/in", "good/../../out")]
        with Server(GYR, "-m", POET, "--adapters", f"{folder}/in") as s:
            for i, (path, status, words) in enumerate(refused):
                problems += problem(s, LOAD, {"lora_name": f"n{i}", "lora_path": path}, status, words)
                if folder in s.send("POST", LOAD, {"lora_name": f"m{i}", "lora_path": path})[2].decode() and path[0] != "/":
                    problems.append(f"{path}: the reply names the machine's folders")
            for body, words in (({}, "lora_name: is missing"), ({"lora_name": "x"}, "lora_path: is missing"),
                                ({"lora_name": 1, "lora_path": "good"}, "lora_name: takes a string"),
                                ({"lora_name": "a b", "lora_path": "good"}, "takes 1 to 128 characters"),
                                ({"lora_name": "x" * 129, "lora_path": "good"}, "takes 1 to 128 characters"),
                                ({"lora_name": "poet", "lora_path": "good"}, "is the name of a model here"),
                                ({"lora_name": "hf:a/b", "lora_path": "good"}, "is the name of a model on the hub"),
                                ({"lora_name": "x", "lora_path": "good", "rank": 4}, "unknown parameter: 'rank'"),
                                ({"lora_name": "x", "lora_path": "good", "load_inplace": 1}, "takes true or false")):
                problems += problem(s, LOAD, body, 400, words)
            problems += problem(s, LOAD, {"lora_name": "x", "lora_path": "good", "base_model_name": "no"}, 404, "no model 'no'")
            problems += problem(s, UNLOAD, {}, 400, "lora_name: is missing")
            problems += problem(s, "/v1/embeddings", {"model": "n0", "input": "a"}, 400, "is an adapter")
            listed = [m["id"] for m in s.ask("/v1/models")["data"]]
            text = said(s, "snow", "n0", 20)[0]
        if listed != ["poet", "n0", "m0"] or text != alone("snow", f"{folder}/in/good", 20):
            problems.append(f"{listed} {text!r}")
        with Server(GYR, "-m", POET) as s:
            problems += problem(s, LOAD, {"lora_name": "x", "lora_path": "good"}, 403, "without a folder of adapters")
        for options, words in ((("--adapter", "x"), "takes NAME=PATH"), (("--adapter", "x=nowhere"), "nowhere: No such file"),
                               (("--adapter", f"poet={folder}/out"), "is the name of a model here"),
                               (("--adapter", f"x@no={folder}/out"), "no model 'no' is served"),
                               (("--adapter", f"x={folder}/in/larger"), "is for another model"),
                               (("--adapters", f"{folder}/none"), "is no folder")):
            try:
                with Server(GYR, "-m", POET, *options):
                    problems.append(f"{options}: it starts")
            except RuntimeError as e:
                problems += [] if words in str(e) else [f"{options}: {e}"]
    return problems


def it_takes_an_administrator():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        path, state = adapter(f"{folder}/in/a", 1), f"{folder}/state"
        keys = {}
        for name, options in (("ann", ["--admin"]), ("bob", []), ("eve", ["--models", "poet"])):
            keys[name] = {"Authorization": "Bearer " + subprocess.run(
                [GYR, "key", "add", name, *options], env=dict(os.environ, GYR_STATE=state), capture_output=True, text=True,
                check=True).stdout.strip()}
        load, ask = {"lora_name": "one", "lora_path": "a"}, chat(prompt("snow"), model="one", max_tokens=20)
        with Server(GYR, "-m", POET, "--auth", "--adapters", f"{folder}/in", state=state) as s:
            problems += problem(s, LOAD, load, 401, "a key is needed")
            problems += problem(s, LOAD, load, 403, "administrator's key", headers=keys["bob"])
            problems += problem(s, LOAD, load, 200, "added", headers=keys["ann"])
            problems += problem(s, CHAT, ask, 403, "this key may not use 'one'", headers=keys["eve"])
            problems += problem(s, UNLOAD, {"lora_name": "one"}, 403, "administrator's key", headers=keys["bob"])
            text = s.ask(CHAT, ask, keys["bob"])["choices"][0]["message"]["content"].rstrip("\n")
            problems += problem(s, UNLOAD, {"lora_name": "one", "lora_int_id": 1}, 200, "removed", headers=keys["ann"])
        if text != alone("snow", path, 20):
            problems.append(text)
    return problems


if __name__ == "__main__":
    run(one_is_asked_for_by_its_name, any_number_share_a_batch, what_is_on_the_disk_is_kept_apart,
        it_comes_and_goes_while_the_server_runs, it_stays_with_its_model, receipts_name_it, what_is_wrong_is_said,
        it_takes_an_administrator)
