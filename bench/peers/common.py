"""What the peers' drivers share: each is a program that measures what `gyr bench --json` does, with the same options.

    DRIVER [-t N] [-p N] [-n N] [-b 1,16] [--repeat N] MODEL.gguf

prints a JSON object a line, one for each number of sequences: `engine`, `version`, `note`, and of what it can measure of
that model `prefill_tokens_per_s` and `decode_tokens_per_s`.
"""
import argparse
import json
import os
import random
import statistics
import time
from pathlib import Path

# What libraries print goes to standard error: standard output has the objects alone.
OUT = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def options(text, *more):
    p = argparse.ArgumentParser(description=text.split("\n\n")[0])
    p.add_argument("model", type=Path)
    p.add_argument("-t", "--threads", type=int, default=1)
    p.add_argument("-p", "--prompt", type=int, default=512, help="tokens of each prompt (512)")
    p.add_argument("-n", "--generate", type=int, default=32, help="tokens of each answer (32)")
    p.add_argument("-b", "--batch", default="1,4,16", help="numbers of sequences at once (1,4,16)")
    p.add_argument("--repeat", type=int, default=3, help="times to measure, for medians (3)")
    for name, how in more:
        p.add_argument(name, **how)
    o = p.parse_args()
    o.widths = [int(x) for x in o.batch.split(",")]
    return o


def tokens(count, vocab, seed=0):
    """Random tokens; the first hundred of a vocabulary are often special ones."""
    draw = random.Random(seed)
    return [draw.randrange(min(100, vocab - 1), vocab) for _ in range(count)]


def seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def put(engine, version, prefill=None, decode=None, **more):
    """Prints an object; a figure is a list of tokens/s, or None where there is none."""
    figures = {f"{name}_tokens_per_s": statistics.median(values)
               for name, values in (("prefill", prefill), ("decode", decode)) if values}
    print(json.dumps({"engine": engine, "version": version, **figures, **more}), file=OUT, flush=True)
