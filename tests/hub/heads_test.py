"""Plans of models on the hub: only the heads of files are read, and what a plan says is what it says of the files.

usage: heads_test.py GYR
"""
import json
import subprocess
import tempfile
from pathlib import Path

from trial import FALCON, FOLDER, GYR, NAME, Trial
from fake_hub import Repo
from house import run

ON = ("--on", "L4", "-c", "64", "--json")
SAME = ("fits", "memory_bytes", "prefill_tokens_per_s", "decode_tokens_per_s", "limited_by")


def figures(t):
    plan = json.loads(t.out) if t.status == 0 else {}
    return {key: plan.get(key) for key in SAME}


def same_as(repo, path, name=NAME):
    with Trial({"org/model": Repo(repo)}, lfs_from=10_000) as t:
        t.gyr("plan", *ON, path)
        local = figures(t)
        t.gyr("plan", *ON, name)
        t.expect(t.status == 0 and t.err == "", "should work")
        t.expect(figures(t) == local, f"should be as of the file: {local}")
        t.expect(not t.finals(), "should keep nothing")
        return t.problems


def a_file_is_planned_from_its_head():
    return same_as({"model-F32.gguf": (FALCON / "40b/model.gguf").read_bytes()}, FALCON / "40b/model.gguf")


def a_folder_is_planned_from_its_heads():
    return same_as(FOLDER, FALCON / "40b/hf")


def weights_are_not_read():
    """Of a file of tens of megabytes some hundred kilobytes; a hub that ignores the range is left early."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.gguf"
        subprocess.run([GYR, "synth", "falcon-rw-1b", "--type", "q4_0", "--layers", "1", "-o", file], check=True,
                       stderr=subprocess.DEVNULL)
        data = file.read_bytes()
        for faults in [], [("/cdn/*", "no_range")], [("/cdn/*", "500")], [("/cdn/*", "hang_up")]:
            with Trial({"org/model": Repo({"m-Q4_0.gguf": data})}, faults) as t:
                t.gyr("plan", *ON, NAME)
                t.expect(t.status == 0, f"should work with {faults}")
                ranges = [s["headers"].get("Range", "") for s in t.requests("/cdn/")]
                last = max((int(r.rpartition("-")[2] or len(data)) for r in ranges), default=len(data))
                t.expect(last < len(data) / 4, f"asks for {ranges} of {len(data)} bytes")
                problems += t.problems
    return problems


def heads_without_an_end_are_refused():
    problems = []
    for name, data in ("m-Q4_0.gguf", b"GGUF" + b"\xff" * 5000), ("m-Q4_0.gguf", b"x"), ("m-Q4_0.gguf", b"GGUF\3\0\0\0" + bytes(16)):
        with Trial({"org/model": Repo({name: data})}) as t:
            t.gyr("plan", *ON, NAME).refuses(t.status, "")
            t.expect(t.status in (4, 5), "should refuse the file")
            problems += t.problems
    hostile = {"config.json": b'{"model_type": "falcon"}', "model.safetensors": b"\xff" * 2000}
    with Trial({"org/model": Repo(hostile)}) as t:
        t.gyr("plan", *ON, NAME).refuses(4, "its head would have")
        problems += t.problems
    with Trial({"org/model": Repo({"m-Q4_0.gguf": b"GGUF" + bytes(5000)})}, [("/cdn/*", "404")] * 9) as t:
        t.gyr("plan", *ON, NAME).refuses(3, "404")
        problems += t.problems
    return problems


def nothing_is_left_behind():
    with tempfile.TemporaryDirectory() as folder, Trial({"org/model": Repo(FOLDER)}) as t:
        t.gyr("plan", *ON, NAME, TMPDIR=folder)
        t.expect(t.status == 0 and not list(Path(folder).iterdir()), f"leaves {list(Path(folder).iterdir())}")
        t.gyr("plan", *ON, "falcon-7b", TMPDIR=folder)
        t.expect(t.status == 0 and not list(Path(folder).iterdir()), f"leaves {list(Path(folder).iterdir())}")
        t.gyr("plan", *ON, NAME, TMPDIR="/nonexistent").refuses(3, "set TMPDIR")
        return t.problems


if __name__ == "__main__":
    run(a_file_is_planned_from_its_head, a_folder_is_planned_from_its_heads, weights_are_not_read,
        heads_without_an_end_are_refused, nothing_is_left_behind)
