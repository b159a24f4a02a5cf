"""Ranks with a card each that share the rows of a model: the CPU's bytes, gathered by the stand-in of NCCL or through the
hosts; where the library is missing, another one, does not start, or fails in the middle; where there is no room; and a
server that goes on. The cards are stand-ins of the drivers' tests, whose kernels run on the host.

usage: card_rows_test.py GYR STATEFUL_MODELS FAKES KERNELS
"""
import os
import re
import signal
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "server"))
from launching import ALL, FOLDER, GYR, at_once, ended, launcher, model_file, start, ENV, rank_process  # noqa: E402
from house import run  # noqa: E402
from serving import Server  # noqa: E402

FAKES, KERNELS = (str(Path(p).resolve()) for p in sys.argv[3:5])
CARDS = {"GYR_GPU_LIBRARIES": FAKES, "GYR_FAKE_KERNELS": KERNELS, "GYR_FAKE_CARDS": "3", "GYR_GPU_UNTRIED": "1",
         "XDG_CACHE_HOME": FOLDER.name, "GYR_DEVICE": "auto", "GYR_RANK_TIMEOUT": "3"}
MODELS = ("mixtral", "wide", "wide-mixture", "narrow-mixture", "falcon-h1")
PROMPT = "once upon"


def words(name, device="auto"):
    return (GYR, "run", "-m", model_file(name), "--split", "rows", "--device", device, "-n", "5", "--seed", "3",
            "--temperature", "1", "--ignore-end", "-t", "1", "--raw", PROMPT)


def want(name, known={}):
    """What the CPU says, by the same launcher: it shows what is no letter in its own way."""
    if name not in known:
        known[name] = ended(start((1, *words(name, "cpu"))))[1]
    return known[name]


def without_nccl():
    folder = Path(FOLDER.name) / "no-nccl"
    if not folder.exists():
        folder.mkdir()
        for library in Path(FAKES).glob("lib*.so*"):
            if library.is_file() and "ccl" not in library.name:
                (folder / library.name).symlink_to(library)
    return {"GYR_GPU_LIBRARIES": str(folder), "LD_LIBRARY_PATH": ""}


def fails(call):
    return "env", f"GYR_FAKE_FAIL={call}"


def one(parts, env, status, said, name):
    got, out, err = ended(start(*parts, env=CARDS | env))
    ok = got == status and re.search(said, err) and (status or out == want(name))
    return [] if ok else [f"{parts}, {env}: status {got}, {out!r}, not {want(name)!r}; {err}"]


def few(cases):
    """Without RANKS=all, every other one: each costs half a second of two processors."""
    return cases if ALL else cases[::2]


def the_bytes_are_the_cpus():
    launcher()
    cases = [(name, n, way) for name in MODELS for n in (2, 3) for way in ("library", "host")]
    if not ALL:  # an all-gather and broadcasts, a mixture of either kind, a model with states
        cases = [("wide", 2, "library"), ("wide", 3, "host"), ("wide-mixture", 3, "library"), ("narrow-mixture", 2, "host"),
                 ("falcon-h1", 3, "library")]
    at_once(lambda name: [] if want(name) else [], {case[:1] for case in cases})
    told = {"library": r"by rows: .*; gathered by NCCL 2\.27\.3",
            "host": "by rows: .*; gathered through the hosts: GYR_RANK_GATHER says so"}
    return at_once(one, [([(n, *words(name))], {"GYR_RANK_GATHER": way}, 0, told[way], name) for name, n, way in cases])


def where_the_library_is_no_use_the_hosts_carry_it():
    launcher()
    good, name = words("wide"), "wide"
    want(name)
    return at_once(one, few([
        ([(2, *good)], without_nccl(), 0, r"hosts: NCCL \(libnccl.so.2\) is not there; install NCCL", name),
        ([(1, *good), (1, "env", "GYR_FAKE_NCCL=22800", *good)], {}, 0, "hosts: rank 0 has NCCL 2.27.3, rank 1 NCCL 2.28.0",
         name),
        ([(1, *good), (1, *fails("nccl_join:1:3"), *good)], {}, 0, "hosts: rank 1 on .*NCCL 2.27.3 failed at joining all cards: 3",
         name),
        ([(1, *fails("nccl_gather:2:3"), *good), (2, *good)], {}, 0, "hosts: cuda:0 .*failed at joining all cards: 3", name),
        ([(2, *words("wide", "cuda:1"))], {}, 0, "hosts: cuda:1 .*: 5, invalid usage", name),
        ([(1, *words("wide", "cuda")), (1, *words("wide", "hip:0"))], {}, 0, "hosts: the cards are of several makers", name),
        ([(2, *words("wide", "hip"))], {}, 0, "hip:0 [+] hip:1, .*gathered by RCCL 2.27.3", name)]))


