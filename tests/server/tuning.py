"""Fine-tuning jobs: from a file of chats to a model that is served, with the bytes that `gyr tune` gives, whatever happens
on the way; what is wrong is told, and nobody sees what is another's.

usage: tuning.py GYR
"""
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat, fewer  # noqa: E402

GYR = sys.argv[1]
POET = str(ROOT / "models/poet.gguf")
JOBS, CHAT = "/v1/fine_tuning/jobs", "/v1/chat/completions"
CHATS = "".join(json.dumps({"messages": [{"role": "user", "content": f"a poem, {what}"}, {"role": "assistant", "content": f"Arr! {what}."}]})
                + "\n" for what in ("sea", "snow", "night", "rain")).encode()
HYPER = {"n_epochs": 3, "batch_size": 2, "learning_rate_multiplier": 40}
OVER = ("succeeded", "failed", "cancelled")


def server(*options, **more):
    return Server(GYR, "-m", POET, "-t", "1", "--tune-fair", *options, **more)


def upload(s, data, name="chats.jsonl", purpose="fine-tune", headers=None):
    mark = "a-boundary"
    head = f'--{mark}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n{purpose}\r\n--{mark}\r\n' \
           f'Content-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
    status, _, content = s.send("POST", "/v1/files", head.encode() + data + f"\r\n--{mark}--\r\n".encode(),
                                dict(headers or {}, **{"Content-Type": f"multipart/form-data; boundary={mark}"}))
    assert status == 200, content
    return json.loads(content)["id"]


def made(s, data=CHATS, headers=None, **more):
    body = dict({"model": "poet", "training_file": upload(s, data, headers=headers), "hyperparameters": HYPER}, **more)
    return s.ask(JOBS, body, headers)


def job(s, one, headers=None):
    return s.ask(f"{JOBS}/{one['id']}", None, headers)


def until(what, seconds=100):
    end = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > end:
            raise AssertionError("never")
        time.sleep(0.01)
    return found


def over(s, one, headers=None):
    return until(lambda: (is_ := job(s, one, headers))["status"] in OVER and is_)


def events(s, one, headers=None):
    """All of them, the oldest first, page by page."""
    found, after = [], ""
    while True:
        page = s.ask(f"{JOBS}/{one['id']}/events?limit=7{after}", None, headers)
        found += page["data"]
        if not page["has_more"]:
            return found[::-1]
        after = "&after=" + page["last_id"]


def steps(s, one):
    return [e["data"]["step"] for e in events(s, one) if e["type"] == "metrics"]


def alone(folder, epochs=3, batch=2, rate=40, seed=0, data=CHATS, *more):
    """The bytes that gyr tune writes."""
    Path(folder, "chats.jsonl").write_bytes(data)
    subprocess.run([GYR, "tune", "-m", POET, "--data", f"{folder}/chats.jsonl", "-o", f"{folder}/alone.gguf", "--epochs", str(epochs),
                    "--batch", str(batch), "--lr", repr(rate * 2e-4), "--seed", str(seed), "-t", "1", *more], capture_output=True, check=True)
    return Path(folder, "alone.gguf").read_bytes()


def adapter(state, one):
    return Path(state, "tuned", one["id"] + ".gguf").read_bytes()


def said(s, model, headers=None):
    return s.ask(CHAT, chat("a poem, sea", model=model, max_tokens=12), headers)["choices"][0]["message"]["content"]


