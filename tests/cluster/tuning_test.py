"""gyr tune on several ranks: the adapter and the checkpoint of one process, whatever the number; and what is refused.

usage: tuning_test.py GYR STATEFUL_MODELS
"""
import json
import os
import signal
import tempfile
from pathlib import Path

from launching import ALL, ENV, FOLDER, GYR, at_once, ended, launcher, rank_process, start
from house import command, run
from serving_test import Ranks
from serving import Server
import tuning as jobs

WORDS = ("--epochs", "2", "--batch", "5", "--rank", "2", "--seed", "3", "-t", "1", "--max-tokens", "48", "--cut")
QUESTIONS = ("What is the sea?", "What is a hill?", "Who sings?", "What is fog?", "Where is the bay?", "Is it night?",
             "What is a bridge?")


def data(name, questions):
    """Conversations, as many as there are questions: two steps of five, the last of them not full."""
    path = Path(FOLDER.name) / name
    lines = [{"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": f"{q} I say: {i} of them."}]}
             for i, q in enumerate(questions)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def words(out, *more):
    return ("tune", "--data", data("chats.jsonl", QUESTIONS), "--valid", data("valid.jsonl", QUESTIONS[:3]), "-o",
            Path(FOLDER.name) / out, "--json", *WORDS, *more)


def lines(text):
    """What was printed, but for how long it took and where the adapter is."""
    kept = []
    for line in text.splitlines():
        said = json.loads(line)
        kept.append({k: v for k, v in said.items() if "second" not in k and k not in ("adapter", "tokens_per_s", "rate")})
    return kept


def adapter(name):
    return (Path(FOLDER.name) / name).read_bytes()


def the_adapter_does_not_depend_on_the_number_of_ranks():
    launcher()
    alone = command(GYR, *words("alone.gguf"), env=ENV)
    if alone.returncode:
        return [f"alone: status {alone.returncode}: {alone.stderr}"]

    def one(n):
        status, out, err = ended(start((n, GYR, *words(f"ranks-{n}.gguf"))))
        if status or lines(out) != lines(alone.stdout):
            return [f"{n} ranks: status {status}, {out}, not {alone.stdout}; {err}"]
        return [] if adapter(f"ranks-{n}.gguf") == adapter("alone.gguf") else [f"{n} ranks: another adapter"]

    return at_once(one, ((n,) for n in ((1, 2, 3, 4, 5, 7) if ALL else (2, 3))))


def a_training_that_lost_a_rank_goes_on_with_others():
    launcher()
    p = start((2, GYR, *words("lost.gguf", "--save-steps", "1", "--epochs", "4")))
    for line in iter(p.stdout.readline, ""):
        if '"step":2' in line:
            os.kill(rank_process(p, 1), signal.SIGKILL)
            break
    status, _, err = ended(p)
    if status in (0, "hung") or "rank 1" not in err:
        return [f"status {status}: {err}"]
    whole = command(GYR, *words("whole.gguf", "--epochs", "4"), env=ENV)
    status, out, err = ended(start((3, GYR, *words("lost.gguf", "--epochs", "4", "--resume"))))
    done = json.loads(out.splitlines()[0])["done"] if out else 0
    if status or whole.returncode or not done:
        return [f"status {status}, {done} steps were done: {out}{err}"]
    return [] if adapter("lost.gguf") == adapter("whole.gguf") else ["another adapter"]


def ranks_with_another_training_are_refused():
    launcher()
    other = words("other.gguf", "--lr", "0.5")
    status, out, err = ended(start((1, GYR, *words("other.gguf")), (1, GYR, *other)))
    said = [line for line in err.splitlines() if line.startswith("gyr: ")]
    ok = status == 2 and len(said) == 1 and "rank 1 on " in said[0] and "has another training than rank 0" in said[0]
    return [] if ok else [f"status {status}: {out}{err}"]


def a_job_of_a_server():
    """Rank 0 trains it to the bytes of one process, whoever is lost meanwhile; and all have the adapter then."""
    launcher()
    options = ("-m", jobs.POET, "--tune-fair")
    with tempfile.TemporaryDirectory() as folder:
        want = jobs.alone(folder)
        with Server(GYR, *options, "--adapter", f"it={folder}/alone.gguf") as s:
            text = jobs.said(s, "it")

    def one(n, split):
        with Ranks(n, *options, "--split", split) as s:
            job = jobs.made(s)
            if n > 2:
                s.hit(1, signal.SIGKILL)
            job = jobs.over(s, job)
            got = job["status"] == "succeeded" and jobs.adapter(s.folder.name, job) == want
            said = got and jobs.said(s, job["fine_tuned_model"])
            log = s.said()
        ok = said == text and ("rank 1 on " in log) == (n > 2)
        return [] if ok else [f"{n} ranks by {split}: {job}, {said!r}, not {text!r}; {log}"]

    return at_once(one, ((3, "layers"), (2, "rows")))


if __name__ == "__main__":
    run(the_adapter_does_not_depend_on_the_number_of_ranks, a_training_that_lost_a_rank_goes_on_with_others,
        ranks_with_another_training_are_refused, a_job_of_a_server)