def what_fails_in_the_middle_is_said():
    launcher()
    good, name = words("wide"), "wide"
    want(name)
    return at_once(one, few([
        ([(1, *good), (1, *fails("nccl_gather:12:3"), *good)], {}, 8, "gyr: rank 1 on .*NCCL 2.27.3 failed at gathering: 3", name),
        ([(1, *fails("nccl_gather:12:3"), *good), (2, *good)], {}, 8, "gyr: cuda:0 .*NCCL 2.27.3 failed at gathering: 3", name),
        ([(1, *good), (1, *fails("nccl_stall:9:6"), *good)], {}, 8, "gyr: rank 1 on .*failed at gathering: 6", name),
        ([(1, *good), (1, *fails("kernel:90:700"), *good)], {}, 8, "gyr: rank 1 on .*error 700", name),
        ([(3, *good)], {"GYR_FAKE_CARDS": "1"}, 5, "by rows all ranks need a card of their own or none, and rank 2 has none", name),
        ([(2, *good)], {"GYR_FAKE_MEMORY": str(240 << 20)}, 6, "2 ranks have no room", name),
        ([(1, *good), (1, "env", "GYR_RANK_GATHER=hsot", *good)], {}, 2, "rank 1 on .*: GYR_RANK_GATHER: hsot: no such way", name)]))


class Ranks(Server):
    """gyr serve on so many ranks with cards; `first` is the environment of rank 1 alone."""

    def __init__(self, n, name, fail=()):
        os.environ.update(ENV, **CARDS)
        command = (GYR, "serve", "-m", model_file(name), "--split", "rows", "--port", "0", "--no-cache", "-t", "1")
        more = (":", "-n", "1", *fail, *command) if fail else ()
        super().__init__(launcher(), verb=("--enable-recovery", "-n", str(n - bool(fail)), *command, *more))

    def answer(self, n, seed=7):
        body = {"prompt": PROMPT, "max_tokens": n, "temperature": 1, "seed": seed, "ignore_eos": True}
        status, _, content = self.send("POST", "/v1/completions", body)
        return status, re.search(rb'"text": ?"(.*?)", ?"', content, re.S)[1] if status == 200 else content


def a_server_goes_on_through_the_hosts():
    launcher()
    with Ranks(2, "falcon-h1", fail=fails("nccl_stall:80:6")) as server:
        answers = [server.answer(16) for _ in range(4)]
        alone = answers[-1]
        server.stop(signal.SIGUSR1)
        first = next((i for i, (status, _) in enumerate(answers) if status != 200), 4)
        ok = 0 < first < 3 and answers[0] == alone and b"NCCL 2.27.3 failed at gathering: 6" in answers[first][1]
        return [] if ok else [f"{answers}; {server.said()}"]


def a_server_goes_on_without_a_rank():
    """Those that are left are linked anew."""
    launcher()
    with Ranks(3, "falcon-h1") as server:
        alone, got = server.answer(60), []
        asking = threading.Thread(target=lambda: got.append(server.answer(60)))
        asking.start()
        os.kill(rank_process(server.process, 1), signal.SIGKILL)
        asking.join()
        again = server.answer(60)
        server.stop(signal.SIGUSR1)
        return [] if got[0] == alone == again and alone[0] == 200 else [f"{got}, {again}, not {alone}; {server.said()}"]


if __name__ == "__main__":
    run(the_bytes_are_the_cpus, where_the_library_is_no_use_the_hosts_carry_it, what_fails_in_the_middle_is_said,
        a_server_goes_on_through_the_hosts, *([a_server_goes_on_without_a_rank] if ALL else []))