def from_a_file_to_a_model():
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        want = alone(folder, seed=7)
        text = subprocess.run([GYR, "run", "--no-cache", "-m", POET, "--adapter", f"{folder}/alone.gguf", "-n", "12", "a poem, sea"],
                              capture_output=True, text=True, check=True).stdout.strip()
        with server(state=state) as s:
            valid = upload(s, CHATS[:200].split(b"\n")[0], "valid.jsonl")
            one = made(s, suffix="pirate-1", seed=7, validation_file=valid, metadata={"a": "b"}, hyperparameters=None,
                       method={"type": "supervised", "supervised": {"hyperparameters": HYPER}})
            first = one["status"]
            one = over(s, one)
            name, told = one["fine_tuned_model"], events(s, one)
            saved = s.ask(f"{JOBS}/{one['id']}/checkpoints")["data"]
            table = s.send("GET", f"/v1/files/{one['result_files'][0]}/content")[2].decode().split("\n")
            got = [said(s, m) for m in (name, saved[1]["fine_tuned_model_checkpoint"], "poet")]
            listed = [m["id"] for m in s.ask("/v1/models")["data"]]
            page = s.ask(JOBS + "?limit=1")
            same = adapter(state, one) == want
        problems = [f"other bytes than gyr tune's: {one}"] * (not same)
        with server(state=state) as s:  # found again
            got.append(said(s, name))
            again = [m["id"] for m in s.ask("/v1/models")["data"]]
            gone = [s.send("DELETE", "/v1/models/" + m)[0] for m in (name, name, saved[1]["fine_tuned_model_checkpoint"], "poet")]
            after = s.send("POST", CHAT, chat("a", model=name))[0], job(s, one)["status"], [m["id"] for m in s.ask("/v1/models")["data"]]
            left = [p.name for p in Path(state, "tuned").glob("*.gguf")]
    expected = {"status": "succeeded", "error": None, "trained_tokens": one["trained_tokens"], "seed": 7, "metadata": {"a": "b"},
                "user_provided_suffix": "pirate-1", "validation_file": valid, "object": "fine_tuning.job", "integrations": []}
    problems += [f"{key}: {one[key]}" for key, value in expected.items() if one[key] != value]
    if first != "validating_files" or not name.startswith("ft:poet:gyr:pirate-1:") or one["trained_tokens"] < 60:
        problems.append(f"{first} {one}")
    if got[0] != text or got[3] != text or got[2] == text:
        problems.append(f"{got}, not {text!r}")
    metrics = [e["data"] for e in told if e["type"] == "metrics"]
    if [m["step"] for m in metrics] != list(range(1, 7)) or not metrics[0]["train_loss"] > 2 * metrics[-1]["train_loss"] or \
            ["valid_loss" in m for m in metrics] != [False, True] * 3:
        problems.append(f"{metrics}")
    if [c["step_number"] for c in saved] != [6, 4, 2] or saved[0]["fine_tuned_model_checkpoint"] != name or len(table) != 8:
        problems.append(f"{saved} {table}")
    if set(listed) != set(again) or listed[0] != "poet" or set(listed[1:]) != {c["fine_tuned_model_checkpoint"] for c in saved}:
        problems.append(f"{listed} {again}")
    if page["data"][0]["id"] != one["id"] or page["has_more"]:
        problems.append(f"{page}")
    if gone != [200, 404, 200, 403] or after[:2] != (404, "succeeded") or len(after[2]) != 2 or len(left) != 1:
        problems.append(f"{gone} {after} {left}")
    return problems


def a_kill_changes_no_byte():
    """Paused, so that there is a checkpoint in the middle; then killed, twice."""
    hyper = {"n_epochs": fewer(4, 3), "batch_size": 1, "learning_rate_multiplier": 10}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        want = alone(folder, hyper["n_epochs"], 1, 10)
        with server(state=state) as s:
            one = made(s, hyperparameters=hyper)
            until(lambda: len(steps(s, one)) > 2)
            paused = s.ask(f"{JOBS}/{one['id']}/pause", {})["status"]
            until(lambda: Path(state, "tuned", one["id"] + ".gguf.state").exists())
            resumed = s.ask(f"{JOBS}/{one['id']}/resume", {})["status"]
            n = len(steps(s, one))
            until(lambda: len(steps(s, one)) > n + 2)
            s.stop(signal.SIGKILL)
        between = Path(state, "tuned", one["id"] + ".gguf").exists()
        with server(state=state) as s:
            until(lambda: job(s, one)["status"] == "running" and len(steps(s, one)) > n + 4)
            s.stop()  # asked to end: it writes a checkpoint
        with server(state=state) as s:
            one = over(s, one)
            counted, told = steps(s, one), [e["message"] for e in events(s, one)]
        same = adapter(state, one) == want
        left = sorted(p.name for p in Path(state, "tuned").glob("*.state"))
    problems = [f"{one}: other bytes"] * (not same) + [f"{left} {between}"] * bool(left or between)
    if (paused, resumed, one["status"]) != ("paused", "queued", "succeeded") or counted != list(range(1, 4 * hyper["n_epochs"] + 1)):
        problems.append(f"{paused} {resumed} {one} {counted}")
    return problems + [f"{told}"] * (sum("goes on behind step" in m for m in told) < 2)


