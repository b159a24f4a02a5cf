"""Several models at once, and models that keep a state: what is loaded and unloaded, remembered and read from the disk
changes no answer.

usage: models.py GYR STATEFUL_MODELS
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat, fewer, in_threads  # noqa: E402

GYR, MAKER = sys.argv[1:3]
CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
POET = ROOT / "models/poet.gguf"
SUBJECTS = ("the sea", "a falcon", "snow", "night", "a river", "my love")


def alone(model, text, *options):
    """What gyr run says."""
    return subprocess.run([GYR, "run", "--no-cache", "-m", model, *options, text], capture_output=True, text=True,
                          check=True).stdout.rstrip("\n")


def poets(folder, *names):
    for name in names:
        shutil.copy(POET, os.path.join(folder, name + ".gguf"))


def loaded(s):
    return [m["id"] for m in s.ask("/v1/models")["data"] if m["loaded"]]


def text_of(reply):
    return reply["choices"][0]["message"]["content"].rstrip("\n")


def a_model_in_use_is_drained_before_it_is_unloaded():
    problems, got, at_once, tokens, many = [], {}, [], fewer(200, 80), fewer(24, 12)
    with tempfile.TemporaryDirectory() as folder:
        poets(folder, "a", "b")
        want = {what: alone(POET, f"Write a poem about {what}", "-n", str(tokens)) for what in SUBJECTS}
        # a poet and its conversation take 9.1 MB: there is room for one
        with Server(GYR, "-m", f"{folder}/a.gguf", "-m", f"{folder}/b.gguf", "--memory", "12") as s:
            if loaded(s) != ["a"]:
                problems.append(f"at the start {loaded(s)} are loaded")

            def one(i):
                model, what = "ab"[i % 2], SUBJECTS[i // 2 % len(SUBJECTS)]
                got[i] = what, text_of(s.ask(CHAT, chat(f"Write a poem about {what}", model=model, max_tokens=tokens)))
                at_once.append(loaded(s))

            first = s.connect()  # somebody is reading from `a` all the while
            first.request("POST", CHAT, json.dumps(chat("Write a poem about the sea", model="a", max_tokens=400,
                                                        ignore_eos=True, stream=True)))
            reply = first.getresponse()
            reply.read(10)
            problems += in_threads(one, range(many))
            rest = reply.read().decode()
            first.close()
    problems += [f"{i}: {text!r} is not {want[what]!r}" for i, (what, text) in got.items() if text != want[what]][:3]
    if len(got) != many or max(len(l) for l in at_once) > 1:
        problems.append(f"{len(got)} answers; loaded at once: {at_once}")
    if "[DONE]" not in rest or '"finish_reason":"length"' not in rest:
        problems.append(f"the answer under way was cut: {rest[-300:]}")
    return problems


def both_stay_where_there_is_room():
    with tempfile.TemporaryDirectory() as folder:
        poets(folder, "a", "b")
        with Server(GYR, "-m", f"{folder}/a.gguf", "-m", f"{folder}/b.gguf", "--memory", "40") as s:
            s.ask(CHAT, chat("a", model="b", max_tokens=2))
            s.ask(CHAT, chat("a", model="a", max_tokens=2))
            now, said = loaded(s), s.said()
    want = ("b: is loaded when it is asked for; 0.00698 GB, and 0.0021 GB for conversations", "may take 0.0419 GB")
    return [f"{now}"] * (now != ["a", "b"]) + [f"{words!r} is not said: {said}" for words in want if words not in said]


def it_ends_while_a_model_waits_for_another():
    """SIGTERM lets the answer under way end, and the one that waits is answered or refused; SIGTERM again ends it."""
    problems = []
    for signals in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            poets(folder, "a", "b")
            with Server(GYR, "-m", f"{folder}/a.gguf", "-m", f"{folder}/b.gguf", "--memory", "12") as s:
                long, waits = s.connect(), s.connect()
                long.request("POST", CHAT, json.dumps(chat("a", model="a", max_tokens=fewer(900, 400), ignore_eos=True, stream=True)))
                reply = long.getresponse()
                reply.read(10)
                waits.request("POST", CHAT, json.dumps(chat("a", model="b", max_tokens=2)))
                time.sleep(0.2)
                for _ in range(signals):
                    s.process.send_signal(signal.SIGTERM)
                    time.sleep(0.1)
                code = s.process.wait(timeout=60)
                rest = reply.read() if signals == 1 else b'"finish_reason":"length"'
                said = s.said()
                long.close()
                waits.close()
        if code or b'"finish_reason":"length"' not in rest or "Sanitizer" in said:
            problems.append(f"{signals}: {code} {rest[-200:]} {said}")
    return problems


def a_folder_is_its_models():
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        poets(folder, "b", "two-00001-of-00002", "two-00002-of-00002")
        os.symlink(folder + "/b.gguf", folder + "/a.gguf")
        os.mkdir(folder + "/checkpoint")
        with open(folder + "/checkpoint/config.json", "w", encoding="utf-8") as f:
            f.write("{}")
        os.mkdir(folder + "/empty")
        for name, data in (("bad.gguf", b"GGUF\x03\0\0\0" + b"\xff" * 64), ("notes.txt", b"x"), (".hidden.gguf", b"x")):
            with open(f"{folder}/{name}", "wb") as f:
                f.write(data)
        with Server(GYR, "-m", folder) as s:
            names = [m["id"] for m in s.ask("/v1/models")["data"]]
            before, said = loaded(s), s.said()
            named = text_of(s.ask(CHAT, chat("Write a poem about snow", model="b", max_tokens=30)))
            unnamed = s.ask(CHAT, chat("a", max_tokens=2))["model"]
            refused = {}
            for name in ("bad", "checkpoint", "none", "notes", "empty"):
                status, _, content = s.send("POST", CHAT, chat("a", model=name))
                refused[name] = status, json.loads(content)["error"]["message"]
            one = s.send("GET", "/v1/models/bad")[0]
            tags = [m["name"] for m in s.ask("/api/tags")["models"]]
        for what, words in ((folder + "/empty", "no model in this folder"), (folder + "/gone", "gone")):
            none = subprocess.run([GYR, "serve", "--port", "0", "-m", what], capture_output=True, text=True, check=False)
            if none.returncode == 0 or words not in none.stderr:
                problems.append(f"{what}: {none}")
        twice = subprocess.run([GYR, "serve", "--port", "0", "-m", folder, "-m", folder + "/b.gguf"], capture_output=True,
                               text=True, check=False)
        alias = subprocess.run([GYR, "serve", "--port", "0", "-m", folder, "--alias", "x"], capture_output=True, text=True,
                               check=False)
    if "b: two models have this name" not in twice.stderr or twice.returncode != 2:
        problems.append(f"{twice}")
    if "has several models" not in alias.stderr or alias.returncode != 2:
        problems.append(f"{alias}")
    if names != ["a", "b", "two"] or before or tags != names or unnamed != "a" or one != 404:
        problems.append(f"{names} {before} {tags} {unnamed} {one}")
    if named != alone(POET, "Write a poem about snow", "-n", "30"):
        problems.append(f"{named!r}")
    for name, words in (("bad", "bad cannot be served: bad: "), ("checkpoint", "checkpoint cannot be served: checkpoint"),
                        ("none", "no model 'none'"), ("notes", "no model 'notes'"), ("empty", "no model 'empty'")):
        if refused[name][0] != 404 or not refused[name][1].startswith(words) or folder in refused[name][1]:
            problems.append(f"{name}: {refused[name]}")
    for words in ("bad: cannot be served: ", "a: is loaded when it is asked for"):
        if words not in said:
            problems.append(f"{words!r} is not said: {said}")
    return problems


# ---------------------------------------------------------------------------------------------------------------------

def stateful(folder):
    names = ["falcon-mamba", "mamba2", "falcon-h1", "qwen3.5-moe"]
    subprocess.run([MAKER, folder, *names], check=True)
    return names


def letters(seed, n):
    """Token ids of a prompt that has no beginning in common with those of other seeds."""
    return [(seed * 7 + i * i * (seed % 5 + 1) + i * 11) % 64 for i in range(n)]


def go_on(s, ids, model=None, n=24, **more):
    """(ids of the answer, how many tokens of the prompt were there)."""
    r = s.ask(TEXT, dict({"prompt": ids, "max_tokens": n, "ignore_eos": True, "return_token_ids": True, "seed": 5}, **more,
                         **({"model": model} if model else {})))
    return r["choices"][0]["token_ids"], r["usage"]["prompt_tokens_details"]["cached_tokens"]


def metric(s, name):
    return float(re.search(rf"^{name} (\S+)$", s.send("GET", "/metrics")[2].decode(), re.MULTILINE)[1])


def saved(s, count):
    """Waits until so many parts are on the disk."""
    end = time.monotonic() + 60
    while metric(s, "gyr:disk_cache_saved_total") < count:
        if time.monotonic() > end:
            raise AssertionError(f"{metric(s, 'gyr:disk_cache_saved_total')} of {count} parts were saved in a minute")
        time.sleep(0.02)


def states_go_on_after_a_restart():
    """Turn by turn with a restart, and a kill, between: the ids are those of a server that computes all of it."""
    problems = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        names = stateful(folder)
        with Server(GYR, "-m", folder, "--disk-cache", "0") as s:
            want = {}
            for name in names:
                ids = letters(3, 300)
                for turn in range(3):
                    want[name, turn] = go_on(s, ids, name, cache_salt=f"{turn}")[0]
                    ids = ids + want[name, turn] + letters(turn, 20)
        asked = {name: letters(3, 300) for name in names}
        for turn in range(3):
            with Server(GYR, "-m", folder, cache=cache) as s:
                for name in names:
                    got, cached = go_on(s, asked[name], name)
                    if got != want[name, turn]:
                        problems.append(f"{name}, turn {turn}: {got} is not {want[name, turn]}")
                    before = len(asked[name]) - 20 if turn else 0
                    if not before - 1 <= cached <= before:
                        problems.append(f"{name}, turn {turn}: {cached} of {before} tokens were found")
                    asked[name] = asked[name] + got + letters(turn, 20)
                if turn:
                    saved(s, len(names))  # it is killed once they are there
                s.stop(signal.SIGKILL if turn else signal.SIGTERM)
    return problems


def states_go_on_from_prompts():
    """From the end of the same prompt, whatever was answered, and from a little before; with the same ids."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        names = stateful(folder)
        with Server(GYR, "-m", folder) as s:
            for name in names:
                ids, salts = letters(5, 300), iter(range(1000))
                fresh = lambda ids, name=name, salts=salts: go_on(s, ids, name, cache_salt=f"{next(salts)}")
                first, again = go_on(s, ids, name), go_on(s, ids, name)
                if first[1] or again != (first[0], 300):
                    problems.append(f"{name}: the same prompt: {first}, then {again}")
                for turn in range(fewer(6, 3)):  # what comes back is not what was answered
                    before, ids = len(ids), ids + letters(turn, 30)
                    got, cached = go_on(s, ids, name)
                    if cached != before or (turn % 3 == 0 and got != fresh(ids)[0]):
                        problems.append(f"{name}, turn {turn}: {cached} of {before} tokens were found, or {got} is wrong")
                long = letters(8, fewer(3900, 1900))
                go_on(s, long, name, n=2)
                other = long[:-3] + [(t + 1) % 64 for t in long[-3:]]
                got, cached = go_on(s, other, name)
                if not cached % 64 == 0 < cached or got != fresh(other)[0]:
                    problems.append(f"{name}: {cached} of a prompt were found that ends otherwise, or {got} is wrong")
                choices = s.ask(TEXT, {"model": name, "prompt": letters(9, 200), "n": 3, "max_tokens": 9, "ignore_eos": True})
                found = choices["usage"]["prompt_tokens_details"]["cached_tokens"]
                if found:  # of the first choice's
                    problems.append(f"{name}: {found} of a new prompt were found")
                talk = [{"role": "user", "content": "abc" * 30}]
                said = s.ask(CHAT, {"model": name, "messages": talk, "max_tokens": 9, "ignore_eos": True})
                for answer in (said["choices"][0]["message"]["content"], "something else"):
                    more = talk + [{"role": "assistant", "content": answer}, {"role": "user", "content": "and"}]
                    usage = s.ask(CHAT, {"model": name, "messages": more, "max_tokens": 9})["usage"]
                    if usage["prompt_tokens_details"]["cached_tokens"] < said["usage"]["prompt_tokens"] - 1:
                        problems.append(f"{name}: {usage} after {said['usage']}")
            kept = metric(s, "gyr:conversations")
        with Server(GYR, "-m", f"{folder}/falcon-mamba.gguf", "--kv-memory", "1") as s:
            for i in range(40):
                go_on(s, letters(i, 300), n=2)
            few = metric(s, "gyr:conversations")
    if not kept <= 128 * len(names) or few >= 40:
        problems.append(f"{kept} and {few} states are kept")
    return problems


