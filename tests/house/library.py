"""What the library shows to the world: its symbols, and a header that stands alone in C and C++.

usage: library.py LIBGYR_SO
"""
import platform
import re
import shutil
import sys
import tempfile
from pathlib import Path

from house import ROOT, Skip, command, files, run

HEADER = (ROOT / "include/gyr.h").read_text(encoding="utf-8")
DECLARED = re.findall(r"^GYR_API [^;(]*?\**(\w+)\(", HEADER, re.MULTILINE)


def it_exports_exactly_what_the_header_declares():
    listing = command("nm", "-D", "--defined-only", sys.argv[1])
    if listing.returncode:
        return [listing.stderr]
    exported = {line.split()[-1].split("@")[0] for line in listing.stdout.splitlines()}
    return ([f"{name}: exported, but not in gyr.h" for name in sorted(exported - set(DECLARED))] +
            [f"{name}: in gyr.h, but not exported" for name in sorted(set(DECLARED) - exported)])


def every_name_begins_with_gyr():
    names = DECLARED + re.findall(r"^\s*(?:typedef\s+)?(?:struct|enum) (\w+)", HEADER, re.MULTILINE)
    names += re.findall(r"^\s*#define (\w+)", HEADER, re.MULTILINE)
    names += re.findall(r"^\s+([A-Z]\w+)(?: = |,)", HEADER, re.MULTILINE)
    return [f"{name}: does not begin with gyr_ or GYR_" for name in names if not re.match("gyr_|GYR_", name)]


def every_call_is_documented():
    problems = []
    for name in DECLARED:
        before = HEADER[:re.search(rf"^GYR_API .*\b{name}\(", HEADER, re.MULTILINE).start()]
        paragraph = before.rsplit("\n\n", 1)[-1]
        if not re.search(r"^// ", paragraph, re.MULTILINE):
            problems.append(f"{name}: no comment in its paragraph")
    return problems


def every_call_that_can_fail_says_how():
    """By "Fails with" or "Fails as", or the status that its one failure has, in the comment right before it."""
    problems = []
    for name in re.findall(r"^GYR_API [^;(]*?\**(\w+)\([^;]*gyr_error \*err\);", HEADER, re.MULTILINE):
        before = HEADER[:re.search(rf"^GYR_API .*\b{name}\(", HEADER, re.MULTILINE).start()]
        if not re.search(r"Fails\s(//\s)?(with|as)\b|GYR_[A-Z]+:|GYR_[A-Z_]+ if ", before.rsplit("\n\n", 1)[-1]):
            problems.append(f"{name}: does not say what it fails with")
    return problems


def compiles(compiler, ending, standard):
    if not shutil.which(compiler):
        raise Skip(f"no {compiler}")
    with tempfile.TemporaryDirectory() as folder:
        unit = Path(folder) / f"unit.{ending}"
        unit.write_text('#include "gyr.h"\nint main(void) { return GYR_OK; }\n', encoding="utf-8")
        tried = command(compiler, standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only",
                        f"-I{ROOT / 'include'}", unit)
    return [tried.stderr] if tried.returncode else []


def the_header_is_c99():
    return compiles("cc", "c", "-std=c99")


def the_header_is_cxx():
    return compiles("c++", "cc", "-std=c++11")


# Headers of one kind of chip. The other tests compile them there.
CHIPS = {"wide_avx2.h": "x86_64", "wide_avx512.h": "x86_64", "wide_neon.h": "aarch64"}


# Headers of kernels are read by compilers for GPUs; here by the host's, as tests/simt does, for a type that they have.
KERNELS = "src/device/gpu/kernels/"
TYPES = {"types_grid.h": (16, "iq2_xxs")}  # others: q4_0


def options(path):
    if path.startswith("src/device/cpu/"):
        return ["-DDEVICE_IS_HOST"]
    if not path.startswith(KERNELS):
        return []
    number, name = TYPES.get(Path(path).name, (2, "q4_0"))
    return ["-DGPU_ON_HOST=\"simt.h\"", f"-DTYPE={number}", f"-DTYPE_NAME={name}", f"-I{ROOT / 'src/device'}", f"-I{ROOT / 'tests/simt'}"]


def every_header_compiles_alone():
    problems = []
    for path, _ in files(".h"):
        here = platform.machine()
        if path.startswith("src/") and CHIPS.get(Path(path).name, here) == here:
            tried = command("cc", "-std=gnu17", "-fsyntax-only", "-x", "c", *options(path),
                            f"-I{ROOT / 'include'}", f"-I{ROOT / 'src'}", ROOT / path)
            if tried.returncode:
                problems.append(tried.stderr)
    return problems


if __name__ == "__main__":
    run(it_exports_exactly_what_the_header_declares, every_name_begins_with_gyr, every_call_is_documented, every_call_that_can_fail_says_how,
        the_header_is_c99, the_header_is_cxx, every_header_compiles_alone)