def what_has_succeeded_is_served_at_once():
    """By whichever process of a state is asked, under each of its names, by name alone and in the list."""
    problems = []
    with tempfile.TemporaryDirectory() as state, server(state=state) as a, server(state=state) as b:
        for i in range(3):
            one = over(b if i % 2 else a, made(a, suffix=f"try-{i}"))
            name, other = one["fine_tuned_model"], a if i % 2 else b
            saved = [c["fine_tuned_model_checkpoint"] for c in other.ask(f"{JOBS}/{one['id']}/checkpoints")["data"]]
            if i == 0:
                seen = {m["id"] for m in other.ask("/v1/models")["data"]}
            else:
                seen = {m for m in saved if (said(other, m) if i == 1 else other.ask("/v1/models/" + m))}
            if name not in saved or not set(saved) <= seen:
                problems.append(f"{i}: {saved}, served {seen}")
    return problems


def what_is_cancelled_leaves_nothing():
    with tempfile.TemporaryDirectory() as state, server(state=state) as s:
        hyper = {"n_epochs": 50, "batch_size": 1}
        one, two, three = (made(s, CHATS * 20, hyperparameters=hyper) for _ in range(3))
        until(lambda: len(steps(s, one)) > 1)
        until(lambda: job(s, three)["status"] == "queued")  # checked while another is trained
        busy = s.send("DELETE", "/v1/files/" + two["training_file"])[0]
        wrong = [s.send("POST", f"{JOBS}/{two['id']}/resume", {})[0]]
        paused = s.ask(f"{JOBS}/{two['id']}/pause", {})["status"]
        for each in (one, two, three):
            s.ask(f"{JOBS}/{each['id']}/cancel", {})
        wrong += [s.send("POST", f"{JOBS}/{two['id']}/{what}", {})[0] for what in ("cancel", "pause", "resume", "explode")]
        states = [over(s, each) for each in (one, two, three)]
        until(lambda: not list(Path(state, "tuned").glob("ftjob-*")))
        free = s.send("DELETE", "/v1/files/" + two["training_file"])[0]
        listed = [m["id"] for m in s.ask("/v1/models")["data"]]
        text = said(s, "poet")
    if [e["status"] for e in states] != ["cancelled"] * 3 or None in [e["finished_at"] for e in states] or listed != ["poet"] or not text:
        return [f"{states} {listed}"]
    good = (busy, free, paused, wrong) == (409, 200, "paused", [400, 400, 400, 400, 404])
    return [] if good else [f"{busy} {free} {paused} {wrong}"]


def bad_data_fails_with_its_line():
    good = CHATS.split(b"\n")[0] + b"\n"
    cases = [(good + b"hello\n", "chats.jsonl:2:"), (b"", "chats.jsonl: has no conversation"),
             (good + b'{"messages": [{"role": "user", "content": "a"}]}\n', "chats.jsonl:2: has no assistant's message"),
             (good * 2 + b'{"messages": [{"role": "bot", "content": "a"}]}\n', "chats.jsonl:3: message 1: 'bot' is no role"),
             (good.replace(b"Arr", b"Arr " * 2000), "chats.jsonl:1: has ")]
    problems = []
    with tempfile.TemporaryDirectory() as state, server(state=state) as s:
        jobs = [made(s, data) for data, _ in cases]
        jobs.append(made(s, validation_file=upload(s, b"{}\n", "valid.jsonl")))
        for one, words, param in zip(jobs, [w for _, w in cases] + ["valid.jsonl:1: has no 'messages'"], ["training_file"] * 5 + ["validation_file"]):
            one = over(s, one)
            error, last = one["error"] or {}, events(s, one)[-1]
            if one["status"] != "failed" or words not in error.get("message", "") or error["param"] != param or \
                    error["code"] != "invalid_" + param or last["level"] != "error" or words not in last["message"] or state in error["message"]:
                problems.append(f"{one} {last}")
        files = list(Path(state, "tuned").glob("ftjob-*"))
        text = said(s, "poet")
        for data, words in cases[2:3]:
            got = s.send("POST", "/v1/fine_tuning/examples", {"model": "poet", "training_file": upload(s, data)})
            problems += [f"{got}"] * (got[0] != 400 or words not in got[2].decode() or state in got[2].decode())
    return problems + [f"{files} {text}"] * bool(files or not text)


