"""Receipts of a server: what it answers, gyr verify computes again.

usage: receipts.py GYR
"""
import json
import os
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
POEM = "Write a poem about the sea"


def verified(reply):
    """The exit status of gyr verify and what it says."""
    done = subprocess.run([GYR, "verify", "--no-cache", "--json", "-"], input=json.dumps(reply), capture_output=True,
                          text=True, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def faults(name, reply, **receipt):
    """What is wrong with a reply's receipt: that it is not equal, or has not the given members."""
    got = reply.get("receipt")
    if not isinstance(got, dict):
        return [f"{name}: no receipt: {reply}"]
    status, said = verified(reply)
    problems = [] if status == 0 and said["equal"] and said["answer_tokens"] == len(got["answer"]) else \
        [f"{name}: status {status}: {said}"]
    return problems + [f"{name}: {key} is {got.get(key)!r}, not {value!r}" for key, value in receipt.items()
                       if got.get(key) != value]


def answers_are_verified():
    schema = {"type": "object", "properties": {"mood": {"enum": ["calm", "wild"]}}, "required": ["mood"],
              "additionalProperties": False}
    asked = {
        "greedy": chat(POEM, max_tokens=50, temperature=0),
        "drawn": chat(POEM, max_tokens=50, seed=12345678901234567, temperature=1.2, logit_bias={"66": 5}, top_k=30,
                      presence_penalty=0.5),
        "stop": chat(POEM, max_tokens=200, stop=["\n"]),
        "schema": chat(POEM, max_tokens=100, response_format={"type": "json_schema", "json_schema": {
            "name": "mood", "schema": schema}}),
        "least": chat(POEM, max_tokens=40, min_tokens=30, ignore_eos=True),
    }
    want = {"greedy": {"stopped": "length"}, "drawn": {}, "stop": {"stopped": "string", "stop": ["\n"]},
            "schema": {"stopped": "end"}, "least": {"min_tokens": 30, "ignore_end": True, "stopped": "length"}}
    replies, problems = {}, []
    with Server(GYR) as s:
        def one(name):
            replies[name] = s.ask("/v1/chat/completions", dict(asked[name], receipt=True))

        threads = [threading.Thread(target=one, args=(name,)) for name in asked]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        text = s.ask("/v1/completions", {"prompt": "The sea", "max_tokens": 20, "receipt": True})
        without = s.ask("/v1/chat/completions", asked["greedy"])
        problems += faults("completions", text, stopped="length")
    for name in asked:
        problems += faults(name, replies.get(name, {}), **want[name])
    if "receipt" in without:
        problems.append("a receipt that nobody asked for")
    drawn = replies["drawn"]["receipt"]
    if drawn["sampling"]["seed"] != "12345678901234567" or drawn["sampling"]["bias"] != [[66, 5.0]] or \
            drawn["model"].get("path"):
        problems.append(f"drawn: {drawn['sampling']} {drawn['model']}")
    if replies["schema"]["receipt"]["grammar"]["kind"] != "json_schema":
        problems.append(f"schema: {replies['schema']['receipt']}")
    return problems


def a_stream_ends_with_its_receipt():
    with Server(GYR) as s:
        events = s.events("/v1/chat/completions", chat(POEM, max_tokens=30, receipt=True))
        text = s.events("/v1/completions", {"prompt": "The sea", "max_tokens": 20, "receipt": True})
    problems = []
    for name, got, tokens in (("chat", events, 30), ("completions", text, 20)):
        last = got[-2][1]
        if got[-1][1] != "[DONE]" or last["choices"] or last["usage"]["completion_tokens"] != tokens:
            problems.append(f"{name}: {last}")
        problems += faults(name, last)
        problems += [f"{name}: more than one" for _, e in got[:-2] if "receipt" in e]
    return problems


def what_was_changed_is_found():
    with Server(GYR) as s:
        reply = s.ask("/v1/chat/completions", chat(POEM, max_tokens=40, seed=3, receipt=True))
        n = s.send("POST", "/v1/chat/completions", chat(POEM, max_tokens=4, n=2, receipt=True))
        odd = s.send("POST", "/v1/chat/completions", chat(POEM, max_tokens=4, receipt="yes"))
    answer = reply["receipt"]["answer"]
    was = answer[21]
    answer[21] = 70 if was != 70 else 71
    status, said = verified(reply)
    problems = [] if status == 1 and said["equal_tokens"] == 21 and said["computed"] == {"token": was, "stop": None} \
        else [f"changed: {status} {said}"]
    for name, (got, _, content) in (("n", n), ("odd", odd)):
        error = json.loads(content)["error"]
        if got != 400 or error["param"] != "receipt":
            problems.append(f"{name}: {got} {error}")
    return problems


if __name__ == "__main__":
    run(answers_are_verified, a_stream_ends_with_its_receipt, what_was_changed_is_found)
