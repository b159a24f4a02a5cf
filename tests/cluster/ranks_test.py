"""Models on several ranks, which MPI's launcher starts here: the same bytes, whatever the number; and ranks that do
not fit together, that die, and that stop.

usage: ranks_test.py GYR STATEFUL_MODELS IMPOSTOR
"""
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from launching import ALL, ENV, FOLDER, GYR, at_once, ended, launcher, model_file, rank_process, start
from house import run

IMPOSTOR = str(Path(sys.argv[3]).resolve())
# A mixture; states beside attention; a state alone; an indexer and latent attention; windows and chunks.
NAMES = ("mixtral", "falcon-h1", "mamba", "deepseek-v3.2", "llama4")
COUNTS = {"layers": {"poet": (1, 7), "mixtral": (5,), "falcon-h1": (3,), "deepseek-v3.2": (2,)},
          "rows": {"poet": (3,), "mixtral": (4,), "falcon-h1": (2,), "deepseek-v3.2": (3,)}}
SAMPLED = ("-n", "40", "--seed", "7", "--temperature", "1", "--ignore-end", "-t", "1")
PROMPT = "Write a poem about San Francisco, its hills and its fog, the bay and the bridge that spans it"
PATIENCE = 4  # seconds without a sign of life, where a rank is stopped


def model(name):
    """The arguments that choose a model."""
    return () if name == "poet" else ("-m", model_file(name), "--raw")


def alone(*arguments):
    p = subprocess.run([GYR, "run", *arguments], env=ENV, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=100, check=True)
    return p.stdout


def the_bytes_do_not_depend_on_the_number_of_ranks():
    cases = []
    launcher()
    for name in ("poet", *NAMES):
        arguments = (*model(name), *SAMPLED, PROMPT)
        want = alone(*arguments)
        for split, counts in COUNTS.items():
            cases += [(name, n, split, arguments, want) for n in ((1, 2, 3, 4, 5, 7) if ALL else counts.get(name, ()))]

    def one(name, n, split, arguments, want):
        status, out, err = ended(start((n, GYR, "run", "--split", split, *arguments)))
        ok = status == 0 and out == want and (n == 1 or f"{n} ranks, by {split}: " in err)
        return [] if ok else [f"{name} on {n} ranks by {split}: status {status}, {out!r}, not {want!r}; {err}"]

    return at_once(one, cases)


def the_vectors_of_texts_are_those_of_one():
    launcher()

    def one(name, n, split):
        texts = ("ab", "cab " * 99, *("a " * i for i in range(1, 9)))
        words = (GYR, "embed", *model(name)[:2], "-t", "1", *texts)
        alone_ = subprocess.run(words, env=ENV, capture_output=True, text=True, timeout=100, check=True).stdout
        status, out, err = ended(start((n, *words, "--split", split)))
        ok = status == 0 and out == alone_ and len(out.splitlines()) == len(texts)
        return [] if ok else [f"{name} on {n} ranks by {split}: status {status}, {out!r}, not {alone_!r}; {err}"]

    return at_once(one, ((name, n, split) for name in ("poet", *NAMES) for n in (2, 3, 5) for split in COUNTS)
                   if ALL else (("poet", 2, "layers"), ("mixtral", 3, "rows")))


def unlike_parts():
    """By what gyr bench kept on each: here of one machine, which another file says to be a third as fast."""
    launcher()
    name = model_file("mixtral")
    fast, slow = (Path(FOLDER.name) / speed for speed in ("fast", "slow"))
    subprocess.run([GYR, "bench", "-m", name, "-p", "40", "-n", "4", "-b", "1", "--repeat", "1", "-t", "1"],
                   env=ENV | {"XDG_CACHE_HOME": str(fast)}, check=True, capture_output=True)
    kept = json.loads((fast / "gyr/rates.json").read_text())
    for machine in kept["machines"].values():
        for is_model in machine.values():
            rates = is_model["rates"]
            for key, value in rates.items():
                if isinstance(value, float):
                    rates[key] = value / 3 if value > 1 else value * 3
            rates["products"] = {t: [3 * s for s in row] for t, row in rates["products"].items()}
    (slow / "gyr").mkdir(parents=True)
    (slow / "gyr/rates.json").write_text(json.dumps(kept))
    want = alone(*model("mixtral"), *SAMPLED, PROMPT)

    def one(split, parts, folders):
        words = ("run", "--split", split, *model("mixtral"), *SAMPLED, PROMPT)
        status, out, err = ended(start(*((1, "env", f"XDG_CACHE_HOME={f}", GYR, *words) for f in folders)))
        ok = status == 0 and out == want and f"2 ranks, by {split}: {parts}" in err
        return [] if ok else [f"{parts} by {split}: status {status}, {out!r}, not {want!r}; {err}"]

    return at_once(one, (("rows", "73%, 27%", (fast, slow)), ("rows", "27%, 73%", (slow, fast)),
                         ("layers", "2, 0", (fast, slow))))


def slower_than_one_machine():
    """A split that makes an answer no faster than rank 0 alone is refused, and said to be. By layers none is faster; by
    rows one may be, where messages take microseconds (engine/split_test.c has both)."""
    launcher()
    want = alone(*SAMPLED, PROMPT)
    status, out, err = ended(start((3, GYR, "run", *SAMPLED, PROMPT)))
    said = "rank 0 alone: shared among 3 ranks, an answer would " in err or ", by rows: " in err
    ok = status == 0 and out == want and said
    return [] if ok else [f"status {status}, {out!r}, not {want!r}: {err}"]