def what_is_asked_wrongly_is_refused():
    problems = []
    with server() as s, Server(GYR, "-m", POET, "--tune-threads", "0") as none:
        file, other = upload(s, CHATS), upload(s, b"{}\n", purpose="batch")
        supervised = {"type": "supervised", "supervised": {"hyperparameters": {}}}
        for more, status, words in (
                ({"model": None}, 400, "model: takes the name"), ({"model": "no"}, 404, "no model 'no'"), ({"model": 1}, 400, "model: takes"),
                ({"training_file": None}, 400, "training_file: takes the id"), ({"training_file": "file-no"}, 400, "file file-no: there is none"),
                ({"training_file": other}, 400, "its purpose is batch"), ({"validation_file": 5}, 400, "validation_file: takes"),
                ({"validation_file": "../../etc/passwd"}, 400, "there is none"), ({"frobnicate": 1}, 400, "unknown parameter: 'frobnicate'"),
                ({"method": {"type": "dpo", "supervised": {}}}, 400, "unknown parameter: 'method.supervised'"),
                ({"method": {"type": "reinforcement"}}, 400, "'reinforcement' is not"),
                *(({"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": beta}}}}, 400, "dpo.hyperparameters.beta: takes") for beta in (0, 2.1, "much")),
                ({"method": {"type": "x"}}, 400, "method.type: 'x' is none"), ({"method": 1}, 400, "method: takes"),
                ({"method": dict(supervised, x=1)}, 400, "unknown parameter: 'method.x'"),
                ({"method": supervised, "hyperparameters": {}}, 400, "given in method as well"),
                ({"integrations": [{"type": "wandb"}]}, 400, "integrations: are not supported"),
                ({"suffix": ""}, 400, "suffix: takes"), ({"suffix": "a:b"}, 400, "suffix: takes"), ({"suffix": "x" * 65}, 400, "suffix: takes"),
                ({"suffix": "a\0b"}, 400, "the character"), ({"suffix": 1}, 400, "suffix: takes"),
                ({"seed": -1}, 400, "seed: takes"), ({"seed": 2**31}, 400, "seed: takes"), ({"seed": 1.5}, 400, "seed: takes"),
                ({"metadata": {"a": 1}}, 400, "metadata: takes"), ({"metadata": "x"}, 400, "metadata: takes"),
                *(({"hyperparameters": h}, 400, w) for h, w in (
                    ({"n_epochs": 0}, "n_epochs: takes"), ({"n_epochs": 51}, "n_epochs: takes"), ({"n_epochs": "many"}, "n_epochs: takes"),
                    ({"batch_size": 257}, "batch_size: takes"), ({"batch_size": 1.5}, "batch_size: takes"), (3, "takes an object"),
                    ({"learning_rate_multiplier": 0}, "multiplier: takes"), ({"learning_rate_multiplier": 1e300}, "multiplier: takes"),
                    ({"beta": 0.1}, "unknown parameter: 'hyperparameters.beta'")))):
            status_, _, content = s.send("POST", JOBS, dict({"model": "poet", "training_file": file}, **more))
            if status_ != status or words not in content.decode():
                problems.append(f"{more}: {status_} {content}, not {status} {words}")
        for method, path, body, status in (
                ("GET", JOBS + "/ftjob-none", None, 404), ("GET", JOBS + "/" + "x" * 500, None, 404), ("GET", JOBS + "/ftjob-none/events", None, 404),
                ("POST", JOBS + "/ftjob-none/cancel", {}, 404), ("GET", JOBS + "?limit=0", None, 400), ("GET", JOBS + "?limit=101", None, 400),
                ("GET", JOBS + "?after=x", None, 400), ("GET", JOBS + "?metadata[a]=b", None, 400), ("POST", JOBS, [], 400), ("PUT", JOBS, {}, 405),
                ("DELETE", "/v1/models/ft:poet:gyr::none", None, 404), ("DELETE", "/v1/models/poet", None, 403),
                ("POST", "/v1/fine_tuning/examples", {"model": "poet"}, 400), ("POST", "/v1/fine_tuning/examples", {"x": 1}, 400),
                ("POST", "/v1/fine_tuning/examples", {"model": "poet", "training_file": file, "limit": 0}, 400),
                ("POST", "/v1/fine_tuning/examples", {"model": "poet", "training_file": file, "first": -1}, 400),
                ("POST", "/v1/fine_tuning/examples", {"model": "poet", "training_file": "file-no"}, 404)):
            got = s.send(method, path, body)
            problems += [f"{method} {path} {body}: {got}"] * (got[0] != status)
        got = none.send("POST", JOBS, {"model": "poet", "training_file": upload(none, CHATS)})
        problems += [f"{got}"] * (got[0] != 403)
        problems += [f"{s.ask(JOBS)}"] * (s.ask(JOBS)["data"] != [])
    return problems


