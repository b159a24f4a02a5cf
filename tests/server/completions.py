"""/v1/completions: several prompts, echo, and the probabilities of what was asked and answered.

usage: completions.py GYR
"""
import json
import math
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
TEXT, CHAT = "/v1/completions", "/v1/chat/completions"
PROMPTS = ["The sea", "A falcon over the mountains, and far away", "Snow", "The sea and the", "Grüße an das Meer"]


def ids_of(s, text):
    return s.ask("/tokenize", {"prompt": text})["tokens"]


def streamed(s, body):
    """Text, finish and log-probabilities of each choice, as a stream has them."""
    choices = {}
    for _, e in s.events(TEXT, body):
        for c in e["choices"] if e != "[DONE]" else []:
            mine = choices.setdefault(c["index"], {"text": "", "finish_reason": None, "logprobs": {}})
            mine["text"] += c["text"]
            mine["finish_reason"] = c["finish_reason"] or mine["finish_reason"]
            for key, values in (c["logprobs"] or {}).items():
                mine["logprobs"].setdefault(key, []).extend(values)
    return [choices[i] for i in sorted(choices)]


def several_prompts_are_answered_as_each_alone():
    problems = []
    with Server(GYR, "--parallel", "6") as s:
        ask = {"max_tokens": 12, "seed": 3, "n": 2, "return_token_ids": True}
        want = [c for p in PROMPTS for c in s.ask(TEXT, dict(ask, prompt=p))["choices"]]
        tokens = sum(len(ids_of(s, p)) for p in PROMPTS)
        forms = {"texts": PROMPTS, "ids": [ids_of(s, p) for p in PROMPTS],
                 "both": [PROMPTS[0]] + [ids_of(s, p) for p in PROMPTS[1:3]] + PROMPTS[3:]}
        for name, prompts in forms.items():
            got = s.ask(TEXT, dict(ask, prompt=prompts, cache_salt=name))
            if [c["index"] for c in got["choices"]] != list(range(10)):
                problems.append(f"{name}: {[c['index'] for c in got['choices']]}")
            wrong = [i for i, (a, b) in enumerate(zip(got["choices"], want))
                     if (a["text"], a["token_ids"], a["finish_reason"]) != (b["text"], b["token_ids"], b["finish_reason"])]
            if wrong or got["usage"]["prompt_tokens"] != tokens or \
               got["usage"]["completion_tokens"] != sum(len(c["token_ids"]) for c in want):
                problems.append(f"{name}: {wrong} are others; {got['usage']}, {tokens} tokens were sent")
        stream = streamed(s, dict(ask, prompt=PROMPTS))
        if [(c["text"], c["finish_reason"]) for c in stream] != [(c["text"], c["finish_reason"]) for c in want]:
            problems.append(f"streamed: {stream}")
        one = s.ask(TEXT, dict(ask, prompt=[PROMPTS[0]]))["choices"]
        if [c["text"] for c in one] != [c["text"] for c in want[:2]]:
            problems.append(f"a list of one: {one}")
        many = s.ask(TEXT, {"prompt": ["a", "b"] * 500, "max_tokens": 1})["choices"]
        if len(many) != 1000 or len({c["text"] for c in many}) != 2:
            problems.append(f"{len(many)} of 1000")
    return problems


def what_is_echoed_comes_first():
    problems = []
    with Server(GYR) as s:
        ask = {"prompt": PROMPTS, "max_tokens": 6, "echo": True, "logprobs": 2, "seed": 1}
        plain = s.ask(TEXT, dict(ask, echo=False))["choices"]
        whole = s.ask(TEXT, ask)["choices"]
        stream = streamed(s, ask)
        only = s.ask(TEXT, dict(ask, max_tokens=0))
        shown = s.ask(TEXT, {"prompt": PROMPTS, "echo": True, "max_tokens": 0})["choices"]
        lengths = [len(ids_of(s, p)) for p in PROMPTS]
    for i, prompt in enumerate(PROMPTS):
        got, n = whole[i]["logprobs"], lengths[i]
        if whole[i]["text"] != prompt + plain[i]["text"] or shown[i]["text"] != prompt or shown[i]["logprobs"]:
            problems.append(f"{whole[i]} {shown[i]}")
        if {k: v for k, v in whole[i].items() if k in stream[i]} != stream[i]:
            problems.append(f"streamed {stream[i]} is not {whole[i]}")
        if got["token_logprobs"][0] is not None or got["top_logprobs"][0] is not None or None in got["token_logprobs"][1:]:
            problems.append(f"{got['token_logprobs']}")
        for key in ("tokens", "token_logprobs", "top_logprobs"):
            if got[key][n:] != plain[i]["logprobs"][key] or only["choices"][i]["logprobs"][key] != got[key][:n]:
                problems.append(f"{key} of {prompt!r}: {got[key]} is not {plain[i]['logprobs'][key]}")
        for token, at in zip(got["tokens"], got["text_offset"]):
            if not token.startswith("bytes:") and whole[i]["text"][at:at + len(token)] != token:
                problems.append(f"{token!r} is not at {at} of {whole[i]['text']!r}")
        for token, p, top in zip(got["tokens"][1:], got["token_logprobs"][1:], got["top_logprobs"][1:]):
            if top.get(token) != p or not 2 <= len(top) <= 3 or max(top.values()) > 0:
                problems.append(f"{token!r}: {p} {top}")
        if only["choices"][i]["text"] != prompt or only["choices"][i]["finish_reason"] != "length":
            problems.append(f"{only['choices'][i]}")
    if only["usage"]["completion_tokens"] != 0 or only["usage"]["total_tokens"] != sum(lengths):
        problems.append(f"{only['usage']}")
    return problems


