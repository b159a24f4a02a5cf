"""gyr serve as a service: what it logs, what it says at its start and end, and that the examples fit it.

usage: service.py GYR
"""
import json
import os
import re
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import ROOT, run  # noqa: E402
from serving import Server, chat  # noqa: E402

GYR = sys.argv[1]
CHAT = "/v1/chat/completions"


def a_request_is_a_line():
    with Server(GYR) as s:
        made = subprocess.run([GYR, "key", "add", "ann"], env=s.environ, capture_output=True, text=True, check=True).stdout.strip()
        while "401" in str(s.send("GET", "/v1/models", None, {"Authorization": "Bearer " + made})[0]):
            pass
        s.send("POST", CHAT, chat("a secret text", max_tokens=1), {"Authorization": "Bearer " + made})
        s.send("POST", CHAT, chat("a secret text", frobnicate=1))
        s.send("GET", "/x%0aGET%20/v1/forged%20200%1b[2J%07")
        s.stop()
        said = s.said()
    want = [r"POST /v1/chat/completions 200 \d+\.\d{3} s [0-9a-f]{24} (ann|-)",
            r"POST /v1/chat/completions 400 \d+\.\d{3} s [0-9a-f]{24} -: unknown parameter: 'frobnicate'",
            r"GET /x.?GET /v1/forged 200.* 404 \d+\.\d{3} s [0-9a-f]{24} -: .*there is nothing here.*"]
    problems = [f"no line {line!r} in {said}" for line in want if not re.search(f"^{line}$", said, re.MULTILINE)]
    problems += [f"{bad!r} is in the log: {said!r}" for bad in ("\033[2J", "\a", "secret", made) if bad in said]
    return problems + [f"a forged line: {said}"] * ("\nGET /v1/forged" in said)


def quiet_logs_no_requests():
    with Server(GYR, "--quiet") as s:
        s.send("POST", CHAT, chat("a", max_tokens=1))
        s.send("POST", CHAT, chat("a", frobnicate=1))
        s.stop()
        said = s.said()
    return [said] if "POST" in said else []


def the_start_says_what_is_served():
    with Server(GYR, "--context", "512", "--parallel", "7") as s:
        said = s.said()
        where = s.environ["GYR_STATE"]
    want = ["poet: ", "context of 512 tokens", "up to 7 answers at once", " GB for what they remember", "no key is asked for", f"the state is in {where}/"]
    return [f"{words!r} is not said: {said}" for words in want if words not in said]


def a_state_that_cannot_be_is_said():
    with Server(GYR, state="/proc/no") as s:
        said = s.said()
        well = s.send("POST", CHAT, chat("a", max_tokens=1))[0]
    refused = subprocess.run([GYR, "serve", "--port", "0", "--auth"], capture_output=True, text=True, check=False,
                             env=dict(os.environ, GYR_STATE="/proc/no"))
    problems = [] if "/proc/no" in said and well == 200 else [f"{well} {said}"]
    return problems + [str(refused)] * (refused.returncode == 0 or refused.stdout != "")


def keys_are_asked_for_on_the_loopback_too():
    with Server(GYR) as home:
        where = home.environ["GYR_STATE"]
        none = subprocess.run([GYR, "serve", "--port", "0", "--auth"], env=home.environ, capture_output=True, text=True, check=False)
        key = subprocess.run([GYR, "key", "add", "ann"], env=home.environ, capture_output=True, text=True, check=True).stdout.strip()
        with Server(GYR, "--auth", state=where) as s:
            got = [s.send("GET", "/v1/models", None, h)[0] for h in ({}, {"Authorization": f"Bearer {key}"})]
    problems = [] if none.returncode == 2 and "gyr key add" in none.stderr else [str(none)]
    return problems + [f"{got}"] * (got != [401, 200])


def an_address_that_is_none_is_said():
    problems = []
    for host, words in (("300.1.2.3", "300.1.2.3: not an address: "),
                        ("192.0.2.1", "192.0.2.1:0: cannot listen: Cannot assign requested address")):
        made = subprocess.run([GYR, "serve", "--port", "0", "--no-auth", "--no-cache", "--host", host], capture_output=True, text=True,
                              check=False)
        if made.returncode == 0 or words not in made.stderr or "Success" in made.stderr or made.stderr.count("\n") != 1:
            problems.append(f"{host}: {made}")
    return problems


def the_dashboard_shows_what_there_is():
    board = json.loads((ROOT / "examples/serving/grafana.json").read_text(encoding="utf-8"))
    used = set(re.findall(r"\b(?:vllm|gyr):[a-z_]+", json.dumps([board["panels"], board["templating"]])))
    with Server(GYR) as s:
        s.ask(CHAT, chat("a", max_tokens=1))
        metrics = s.send("GET", "/metrics")[2].decode()
    there = set(re.findall(r"^((?:vllm|gyr):[a-z_]+)", metrics, re.MULTILINE))
    odd = [line for line in metrics.splitlines() if not re.fullmatch(r'# (HELP|TYPE) [a-z:_]+ .+|[a-z:_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+0-9.e]+', line)]
    return [f"{len(used)} metrics are used"] * (len(used) < 15) + [f"{name} is not in /metrics" for name in used - there] + odd


def the_examples_use_options_that_there_are():
    known = set(re.findall(r"--[a-z-]+", subprocess.run([GYR, "serve", "--help"], capture_output=True, text=True, check=True).stdout))
    problems = []
    for name in ("gyr.service", "Containerfile", "nginx.conf"):
        text = (ROOT / "examples/serving" / name).read_text(encoding="utf-8")
        for line in re.findall(r"(?:gyr serve|GYR_SERVE=|gyr \\\n#)([^\n]*(?:\\\n[^\n]*)*)", text):
            problems += [f"{name}: {option} is not known" for option in re.findall(r" (--[a-z-]+)", line) if option not in known]
    return problems


if __name__ == "__main__":
    run(a_request_is_a_line, quiet_logs_no_requests, the_start_says_what_is_served, a_state_that_cannot_be_is_said,
        keys_are_asked_for_on_the_loopback_too, an_address_that_is_none_is_said, the_dashboard_shows_what_there_is, the_examples_use_options_that_there_are)
