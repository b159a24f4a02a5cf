"""gyr tune on several ranks: the adapter and the checkpoint of one process, whatever the number; and what is refused.

usage: tuning_test.py GYR STATEFUL_MODELS
"""
import json
import os
import resource
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


def begun(s, job):
    """The events but those of steps, from the first that says who trains it."""
    told = [e["message"] for e in jobs.events(s, job) if e["type"] != "metrics"]
    return [m for m in told if "rank" in m or "Training" in m]


def a_job_of_a_server():
    """All ranks train it to the bytes of one process, whoever is lost meanwhile; and all have the adapter then."""
    launcher()
    options = ("-m", jobs.POET, "--tune-fair")
    with tempfile.TemporaryDirectory() as folder:
        want = jobs.alone(folder)
        with Server(GYR, *options, "--adapter", f"it={folder}/alone.gguf") as s:
            text = jobs.said(s, "it")

    def files(s, most=None):
        """Gives rank 1 that many files; None: no more than it has, so that there is no place for the data."""
        pid = rank_process(s.process, 1)
        have = {int(p.name) for p in Path(f"/proc/{pid}/fd").iterdir()}
        usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, most or (min(set(range(len(have) + 1)) - have), usual[1]))
        return usual

    def one(n, split, how):
        with Ranks(n, *options, "--split", split) as s:
            usual = files(s) if how == "full" else None
            job = jobs.made(s)
            if how == "killed":
                jobs.until(lambda: jobs.steps(s, job))
                s.hit(1, signal.SIGKILL)
            job = jobs.over(s, job)
            if usual:
                files(s, usual)
            got = job["status"] == "succeeded" and jobs.adapter(s.folder.name, job) == want
            said, told = got and jobs.said(s, job["fine_tuned_model"]), begun(s, job)
            status, log = s.stop(), s.said()
        sure = {"whole": lambda: told == [f"Training begins on {n} ranks"],
                "full": lambda: len(told) == 2 and "Trained by rank 0 alone: rank 1 on " in told[0] and "no room for the data" in
                told[0] and told[1] == "Training begins",
                "killed": lambda: told[0] == f"Training begins on {n} ranks" and "Goes on without a rank: rank 1 on " in told[1]
                and told[2].startswith("Training goes on behind step ") and told[2].endswith(f" on {n - 1} ranks")}[how]()
        # The status is mpirun's, which may crash at the end of a run that lost a rank (launching.py).
        ends = (0, -signal.SIGSEGV) if how == "killed" else (0,)
        ok = said == text and sure and status in ends
        return [] if ok else [f"{how}, {n} ranks by {split}: {job}, {said!r}, not {text!r}; {told}; status {status}; {log}"]

    return at_once(one, ((3, "layers", "killed"), (2, "rows", "whole"), (2, "layers", "full")))


def a_job_that_is_paused_and_begun_again():
    """With answers in between, which are those of one process; and another job after one that was cancelled."""
    launcher()
    options = ("-m", jobs.POET, "--tune-fair", "--quiet")
    long = dict(jobs.HYPER, n_epochs=16)
    with tempfile.TemporaryDirectory() as folder:
        want = jobs.alone(folder, epochs=16)
        with Server(GYR, *options) as s:
            text = jobs.said(s, "poet")
    with Ranks(2, *options, "--split", "layers") as s:
        job, texts, at = jobs.made(s, hyperparameters=long), [], []
        jobs.until(lambda: jobs.steps(s, job))
        for _ in range(2):
            texts.append(jobs.said(s, "poet"))
            s.ask(f"{jobs.JOBS}/{job['id']}/pause", {})
            at.append(jobs.job(s, job)["status"])
            s.ask(f"{jobs.JOBS}/{job['id']}/resume", {})
            seen = len(jobs.steps(s, job))
            jobs.until(lambda: len(jobs.steps(s, job)) > seen or jobs.job(s, job)["status"] in jobs.OVER)
        other = jobs.made(s, hyperparameters=dict(long, n_epochs=30))
        job = jobs.over(s, job)
        jobs.until(lambda: jobs.steps(s, other))
        s.ask(f"{jobs.JOBS}/{other['id']}/cancel", {})
        last = jobs.over(s, jobs.made(s))
        ends = [jobs.job(s, j)["status"] for j in (job, other, last)]
        same, told, status = jobs.adapter(s.folder.name, job) == want, begun(s, job), s.stop()
    ok = same and texts == [text] * 2 and at == ["paused"] * 2 and ends == ["succeeded", "cancelled", "succeeded"]
    ok = ok and status == 0 and all(t.endswith("on 2 ranks") for t in told) and len(told) > 1
    return [] if ok else [f"same {same}, {texts}, {at}, {ends}, {told}, status {status}"]


if __name__ == "__main__":
    run(the_adapter_does_not_depend_on_the_number_of_ranks, a_training_that_lost_a_rank_goes_on_with_others,
        ranks_with_another_training_are_refused, a_job_of_a_server, a_job_that_is_paused_and_begun_again)