def examples_are_shown_as_they_are_learned():
    with server() as s:
        body = {"model": "poet", "training_file": upload(s, CHATS), "limit": 2, "first": 1, "hyperparameters": HYPER}
        shown = s.ask("/v1/fine_tuning/examples", body)
        last = s.ask("/v1/fine_tuning/examples", dict(body, first=2))
    first = shown["data"][0]
    learned = "".join(r["text"] for r in first["runs"] if r["learned"])
    plan = {name: shown["plan"][name] for name in ("conversations", "examples", "n_epochs", "batch_size", "steps")}
    good = learned == "Arr! snow.<|end|>" and first["line"] == 2 and "a poem, snow" in first["runs"][0]["text"] and shown["has_more"] and \
        not last["has_more"] and len(last["data"]) == 2 and plan == {"conversations": 4, "examples": 4, "n_epochs": 3, "batch_size": 2, "steps": 6}
    return [] if good else [f"{shown} {last}"]


def preferences_are_learned():
    """By pairs of answers: gyr tune's bytes, and metrics of rewards."""
    say = lambda text: [{"role": "assistant", "content": text}]
    pairs = "".join(json.dumps({"input": {"messages": [{"role": "user", "content": f"a poem, {what}"}]}, "preferred_output": say(f"Arr! {what}."),
                                "non_preferred_output": say("No.")}) + "\n" for what in ("sea", "snow")).encode()
    hyper = {"n_epochs": 2, "batch_size": 1, "learning_rate_multiplier": 50, "beta": 0.3}
    dpo = {"type": "dpo", "dpo": {"hyperparameters": hyper}}
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        want = alone(folder, 2, 1, 5, 3, pairs, "--method", "dpo", "--beta", "0.3")
        with server(state=state) as s:
            one = made(s, pairs, hyperparameters=None, method=dpo, seed=3, validation_file=upload(s, pairs))
            other = made(s, hyperparameters=None, method={"type": "dpo"})
            shown = s.ask("/v1/fine_tuning/examples", {"model": "poet", "training_file": one["training_file"], "method": dpo})
            one, other = over(s, one), over(s, other)
            metrics = [e["data"] for e in events(s, one) if e["type"] == "metrics"]
            table = s.send("GET", f"/v1/files/{one['result_files'][0]}/content")[2].decode().split("\n")
            same = adapter(state, one) == want
    names = {"step", "total_steps", "epoch", "train_loss", "train_reward_accuracy", "train_reward_margin"}
    good = same and one["status"] == "succeeded" and one["method"] == dpo and other["error"]["code"] == "invalid_training_file" and \
        "is a conversation and no pair of answers" in other["error"]["message"] and set(metrics[0]) == names and \
        metrics[-1]["valid_reward_margin"] > 0 and abs(metrics[0]["train_loss"] - 0.693147) < 1e-5 and len(table) == 6 and \
        table[0].count(",") == table[4].count(",") == 6 and [x["preferred"] for x in shown["data"]] == [True, False] * 2
    return [] if good else [f"{same} {one} {other} {metrics} {table} {shown}"]


