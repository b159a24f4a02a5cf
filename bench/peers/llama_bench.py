#!/usr/bin/env python3
"""llama.cpp, or ik_llama.cpp, by its own llama-bench and llama-batched-bench.

The decode of one sequence is after the prompt, as gyr's is; flash attention as is faster. What an option is called differs
between versions, so the tools' own help is asked.
"""
import json
import re
import subprocess
import sys
from pathlib import Path

import common


def run(command):
    done = subprocess.run([str(x) for x in command], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(str(x) for x in command)}: status {done.returncode}\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def says(tool, pattern):
    """Whether the tool's help has that."""
    done = subprocess.run([str(tool), "--help"], capture_output=True, text=True, check=False)
    return re.search(pattern, done.stdout + done.stderr) is not None


def one(tool, o, extra):
    """Prefill and decode of one sequence: llama-bench's results, the best of each."""
    always = [tool, "-m", o.model, "-t", o.threads, "-r", o.repeat, "-ngl", 0, "-o", "json", *extra]
    after = ["-n", o.generate, "-d", o.prompt] if says(tool, "--n-depth") else ["-n", 0, "-gp", f"{o.prompt},{o.generate}"]
    rates, version = [], ""
    for work in ((["-p", o.prompt, "-n", 0], o.prompt), (["-p", 0, *after], o.generate)):
        found = []
        for flash in (0, 1):
            for result in json.loads(run([*always, "-fa", flash, *work[0]])) if work[1] else []:
                found.append(result["avg_ts"])
                version = f"{result['build_commit']} ({result['build_number']})"
        rates.append([max(found)] if found else [])
    return version, rates


def many(tool, o, width):
    """Prefill and decode of several sequences: the last row of llama-batched-bench's table, the best of each column."""
    size = width * (o.prompt + o.generate)
    always = [tool, "-m", o.model, "-c", size, "-b", 2048, "-ub", 512, "-npp", o.prompt, "-ntg", o.generate, "-npl", width,
              "-t", o.threads, "-tb", o.threads, "-ngl", 0]
    worded = says(tool, r"-fa[^\n]*(on\||0\|1)")
    tries = [["-fa", "off"], ["-fa", "on"]] if worded else [[], ["-fa"]]
    rows = [re.findall(r"^\|(?: *[\d.]+ *\|){10}$", run([*always, *flash]), re.MULTILINE)
            for flash in tries for _ in range(o.repeat)]
    if not all(rows):
        sys.exit(f"{tool}: prints no table of ten columns")
    numbers = [[float(x) for x in row[-1].strip("|").split("|")] for row in rows]
    return [[max(n[5] for n in numbers)], [max(n[7] for n in numbers)]]


def main():
    o = common.options(__doc__, ("--tools", {"type": Path, "required": True, "help": "llama-bench, or its folder"}))
    folder = o.tools if o.tools.is_dir() else o.tools.parent
    bench = o.tools if o.tools.is_file() else folder / "llama-bench"
    repack = ["-rtr", 1] if says(bench, "--run-time-repack") else []
    for width in o.widths:
        version, rates = one(bench, o, repack) if width == 1 else ("", many(folder / "llama-batched-bench", o, width))
        common.put("llama-bench", version, *rates)


if __name__ == "__main__":
    main()