def states_beyond_memory_come_from_the_disk():
    problems = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        stateful(folder)
        for name, options, count in (("falcon-h1", ("--kv-memory", "1"), 24), ("falcon-mamba", (), 140)):
            with Server(GYR, "-m", f"{folder}/{name}.gguf", *options, cache=cache) as s:
                first = []
                for i in range(count):  # what is dropped sooner than it can be saved is not found again
                    first.append(go_on(s, letters(i, 300), n=8)[0])
                    saved(s, i + 1)
                dropped = metric(s, "gyr:conversations_dropped_total")
                again = [letters(i, 300) + first[i] + letters(i + 1, 9) for i in range(count)]
                second = [go_on(s, ids, n=8) for ids in again]
                read = metric(s, "gyr:disk_cache_tokens_total")
                fresh = [go_on(s, ids, n=8, cache_salt="fresh")[0] for ids in again[::6]]
            if [ids for ids, _ in second][::6] != fresh:
                problems.append(f"{name}: other answers")
            found = [cached for _, cached in second]
            if not dropped or not read or min(found) < 300:
                problems.append(f"{name}: {dropped} dropped, {read} tokens read, {found} found")
    return problems


def damaged_states_are_computed_again():
    problems = []
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        stateful(folder)
        model, ids = f"{folder}/falcon-h1.gguf", letters(9, 300)
        with Server(GYR, "-m", model, cache=cache) as s:
            answer = go_on(s, ids)[0]
        ids = ids + answer + letters(1, 10)
        with Server(GYR, "-m", model) as s:
            want = go_on(s, ids)[0]
        where = f"{cache}/gyr/conversations"
        kept = {name: open(f"{where}/{name}", "rb").read() for name in os.listdir(where)}
        for at in (100, -100):
            for name, data in kept.items():
                at %= len(data)
                with open(f"{where}/{name}", "wb") as f:
                    f.write(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
            with Server(GYR, "-m", model, cache=cache) as s:
                got, cached = go_on(s, ids)
                s.stop(signal.SIGKILL)
            if got != want or cached or not kept:
                problems.append(f"{at}: {got} is not {want}, {cached} found, of {list(kept)}")
    return problems


if __name__ == "__main__":
    run(a_model_in_use_is_drained_before_it_is_unloaded, both_stay_where_there_is_room,
        it_ends_while_a_model_waits_for_another, a_folder_is_its_models,
        states_go_on_after_a_restart, states_go_on_from_prompts, states_beyond_memory_come_from_the_disk, damaged_states_are_computed_again)