def many_sequences():
    status, out, err = ended(start((3, GYR, "bench", "-p", 40, "-n", 3, "-b", "5", "--repeat", 1, "-t", 1)))
    return [] if not status and "decode 5 x 3" in out else [f"status {status}, {out}{err}"]


def ranks_are_measured_and_have_parts_by_what_was():
    return at_once(lambda case: case(), ((unlike_parts,), (slower_than_one_machine,), (many_sequences,)))


def refusal(status, text, *parts, env=None):
    got, out, err = ended(start(*parts, env=env))
    lines = [line for line in err.splitlines() if line.startswith("gyr: ")]
    if got == status and len(lines) == 1 and text in lines[0] and not out:
        return []
    return [f"{parts}: status {got}, not {status}, or not only {text!r}: {out!r} {err}"]


def ranks_that_do_not_fit_together_are_refused():
    run_ = (1, GYR, "run", "-n", 4, "hello")
    module = {"GYR_MPI_MODULE": str(next(Path(GYR).parent.glob("gyr-openmpi.so"), ""))}  # the impostor is elsewhere
    strange = ((5, "rank 1 on elsewhere: is gyr 9.9.9, and rank 0 is gyr", run_, (1, IMPOSTOR, "version")),
               (5, "rank 2 on elsewhere: computes by edition", (2, *run_[1:]), (1, IMPOSTOR, "edition")),
               (5, "rank 1 on elsewhere: has another byte order", run_, (1, IMPOSTOR, "order")),
               (5, "is not the same version of gyr", run_, (1, IMPOSTOR, "stranger")))
    launcher()
    other = (2, "has opened another model than rank 0", run_, (1, GYR, "run", *model("mixtral"), "hello"))
    return at_once(lambda *case: refusal(*case, env=module), (*strange, other))


def what_is_wrong_on_one_rank_ends_all():
    run_ = (1, GYR, "run", "-n", 4, "hello")
    nowhere = (1, GYR, "run", "-m", "/nowhere.gguf", "hello")
    return at_once(refusal, (
        (3, "/nowhere.gguf: No such file", run_, nowhere),
        (3, "/nowhere.gguf: No such file", nowhere, run_),
        (2, "--foo: no such option", (3, GYR, "run", "--foo", "hello")),
        (2, "verify: does not run on several ranks", (2, GYR, "verify", "hello")),
        (2, "has one model, and no folder of them", (2, GYR, "serve", "-m", "a", "-m", "b")),
        (3, "/nowhere: No such file", (2, GYR, "run", "--adapter", "/nowhere", "hello")),
        (7, "tokens do not fit", (2, GYR, "run", "-c", 8, PROMPT))))


def struck(rank, how, env=None):
    """What becomes of an answer when a signal hits a rank in the middle of it."""
    p = start((3, GYR, "run", "-n", 100000, "--ignore-end", "--split", "layers", "-t", 1, PROMPT), env=env)
    if p.stdout.read(1) == "":
        return (*ended(p)[:2], "nothing was written")
    pid = rank_process(p, rank)
    if pid is None:
        p.kill()
        return (*ended(p)[:2], "there is no such rank")
    os.kill(pid, how)
    return ended(p)


def a_killed_or_stopped_rank_is_named_and_ends_all():
    def killed(rank):
        status, _, err = struck(rank, signal.SIGKILL)
        return [] if status not in (0, "hung") and f"rank {rank}" in err else [f"status {status}: {err}"]

    def stopped(rank):
        status, _, err = struck(rank, signal.SIGSTOP, {"GYR_RANK_TIMEOUT": str(PATIENCE)})
        ok = status == 8 and f"gyr: rank {rank} on " in err and f"no sign of life for {PATIENCE} s" in err
        return [] if ok else [f"rank {rank}: status {status}: {err}"]

    return at_once(lambda fn, rank: fn(rank), ((stopped, 2), (stopped, 0), (killed, 1)))


def without_its_module_a_started_program_says_so():
    status, out, err = ended(start((2, GYR, "run", "hello"), env={"GYR_MPI_MODULE": "/nowhere.so"}))
    lines = [line for line in err.splitlines() if line.startswith("gyr: ")]
    ok = status == 5 and not out and len(lines) == 1 and "gyr's module for MPI is not here" in lines[0]
    return [] if ok else [f"status {status}: {out}{err}"]


def a_process_that_was_started_alone_looks_for_no_others():
    """As Slurm does it: a number, and nothing that says how many there are; or that there are some."""
    problems = []
    for sign, status in (({"PMIX_RANK": "0"}, 0), ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "1"}, 0),
                         ({"PMIX_RANK": "0", "SLURM_STEP_NUM_TASKS": "2"}, 5)):
        p = subprocess.run([GYR, "run", "-n", "4", "hello"], env=ENV | sign | {"GYR_MPI_MODULE": "/nowhere.so"},
                           stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)
        problems += [f"{sign}: {p.returncode}, {p.stderr}"] if p.returncode != status else []
    return problems


if __name__ == "__main__":
    run(the_bytes_do_not_depend_on_the_number_of_ranks, the_vectors_of_texts_are_those_of_one, ranks_are_measured_and_have_parts_by_what_was,
        ranks_that_do_not_fit_together_are_refused, what_is_wrong_on_one_rank_ends_all,
        a_killed_or_stopped_rank_is_named_and_ends_all, a_process_that_was_started_alone_looks_for_no_others,
        without_its_module_a_started_program_says_so)
