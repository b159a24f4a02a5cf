"""What `make dist` refuses to ship, and that the file depends on what is in it alone."""
import importlib.util
import os
import sys
import tempfile
from importlib.machinery import SourceFileLoader
from pathlib import Path

from house import ROOT, run

LOADER = SourceFileLoader("dist", str(ROOT / "tools/dist"))
dist = importlib.util.module_from_spec(importlib.util.spec_from_loader("dist", LOADER))
LOADER.exec_module(dist)

# As readelf prints them.
NEEDED = " 0x0000000000000001 (NEEDED)             Shared library: [{}]\n"
VERSION = "  0x0010:   Name: GLIBC_{}  Flags: none  Version: 3\n"
INTERPRETER = "      [Requesting program interpreter: /lib64/ld-linux-x86-64.so.2]\n"
SYMBOL = "     6: 0000000000000040    12 FUNC    {0}  DEFAULT {1} {2}\n"


def refusal(function, said, *arguments):
    """What a check of tools/dist ends with where readelf says this; None if nothing is wrong."""
    dist.run = lambda *command: said[command[-1].name] if isinstance(said, dict) else said
    stdout, sys.stdout = sys.stdout, open(os.devnull, "w", encoding="utf-8")
    try:
        function(*arguments)
    except SystemExit as end:
        return str(end.code)
    finally:
        sys.stdout.close()
        sys.stdout = stdout
    return None


def program(*libraries, version="2.27", interpreter=INTERPRETER, more=""):
    said = "".join(map(NEEDED.format, libraries)) + VERSION.format("2.2.5") + VERSION.format(version) + interpreter + more
    return refusal(dist.check, said, Path("gyr"), "x86_64")


def only_old_and_common_programs_are_shipped():
    tries = [(program("libm.so.6", "libc.so.6"), None),
             (program("libc.so.6", "libcurl.so.4"), "needs libcurl.so.4"),
             (program(), "needs "),
             (program("libc.so.6", version="2.28"), "symbols of glibc 2.28"),
             (program("libc.so.6", version="2.4.1"), None),
             (program("libc.so.6", interpreter=""), "another loader"),
             (program("libc.so.6", more=" (RUNPATH)  Library runpath: [/opt/lib]\n"), "a path of this machine")]
    return [f"try {i}: {got}, not {want}" for i, (got, want) in enumerate(tries)
            if (got is None) != (want is None) or (want and want not in got)]


def a_name_has_one_owner():
    def names(*lines):
        said = {"a.a": SYMBOL.format("GLOBAL", "1", "open_all"), "b.a": "".join(lines)}
        return refusal(dist.check_names, said, [Path("a.a"), Path("b.a")])

    tries = [(names(SYMBOL.format("GLOBAL", "UND", "open_all")), None),
             (names(SYMBOL.format("LOCAL", "1", "open_all")), None),
             (names(SYMBOL.format("GLOBAL", "1", "close_all")), None),
             (names(SYMBOL.format("GLOBAL", "1", "close_all"), SYMBOL.format("GLOBAL", "4", "open_all")),
              "tools/dist: open_all: defined in a.a and b.a")]
    return [f"try {i}: {got}, not {want}" for i, (got, want) in enumerate(tries) if got != want]


def the_same_contents_are_the_same_bytes():
    with tempfile.TemporaryDirectory() as folder:
        a, b, c = (Path(folder) / name for name in ("a.tar.gz", "b.tar.gz", "c.tar.gz"))
        contents = {"share/x": b"x", "bin/gyr": b"program"}
        dist.pack(a, "top", contents, 1000)
        dist.pack(b, "top", dict(reversed(contents.items())), 1000)
        dist.pack(c, "top", {**contents, "share/x": b"y"}, 1000)
        one, two, other = a.read_bytes(), b.read_bytes(), c.read_bytes()
        left = sorted(p.name for p in Path(folder).iterdir())
    problems = [] if one == two and one != other else ["the bytes do not follow the contents"]
    return problems + ([] if left == ["a.tar.gz", "b.tar.gz", "c.tar.gz"] else [f"left {left}"])


if __name__ == "__main__":
    run(only_old_and_common_programs_are_shipped, a_name_has_one_owner, the_same_contents_are_the_same_bytes)
