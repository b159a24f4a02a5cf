"""The kernels on 64-bit ARM: built by a cross compiler, run by QEMU, held to the same bytes (machines_test.c)."""
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "house"))
from house import ROOT, Skip, run  # noqa: E402

FOLDER = Path(sys.argv[1])
EMULATOR = ["qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"]
PROGRAMS = ("elementary", "kernels", "machines", "product", "shorts", "ops", "attention", "qkv", "recur", "route")


def try_command(*args):
    """What went wrong, [] if nothing did; and all that was said."""
    result = subprocess.run([str(a) for a in args], capture_output=True, text=True, check=False, timeout=1000,
                            env={**os.environ, "GYR_SOURCE": str(ROOT)})
    said = result.stdout + result.stderr
    return [] if result.returncode == 0 else [f"status {result.returncode}: {args[0]}", said[-4000:]], said


def need_tools():
    if platform.machine() == "aarch64":
        raise Skip("this machine is one: the other tests are these")
    for tool in ("aarch64-linux-gnu-gcc", EMULATOR[0]):
        if not shutil.which(tool):
            raise Skip(f"no {tool}; tools/setup --aarch64 installs it")


def kernels_build():
    need_tools()
    problems = []
    if not (FOLDER / "build.ninja").exists():
        # At the highest level GCC 12 breaks on a test; the kernels have a level of their own.
        problems, _ = try_command("meson", "setup", FOLDER, ROOT, "-Dkernels=true", "-Doptimization=2",
                                  "-Ddebug=false", "--cross-file", ROOT / "tools/cross/aarch64.ini")
    programs = [f"tests/device/{name}_test" for name in PROGRAMS]
    return problems or try_command("ninja", "-C", FOLDER, "-j2", *programs)[0]


def program(name):
    def case():
        need_tools()
        problems, said = try_command(*EMULATOR, FOLDER / f"tests/device/{name}_test")
        if name == "machines" and ("cases with neon" in said or "cases with avx2" not in said):
            problems.append("NEON was not tried: " + said)
        return problems

    case.__name__ = name
    return case


if __name__ == "__main__":
    run(kernels_build, *map(program, PROGRAMS))
