"""gyr serve with a model on a card: what it takes is counted where it lies, and a card that is lost in mid-answer loses
no request: the model goes on on another card, or on the CPU, with the same bytes. The cards are the stand-in of the
drivers' tests, whose kernels run on the host.

usage: card.py GYR STATEFUL_MODELS FAKES KERNELS
"""
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../house"))
from house import run  # noqa: E402
from serving import Server, chat, in_threads  # noqa: E402

GYR, STATEFUL_MODELS, FAKES, KERNELS = sys.argv[1:5]
CHAT = "/v1/chat/completions"
FOLDER = tempfile.TemporaryDirectory()
MODEL = os.path.join(FOLDER.name, "gemma2.gguf")
TEXTS = ("once", "twice upon a time", "a third time")


def ask(server, text, **more):
    reply = server.ask(CHAT, chat(text, max_tokens=12, temperature=1, seed=3, ignore_eos=True, **more))
    return reply["choices"][0]["message"]["content"]


def on_the_cpu():
    with Server(GYR, "-m", MODEL, "--device", "cpu") as s:
        return {text: ask(s, text) for text in TEXTS}


def with_card(fail=None, cards=1, *more):
    for name, value in (("GYR_FAKE_FAIL", fail), ("GYR_FAKE_CARDS", str(cards))):
        os.environ.pop(name, None)
        if value:
            os.environ[name] = value
    return Server(GYR, "-m", MODEL, "--device", "auto", "--no-page", *more)


def a_card_answers_as_the_cpu_does():
    want, problems = on_the_cpu(), []
    with with_card() as s:
        for text in TEXTS:
            got = ask(s, text)
            if got != want[text]:
                problems.append(f"{text}: {got!r}, not {want[text]!r}")
        if "gemma2: device: cuda:0 (Stand-in 0), " not in s.said():
            problems.append(s.said())
    return problems


def what_is_on_the_card_takes_no_memory_of_the_host():
    """Two models that the host's memory has room for one of: both stay on the card, and one of them on the CPU."""
    problems = []
    two = os.path.join(FOLDER.name, "gemma3.gguf")
    for device, stays, used in (("auto", 2, 0), ("cpu", 1, None)):
        os.environ.pop("GYR_FAKE_FAIL", None)
        with Server(GYR, "-m", MODEL, "-m", two, "--device", device, "--memory", "3", "--kv-memory", "2") as s:
            for name in ("gemma2", "gemma3", "gemma2"):
                ask(s, "x", model=name)
            memory = s.ask("/props")["memory"]
            loaded = [m["name"] for m in s.ask("/api/ps")["models"]]
        if len(loaded) != stays or (used is not None and memory["used"] != used):
            problems.append(f"{device}: {loaded} {memory}")
    return problems


def a_lost_card_loses_no_request():
    """In a prompt, in an answer, and with several at once."""
    want, problems = on_the_cpu(), []
    for kernel in (40, 200, 400):
        with with_card(f"kernel:{kernel}:700") as s:
            got = {}

            def one(text):
                got[text] = ask(s, text)
            problems += in_threads(one, TEXTS)
            got["again"] = ask(s, TEXTS[0])
            said = s.said()
        if got != dict(want, again=want[TEXTS[0]]):
            problems.append(f"{kernel}: {got}, not {want}")
        told = [line for line in said.splitlines() if "gemma2 is on the CPU now, after " in line]
        if len(told) != 1 or "computing failed: error 700" not in told[0]:
            problems.append(f"{kernel}: told {len(told)} times: {said}")
    return problems


def another_card_comes_before_the_cpu():
    """The first of two is lost; the second keeps the model, is lost too, or does not take it."""
    want, problems = on_the_cpu(), []
    there, cpu = "gemma2 is on cuda:1 now, after ", "gemma2 is on the CPU now, after "
    for then, told in (("", [there]), (",kernel:90:700", [there, cpu]), (",module_load:1:1", [cpu])):
        with with_card("kernel:40:700" + then, 2) as s:
            got = {text: ask(s, text) for text in TEXTS}
            said = s.said()
            loaded = s.ask("/api/ps")["models"]
        if got != want:
            problems.append(f"{then}: {got}, not {want}")
        if [line for line in (there, cpu) if line in said] != told:
            problems.append(f"{then}: {said}")
        if len(loaded) != 1 or (loaded[0]["size_vram"] > 0) != (told[-1] == there):
            problems.append(f"{then}: {loaded}")
    return problems


def rows_go_on_among_those_that_are_left():
    """Of three cards that share rows one is lost, and then another."""
    want, problems = on_the_cpu(), []
    for then, told in (("", ["by rows on "]), (",kernel:900:700", ["by rows on ", ""])):
        with with_card("kernel:400:700" + then, 3, "--split", "rows") as s:
            got = {text: ask(s, text) for text in TEXTS}
            said = s.said()
        moves = [line for line in said.splitlines() if "gemma2 is on cuda:" in line]
        if got != want or len(moves) != len(told) or any(there not in line for there, line in zip(told, moves)):
            problems.append(f"{then}: {got}, not {want}; {said}")
        if "gemma2: device: by rows on cuda:0 (Stand-in 0), " not in said:
            problems.append(said)
    return problems


def without_the_cpu_there_is_an_error():
    problems = []
    with with_card("kernel:40:700", 1, "--no-cpu") as s:
        body = s.ask(CHAT, chat(TEXTS[0], max_tokens=12), status=503)
        said = s.said()
    if "computing failed: error 700" not in str(body):
        problems.append(f"{body}")
    if "gemma2 is on cuda:0, no other device takes it: " not in said or "--no-cpu, and this machine has no card that can be used" not in said:
        problems.append(said)
    return problems


def embeddings_go_on_too():
    problems = []
    body = {"input": ["once upon a time", "x"], "model": "gemma2"}
    with Server(GYR, "-m", MODEL, "--device", "cpu") as s:
        want = s.ask("/v1/embeddings", body)["data"]
    with with_card("kernel:30:700") as s:
        got = s.ask("/v1/embeddings", body)["data"]
        if got != want:
            problems.append("not the CPU's")
        if "gemma2 is on the CPU now" not in s.said():
            problems.append(s.said())
    return problems


if __name__ == "__main__":
    os.environ.update(GYR_GPU_LIBRARIES=FAKES, GYR_FAKE_KERNELS=os.path.abspath(KERNELS))
    subprocess.run([STATEFUL_MODELS, FOLDER.name, "gemma2", "gemma3"], check=True)
    run(a_card_answers_as_the_cpu_does, what_is_on_the_card_takes_no_memory_of_the_host, a_lost_card_loses_no_request, another_card_comes_before_the_cpu,
        rows_go_on_among_those_that_are_left,
        without_the_cpu_there_is_an_error, embeddings_go_on_too)