def scores(ids):
    """Log-probabilities of each token behind those in front of it, by the scores that gyr logits prints."""
    out = subprocess.run([GYR, "logits", "--no-cache", "--tokens", " ".join(map(str, ids))], capture_output=True,
                         text=True, check=True).stdout
    logs = []
    for row in json.loads(out):
        most = max(row)
        total = most + math.log(math.fsum(math.exp(x - most) for x in row))
        logs.append([x - total for x in row])
    return logs


def probabilities_of_prompts_are_the_models():
    problems = []
    with Server(GYR) as s:
        ids = ids_of(s, PROMPTS[1])
        want = scores(ids)
        plain = s.ask(TEXT, {"prompt": ids, "max_tokens": 5})["choices"][0]["text"]
        again = s.ask(TEXT, {"prompt": [ids, ids[:3]], "max_tokens": 5, "n": 2, "prompt_logprobs": 3})
        said = chat("Write a poem about the sea", max_tokens=5, return_token_ids=True)
        before = s.ask(CHAT, said)
        talk = s.ask(CHAT, dict(said, prompt_logprobs=0, n=2))
    if again["choices"][0]["text"] != plain:
        problems.append(f"{again['choices'][0]['text']!r} is not {plain!r}")
    for i, n in enumerate((len(ids), len(ids), 3, 3)):
        got = again["choices"][i]["prompt_logprobs"]
        if len(got) != n or got[0] is not None:
            problems.append(f"choice {i}: {got}")
        for at, row in enumerate(got[1:], 1):
            best = sorted(range(len(want[0])), key=lambda k: (-want[at - 1][k], k))[:3]
            ranks = {str(k): best.index(k) + 1 for k in best}
            if set(row) != {str(ids[at])} | set(ranks) or any(
                    abs(v["logprob"] - want[at - 1][int(k)]) > 1e-4 or v["rank"] != ranks.get(k) for k, v in row.items()):
                problems.append(f"choice {i}, token {at}: {row}, not {best}")
        if "".join(row[str(ids[at])]["decoded_token"] for at, row in enumerate(got[1:], 1)) not in PROMPTS[1]:
            problems.append(f"{got}")
    got, prompt = talk["prompt_logprobs"], talk["prompt_token_ids"]
    if [list(row) for row in got[1:]] != [[str(i)] for i in prompt[1:]] or got[0] is not None:
        problems.append(f"{got}")
    if talk["choices"][0]["message"] != before["choices"][0]["message"] or prompt != before["prompt_token_ids"]:
        problems.append(f"{talk['choices'][0]} is not {before['choices'][0]}")
    for at, row in enumerate(scores(prompt)[:-1]):
        if abs(got[at + 1][str(prompt[at + 1])]["logprob"] - row[prompt[at + 1]]) > 1e-4:
            problems.append(f"token {at + 1} of a chat: {got[at + 1]}, {row[prompt[at + 1]]}")
    return problems


REFUSED = [
    ({"prompt": ["a", 1]}, "prompt: takes a string, a list of token ids"),
    ({"prompt": [[1], []]}, "the prompt is empty"),
    ({"prompt": [[1], [2**40]]}, "token ids are 0 to"),
    ({"prompt": ["a", "word " * 3000]}, "maximum context length is 1024 tokens"),
    ({"prompt": ["a"] * 1025}, "at most 1024 choices"),
    ({"prompt": ["a"] * 20, "n": 64}, "at most 1024 choices"),
    ({"prompt": ["a", "b"], "receipt": True}, "receipt: of one answer"),
    ({"prompt": "a", "max_tokens": 0}, "0 takes \"echo\": true"),
    ({"prompt": "a", "max_tokens": -1}, "max_tokens: takes whole numbers from 0"),
    ({"prompt": "a", "prompt_logprobs": 21}, "prompt_logprobs: takes whole numbers from 0 to 20"),
    ({"prompt": "a", "prompt_logprobs": -1}, "prompt_logprobs: takes whole numbers from 0 to 20"),
    ({"prompt": "a", "prompt_logprobs": True}, "prompt_logprobs: takes whole numbers from 0 to 20"),
    ({"prompt": "a", "prompt_logprobs": 1, "stream": True}, "prompt_logprobs: not in a stream"),
]


def what_cannot_be_is_refused():
    problems = []
    with Server(GYR) as s:
        for body, words in REFUSED + [(chat("a", prompt_logprobs=1, stream=True), "prompt_logprobs: not in a stream")]:
            status, _, content = s.send("POST", CHAT if "messages" in body else TEXT, body)
            if status != 400 or words not in json.loads(content)["error"]["message"]:
                problems.append(f"{str(body)[:80]}: {status} {content[:200]!r}")
        if s.ask(TEXT, {"prompt": "a", "max_tokens": 1})["usage"]["completion_tokens"] != 1:
            problems.append("not well afterwards")
    return problems


if __name__ == "__main__":
    run(several_prompts_are_answered_as_each_alone, what_is_echoed_comes_first, probabilities_of_prompts_are_the_models,
        what_cannot_be_is_refused)
