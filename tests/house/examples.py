"""The example runs, and fails as it should.

usage: examples.py POEM
"""
import sys

from house import ROOT, Skip, command, run

POET = ROOT / "models/poet.gguf"


def poem(model, question):
    return command(sys.argv[1], model, question)


def it_writes_a_poem():
    if not POET.exists():
        raise Skip("no models/poet.gguf")
    result = poem(POET, "Write a poem about San Francisco")
    lines = result.stdout.strip().splitlines()
    problems = [] if result.returncode == 0 and not result.stderr else [f"{result.returncode}: {result.stderr}"]
    if len([line for line in lines if line.strip()]) < 4 or not lines[-1].endswith(" s"):
        problems.append(f"that is no poem: {result.stdout}")
    return problems


def it_says_what_is_wrong():
    result = poem("nowhere.gguf", "Write a poem")
    right = result.returncode == 3 and result.stderr.startswith("poem: nowhere.gguf: ") and not result.stdout
    return [] if right and result.stderr.count("\n") == 1 else [f"{result.returncode}: {result.stderr}"]


if __name__ == "__main__":
    run(it_writes_a_poem, it_says_what_is_wrong)
