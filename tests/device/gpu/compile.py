"""GPU kernels compiled by the compilers of their vendors, where this machine has them: what tools/gpu/registers.txt says of
them, and that no hot kernel keeps more of its registers in memory than it says.

usage: compile.py PROGRAMS ("few": some; "all": each type for each chip, which takes the better part of an hour)
"""
import importlib.machinery
import importlib.util
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../house"))
from house import ROOT, Skip, run  # noqa: E402

TABLE = ROOT / "tools/gpu/registers.txt"
TOOL = ROOT / "tools/gpu/compile"
FEW = ["--types", "q4_k", "--programs", "product_many,norm"]
# Chips on which kernels were compiled without any such register from the start: they are to stay so.
CLEAN = ("sm_90a", "gfx90a", "gfx942")


def tool():
    """tools/gpu/compile, whose name is not one of a module."""
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("gpu_compile", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("gpu_compile", loader))
    loader.exec_module(module)
    return module


def the_table_has_all_kernels_and_chips():
    """Of all chips with the types that are most used; of those that are to stay clean with all types."""
    t = tool()
    rows = t.read_table(TABLE)
    there = t.kernels_of(t.numbers())
    problems = [f"has no {chip}" for chip in t.CHIPS if chip not in rows]
    for chip, found in rows.items():
        wanted = there if chip in CLEAN else t.kernels_of(t.TYPES)
        problems += [f"{chip}: {name} is missing" for name in sorted(wanted - set(found))]
        problems += [f"{chip}: {name} is no kernel any more" for name in sorted(set(found) - there)]
    how = f"{TABLE.name}: {{}}; run tools/gpu/compile --types all --table tools/gpu/registers.txt"
    return [how.format(problem) for problem in problems]


def registers_stay_registers():
    t = tool()
    rows = t.read_table(TABLE)
    return list(t.spills({chip: rows[chip] for chip in CLEAN if chip in rows}, {}))


def the_table_is_read_as_it_is_written():
    t = tool()
    rows = {"sm_90a": {"a": (1, 0, 0), "b": (255, 18440, 708)}, "gfx942": {"a": (3, 4, 0)}}
    lines = t.table_of(rows).splitlines()
    problems = [] if lines[2].split() == ["b", "255+18440!708", "-"] else lines
    said = list(t.spills({"sm_90a": {"product_q4_0": (255, 0, 8), "embed_q4_0": (255, 0, 8)}}, {}))
    if said != ["FAILED: product_q4_0 spills 8 bytes on sm_90a"]:
        problems += said
    known = {"sm_90a": {"product_q4_0": (255, 0, 8)}}
    return problems + list(t.spills(known, known))


def compiled(chips, compiler):
    if not any(map(shutil.which, compiler)):
        raise Skip(f"{compiler[0].upper()} IS NOT IN PATH: NOTHING IS COMPILED FOR {', '.join(chips).upper()}")
    more = ["--types", "all"] if sys.argv[1] == "all" else FEW
    done = subprocess.run([sys.executable, TOOL, "--chips", ",".join(chips), "--check", TABLE, *more], capture_output=True,
                          text=True, check=False)
    return [] if done.returncode == 0 else [done.stderr or done.stdout]


def nvidias_chips():
    t = tool()
    return compiled([c for c in t.CHIPS if c.startswith("sm_")] if sys.argv[1] == "all" else ["sm_90a"], ["nvcc"])


def amds_chips():
    t = tool()
    chips = [c for c in t.CHIPS if c.startswith("gfx")] if sys.argv[1] == "all" else ["gfx942", "gfx1100", "gfx1201"]
    return compiled(chips, ["clang-19", "clang"])


if __name__ == "__main__":
    run(the_table_is_read_as_it_is_written, the_table_has_all_kernels_and_chips, registers_stay_registers, nvidias_chips,
        amds_chips)