def what_is_anothers_is_not_there():
    problems = []
    with tempfile.TemporaryDirectory() as state:
        keys = {name: {"Authorization": "Bearer " + subprocess.run(
            [GYR, "key", "add", name, *options], env=dict(os.environ, GYR_STATE=state), capture_output=True, text=True, check=True).stdout.strip()}
            for name, options in (("ann", []), ("bob", []), ("eve", ["--models", "none"]), ("cat", ["--models", "poet"]), ("root", ["--admin"]))}
        hyper = {"n_epochs": 1, "batch_size": 6}
        with server("--auth", state=state) as s:
            jobs = {who: over(s, made(s, headers=keys[who], hyperparameters=hyper), keys[who]) for who in ("ann", "cat", "root")}
            ann, root = jobs["ann"], jobs["root"]
            name = ann["fine_tuned_model"]
            for who, status in (("bob", 404), ("ann", 200), ("root", 200)):
                for path in ("", "/events", "/checkpoints"):
                    got = s.send("GET", f"{JOBS}/{ann['id']}{path}", None, keys[who])[0]
                    problems += [f"{who} {path}: {got}"] * (got != status)
                got = s.send("POST", CHAT, chat("a", model=name, max_tokens=1), keys[who])[0]
                problems += [f"{who}: asks it: {got}"] * (got != status)
                listed = name in [m["id"] for m in s.ask("/v1/models", None, keys[who])["data"]]
                problems += [f"{who}: sees it: {listed}"] * (listed != (status == 200))
            got = [s.send("POST", f"{JOBS}/{ann['id']}/cancel", {}, keys["bob"])[0], s.send("DELETE", "/v1/models/" + name, None, keys["bob"])[0],
                   s.send("GET", "/v1/models/" + name, None, keys["bob"])[0],
                   s.send("POST", JOBS, {"model": "poet", "training_file": ann["training_file"]}, keys["bob"])[0],
                   s.send("POST", "/v1/fine_tuning/examples", {"model": "poet", "training_file": ann["training_file"]}, keys["bob"])[0],
                   s.send("POST", JOBS, {"model": "poet", "training_file": ann["training_file"]}, keys["eve"])[0],
                   s.send("POST", CHAT, chat("a", model=jobs["cat"]["fine_tuned_model"], max_tokens=1), keys["cat"])[0],  # its model is in its list
                   s.send("POST", CHAT, chat("a", model=root["fine_tuned_model"], max_tokens=1), keys["bob"])[0],  # an administrator's is for all
                   s.send("DELETE", "/v1/models/" + root["fine_tuned_model"], None, keys["bob"])[0], s.send("GET", JOBS)[0]]
            counts = [len(s.ask(JOBS, None, keys[who])["data"]) for who in ("ann", "bob", "root")]
    return problems + [f"{got} {counts}"] * ((got, counts) != ([404, 404, 404, 400, 404, 403, 200, 200, 404, 401], [1, 0, 3]))


def training_takes_the_time_that_is_left():
    """The threads of a training are of the class that comes last; those of answers are not."""
    with Server(GYR, "-m", POET) as s:
        one = made(s, CHATS * 20, hyperparameters={"n_epochs": 50})

        def policies():
            found = []
            for task in Path(f"/proc/{s.process.pid}/task").iterdir():
                try:
                    found.append(int((task / "stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[38]))
                except OSError:
                    pass
            return found
        idle = until(lambda: job(s, one)["status"] == "running" and 5 in (found := policies()) and found)
        s.ask(f"{JOBS}/{one['id']}/cancel", {})
        text = said(s, "poet")
    return [] if 0 in idle and text else [f"{idle}"]


if __name__ == "__main__":
    run(from_a_file_to_a_model, a_kill_changes_no_byte, what_has_succeeded_is_served_at_once, what_is_cancelled_leaves_nothing, bad_data_fails_with_its_line,
        what_is_asked_wrongly_is_refused, examples_are_shown_as_they_are_learned, preferences_are_learned, what_is_anothers_is_not_there,
        training_takes_the_time_that_is_left)
