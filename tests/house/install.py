"""What `meson install` puts on a machine, and that a stranger's program builds against it.

usage: install.py BUILD_FOLDER
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

from house import ROOT, Skip, command, run

HERE = tempfile.TemporaryDirectory()
ROOM = Path(HERE.name)


def found(name):
    """The installed file of this name; of several the one whose path sorts first, as bin/ does."""
    return min(ROOM.rglob(name))


def it_installs_every_part():
    result = command("meson", "install", "-C", sys.argv[1], "--no-rebuild", "--destdir", ROOM)
    if result.returncode:
        return [result.stdout + result.stderr]
    wanted = {"gyr": "bin", "libgyr.so": "lib", "libgyr.so.0": "lib", "gyr.h": "include", "gyr.pc": "pkgconfig",
              "gyr.1": "man1", "_gyr": "zsh", "gyr.fish": "fish"}
    return [f"{name}: not installed in a folder {folder}" for name, folder in wanted.items()
            if not any(folder in p.parent.as_posix() for p in ROOM.rglob(name))]


def nothing_more_than_that():
    names = {p.name for p in ROOM.rglob("*") if not p.is_dir()}
    known = {"gyr", "libgyr.so", "gyr.h", "gyr.pc", "gyr.1", "_gyr", "gyr.fish"}
    return [f"{n}: installed too" for n in sorted(names - known)
            if not n.startswith("libgyr.so.0") and n not in ("gyr-openmpi.so", "gyr-mpich.so")]  # of the MPIs that are here


def the_program_runs_from_there():
    result = command(found("gyr"), "--version", env=environment())
    return [] if result.returncode == 0 and result.stdout.startswith("gyr ") else [result.stdout + result.stderr]


def environment():
    pc = found("gyr.pc")
    return {**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(ROOM),
            "LD_LIBRARY_PATH": str(found("libgyr.so").parent)}


def the_example_builds_against_it():
    flags = command("pkg-config", "--cflags", "--libs", "gyr", env=environment())
    if flags.returncode:
        return [flags.stderr]
    built = command("cc", "-std=c99", "-Wall", "-Werror", ROOT / "examples/poem.c", *flags.stdout.split(),
                    "-o", ROOM / "poem", env=environment())
    if built.returncode:
        return [built.stderr]
    result = command(ROOM / "poem", "nowhere.gguf", "Write a poem", env=environment())
    return [] if result.returncode == 3 else [f"{result.returncode}: {result.stderr}"]


def the_manual_has_no_mistakes():
    if not shutil.which("mandoc"):
        raise Skip("no mandoc")
    result = command("mandoc", "-Tlint", "-Wwarning", found("gyr.1"))
    return [result.stdout] if result.returncode else []


if __name__ == "__main__":
    run(it_installs_every_part, nothing_more_than_that, the_program_runs_from_there, the_example_builds_against_it,
        the_manual_has_no_mistakes)
