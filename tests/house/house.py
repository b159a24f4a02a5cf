"""The harness of the house's own tests, in the manner of tests/test.h: a line a case, the totals last.

A case is a function that returns a list of problems (none: it passed), or raises Skip. It needs nothing but the
standard library of the Python that Meson itself runs on.
"""
import os
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(os.environ.get("GYR_SOURCE", Path(__file__).resolve().parents[2]))
FOLDERS = ("src", "include", "tests", "tools", "examples", "docs", "bench", "models", ".ci")
TEXT = (".c", ".h", ".py", ".sh", ".md", ".build", ".txt", ".1")


class Skip(Exception):
    """Raised by a case that cannot be tried here; says why."""


def files(*endings):
    """The project's own files with these endings, their path relative to ROOT and their text."""
    found = [p for p in ROOT.iterdir() if p.is_file()]
    for folder in FOLDERS:
        found += [p for p in (ROOT / folder).rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    for path in sorted(found):
        if path.name.endswith(endings) and "data" not in path.relative_to(ROOT).parts:
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def command(*args, **options):
    """Runs a program; its exit status and what it printed are in the result."""
    return subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=300, check=False, **options)


def run(*cases):
    """Runs the cases, prints the totals and ends the program. What a case raises is its failure; the next are run."""
    count = {"ok": 0, "FAILED": 0, "skipped": 0}
    for case in cases:
        problems = []
        try:
            problems = case()
            how = "FAILED" if problems else "ok"
        except Skip as why:
            how = "skipped"
            print(f"  ({why})")
        except Exception as e:  # pylint: disable=broad-except
            how, problems = "FAILED", [f"{type(e).__name__}: {e}", traceback.format_exc(limit=-3)]
        for problem in problems:
            print(problem)
        count[how] += 1
        print(f"{how:7} {case.__name__}", flush=True)
    print("%d passed, %d failed, %d skipped" % tuple(count.values()))
    sys.exit(1 if count["FAILED"] else 0)
