"""Conversations on the disk of a server on several ranks: they are found again by any number of ranks, one among them,
in files of the same bytes; also after a rank was lost; and a damaged one is computed again.

usage: disk_test.py GYR STATEFUL_MODELS
"""
import contextlib
import functools
import shutil
import signal
import tempfile
import time
from pathlib import Path

from launching import ALL, FOLDER, GYR, at_once, launcher, model_file
from house import run
from serving_test import Ranks
from serving import Server
from models import go_on, letters, metric, saved

# Keys and values alone, in parts of 256 tokens; states beside them, where all is one part; an indexer; states alone.
SOME = (("poet", "layers", 3), ("poet", "rows", 2), ("falcon-h1", "layers", 5), ("deepseek-v3.2", "layers", 2),
        ("mamba", "rows", 2))
NAMES = ("poet", "mixtral", "falcon-h1", "deepseek-v3.2", "mamba")
PROMPT = letters(3, 530)
PARTS = Path("gyr/conversations")


def options(name):
    return () if name == "poet" else ("-m", model_file(name))


def files(cache):
    return {p.name: p.read_bytes() for p in (cache / PARTS).glob("*.part")}


def asked(server, ids, parts):
    """The answer, once so many parts are on the disk that were not there."""
    answer, _ = go_on(server, ids)
    saved(server, parts)
    return answer


@functools.cache
def reference(name):
    return Reference(name)


@contextlib.contextmanager
def as_left(name):
    """A cache with what one process has left there after the first turn."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(shutil.copytree(reference(name).first, Path(folder) / "cache"))


class Reference:
    """What one process says and leaves on the disk, in two turns with a restart between them."""

    def __init__(self, name):
        self.first, self.second = (Path(FOLDER.name) / f"{name}-{turn}" for turn in ("first", "second"))
        with Server(GYR, *options(name), cache=str(self.first)) as s:
            answer = asked(s, PROMPT, 1)
            time.sleep(0.1)
            self.parts = int(metric(s, "gyr:disk_cache_saved_total"))
        self.said = PROMPT + answer
        self.prompt = self.said + letters(5, 300)
        shutil.copytree(self.first, self.second)
        with Server(GYR, *options(name), cache=str(self.second)) as s:
            self.answer = asked(s, self.prompt, 1)
            time.sleep(0.1)
            self.more = int(metric(s, "gyr:disk_cache_saved_total"))
            self.tokens = metric(s, "gyr:disk_cache_tokens_total")
        if not self.tokens or self.parts != len(files(self.first)):
            raise AssertionError(f"{name}: one process found {self.tokens} tokens, and saved {self.parts}")


def the_same_files_on_any_number_of_ranks():
    launcher()
    cases = [(name, split, n) for n in (1, 2, 3, 4, 5, 7) for split in ("layers", "rows") for name in NAMES] if ALL else SOME
    for name in {c[0] for c in cases}:
        reference(name)

    def one(name, split, n):
        want = reference(name)
        with as_left(name) as cache:
            with Ranks(n, *options(name), "--split", split, cache=str(cache)) as s:
                got = asked(s, want.prompt, want.more)
                tokens = metric(s, "gyr:disk_cache_tokens_total")
                status = s.stop()
            same = files(cache) == files(want.second)
        ok = got == want.answer and tokens == want.tokens and same and status == 0
        return [] if ok else [f"{name} on {n} by {split}: status {status}, {tokens} tokens, not {want.tokens}, same files: "
                              f"{same}; {got}, not {want.answer}"]

    return at_once(one, cases)


def a_lost_rank_loses_no_file():
    """The one that is read when the loss is noticed stays, and those that are left read it."""
    launcher()
    want = reference("falcon-h1")
    other = want.said + letters(1, 3)
    with as_left("falcon-h1") as cache, Ranks(3, *options("falcon-h1"), "--split", "layers", cache=str(cache)) as s:
        s.hit(1, signal.SIGKILL)
        got = go_on(s, want.prompt)[0], go_on(s, other, n=2)[0]
        found, removed = (metric(s, f"gyr:disk_cache_{what}_total") for what in ("tokens", "removed"))
        said = s.said()
    with Server(GYR, *options("falcon-h1"), "--disk-cache", "0") as s:
        otherwise = go_on(s, other, n=2)[0]
    ok = got == (want.answer, otherwise) and not removed and found == 2 * len(want.said) and "rank 1 on " in said
    return [] if ok else [f"{got}, not {want.answer} and {otherwise}; {found} tokens found, {removed} removed; {said}"]


def a_damaged_part_is_computed_again():
    launcher()
    want = reference("mixtral")
    with as_left("mixtral") as cache:
        for part in (cache / PARTS).glob("*.part"):
            data = bytearray(part.read_bytes())
            data[len(data) // 2] ^= 4
            part.write_bytes(data)
        with Ranks(2, *options("mixtral"), "--split", "layers", cache=str(cache)) as s:
            got = go_on(s, want.prompt)[0]
            removed = metric(s, "gyr:disk_cache_removed_total")
    return [] if got == want.answer and removed else [f"{got}, not {want.answer}; {removed} removed"]


if __name__ == "__main__":
    run(the_same_files_on_any_number_of_ranks, a_lost_rank_loses_no_file, a_damaged_part_is_computed_again)
