"""gyr serve on several ranks: the bytes of one process, many answers at once, a gentle end; and ranks that die or stop
while answers are on their way.

usage: serving_test.py GYR STATEFUL_MODELS
"""
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from launching import ALL, ENV, GYR, at_once, launcher, model_file, rank_process  # noqa: E402
from house import run  # noqa: E402
from serving import Server  # noqa: E402

BEGINNING = "Write a poem about San Francisco, its hills and its fog, "
PROMPTS = [BEGINNING + rest for rest in ("the bay and the bridge", "its cable cars", "and the sea", "the bay at night")]
# Two that begin alike share pages, and states are copied; the last is asked twice.
BY_ROWS = ("mixtral", "mamba")  # the others are cut by layers
COUNTS = {"poet": (2, 5), "falcon-h1": (3,), "mixtral": (3,)}
PATIENCE = 3
SPEED = 30  # seconds in which an answer is to come after a rank was lost


class Ranks(Server):
    """gyr serve on so many ranks, which may be lost."""

    def __init__(self, n, *options, cache=None):
        os.environ.update(ENV, GYR_RANK_TIMEOUT=str(PATIENCE))
        super().__init__(launcher(), *options, cache=cache, verb=("--enable-recovery", "-n", str(n), GYR, "serve",
                                                                  "--port", "0", "--no-cache", "-t", "1"))

    def stop(self, number=signal.SIGUSR1):
        return super().stop(number)

    def hit(self, rank, how):
        os.kill(rank_process(self.process, rank), how)


def options(name):
    if name in ("poet", "falcon-h1"):
        return (*(() if name == "poet" else ("-m", model_file(name))), "--split", "layers")
    return () if name == "poet" else ("-m", model_file(name), *(("--split", "rows") if name in BY_ROWS else ()))


def request(prompt, n, **more):
    return dict({"prompt": prompt, "max_tokens": n, "temperature": 1, "seed": 7, "ignore_eos": True}, **more)


def streams(server, n, during=None):
    """What is answered to the prompts at once, the first of them twice; `during` is called once one has begun."""
    texts = [None] * (len(PROMPTS) + 1)
    begun = threading.Event()

    def one(i):
        c = server.connect()
        c.request("POST", "/v1/completions", json.dumps(request(PROMPTS[i % len(PROMPTS)], n, stream=True)))
        reply, text = c.getresponse(), ""
        for line in iter(reply.readline, b""):
            begun.set()
            event = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            text += "".join(choice["text"] for choice in event.get("choices", ()))
        c.close()
        texts[i] = text

    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(texts))]
    for t in threads:
        t.start()
    if during:
        begun.wait(60)
        during()
    for t in threads:
        t.join(timeout=100)
    return texts


def embeddings(server):
    return [e["embedding"] for e in server.ask("/v1/embeddings", {"input": PROMPTS})["data"]]


of_texts, room = {}, {}  # by the model


def talk_room(server):
    """Bytes that its conversations may take."""
    return next(float(line.split()[1]) for line in server.send("GET", "/metrics")[2].decode().splitlines()
                if line.startswith("gyr:kv_cache_limit_bytes "))


def reference(name, n):
    with Server(GYR, *options(name)) as s:
        of_texts[name] = embeddings(s)
        texts = streams(s, n)
        room[name] = talk_room(s)
        return texts


def the_bytes_do_not_depend_on_the_number_of_ranks():
    launcher()
    cases = [(name, n, reference(name, 40)) for name in COUNTS for n in ((1, 2, 3, 5) if ALL else COUNTS[name])]

    def one(name, n, want):
        with Ranks(n, *options(name)) as s:
            got = streams(s, 40)
            again = s.ask("/v1/completions", request(PROMPTS[0], 40))["choices"][0]["text"]
            vectors = embeddings(s)
            more = talk_room(s) / room[name]  # ranks of one machine share its memory; others take some of it meanwhile
            status = s.stop()
        ok = got == want and again == want[0] and status == 0 and vectors == of_texts[name] and more < 1.5
        return [] if ok else [f"{name} on {n} ranks: status {status}, {more} times the room, {got} and {again!r}, not {want}"]

    return at_once(one, cases)


def an_end_waits_for_what_was_asked():
    with Ranks(2) as s:
        want = s.ask("/v1/completions", request("The sea", 800))["choices"][0]["text"]
        got = []
        t = threading.Thread(target=lambda: got.append(s.ask("/v1/completions", request("The sea", 800))))
        t.start()
        time.sleep(0.1)
        status = s.stop()
        t.join()
    ok = status == 0 and got and got[0]["choices"][0]["text"] == want
    return [] if ok else [f"status {status}, {got}, not {want!r}\n{s.said()}"]


def answers_go_on_without_a_rank_that_is_lost():
    """One is killed, and then one is stopped: streams that are on their way end with the bytes that they had had."""
    def one(name, long):
        problems = []
        want = reference(name, long)
        with Ranks(3, *options(name)) as s:
            for rank, how in ((1, signal.SIGKILL), (2, signal.SIGSTOP)):
                begun = time.time()
                got = streams(s, long, lambda: s.hit(rank, how))
                took, said = time.time() - begun, s.said()
                if got != want or took > SPEED or f"rank {rank} on " not in said:
                    problems.append(f"{name}, rank {rank}: after {took:.1f} s {got}, not {want}\n{said}")
            status = s.stop()
            said = s.said()
        # The status is mpirun's, which itself crashed at the end of 1 of about 50 runs that had lost two ranks (4.1.4).
        ended = status in (0, -signal.SIGSEGV) and "Sanitizer" not in said
        return problems + ([] if ended else [f"{name}: status {status}\n{said}"])

    return at_once(one, (("poet", 800), ("falcon-h1", 600), ("mixtral", 1500)))


if __name__ == "__main__":
    run(the_bytes_do_not_depend_on_the_number_of_ranks, an_end_waits_for_what_was_asked,
        answers_go_on_without_a_rank_that_is_lost)
