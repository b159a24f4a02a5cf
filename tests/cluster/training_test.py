"""gyr train on several ranks: the model and the losses of one process, whatever the number; and what is refused.

usage: training_test.py GYR STATEFUL_MODELS
"""
import json
import os
import signal
from pathlib import Path

from launching import ALL, ENV, FOLDER, GYR, at_once, ended, launcher, rank_process, start
from house import ROOT, command, run

DATA = ROOT / "tests" / "data" / "train" / "texts.jsonl"
WORDS = ("--layers", "2", "--width", "32", "--heads", "2", "-c", "48", "--batch", "5", "--hold-out", "0.2", "--steps", "6",
         "--valid-steps", "3", "--sample", "4", "--seed", "5", "-t", "1", "--json")


def tokenizer():
    folder = Path(FOLDER.name) / "tokenizer"
    if not folder.exists():
        command(GYR, "train", "tokenizer", "--data", DATA, "--vocab-size", "300", "-o", folder, env=ENV)
    return folder


def words(place, *more):
    """A model's name is its file's: each has a folder of its own."""
    (Path(FOLDER.name) / place).mkdir(exist_ok=True)
    return ("train", "--tokenizer", tokenizer(), "--data", DATA, "-o", Path(FOLDER.name) / place / "model.gguf", *WORDS,
            *more)


def lines(text):
    """What was printed, but for how long it took and where the files are."""
    return [{k: v for k, v in json.loads(line).items() if "second" not in k and k not in ("model", "curve")}
            for line in text.splitlines()]


def model(place):
    return (Path(FOLDER.name) / place / "model.gguf").read_bytes()


def the_model_does_not_depend_on_the_number_of_ranks():
    launcher()
    alone = command(GYR, *words("alone"), env=ENV)
    if alone.returncode or not lines(alone.stdout)[3].get("bits_per_byte"):
        return [f"alone: status {alone.returncode}: {alone.stdout}{alone.stderr}"]

    def one(n):
        status, out, err = ended(start((n, GYR, *words(f"ranks-{n}"))))
        if status or lines(out) != lines(alone.stdout):
            return [f"{n} ranks: status {status}, {out}, not {alone.stdout}; {err}"]
        return [] if model(f"ranks-{n}") == model("alone") else [f"{n} ranks: another model"]

    return at_once(one, ((n,) for n in ((1, 2, 3, 4, 5, 7) if ALL else (2, 3))))


def a_training_that_lost_a_rank_goes_on_with_others():
    launcher()
    more = ("--save-steps", "1", "--steps", "40", "--optimizer", "muon", "--valid-steps", "20")
    p = start((2, GYR, *words("lost", *more)))
    for line in iter(p.stdout.readline, ""):
        if '"step":2' in line:
            os.kill(rank_process(p, 1), signal.SIGKILL)
            break
    status, _, err = ended(p)
    if status in (0, "hung") or "rank 1" not in err:
        return [f"status {status}: {err}"]
    whole = command(GYR, *words("whole", *more), env=ENV)
    status, out, err = ended(start((3, GYR, *words("lost", *more, "--resume"))))
    done = json.loads(out.splitlines()[0])["done"] if out else 0
    if status or whole.returncode or not done:
        return [f"status {status}, {done} steps were done: {out}{err}{whole.stderr}"]
    return [] if model("lost") == model("whole") else ["another model"]


def what_ranks_do_not_share_is_refused():
    launcher()
    status, out, err = ended(start((1, GYR, *words("other")), (1, GYR, *words("other", "--valid-steps", "2"))))
    said = [line for line in err.splitlines() if line.startswith("gyr: ")]
    if status != 2 or len(said) != 1 or "rank 1 on " not in said[0] or "has another training than rank 0" not in said[0]:
        return [f"status {status}: {out}{err}"]
    status, out, err = ended(start((2, GYR, "train", "tokenizer", "--data", DATA, "-o", Path(FOLDER.name) / "no")))
    said = [line for line in err.splitlines() if line.startswith("gyr: ")]
    ok = status == 2 and len(said) == 1 and "train tokenizer: does not run on several ranks" in said[0]
    return [] if ok else [f"status {status}: {out}{err}"]


if __name__ == "__main__":
    run(the_model_does_not_depend_on_the_number_of_ranks, a_training_that_lost_a_rank_goes_on_with_others,
        what_ranks_do_not_share_is_refused)
