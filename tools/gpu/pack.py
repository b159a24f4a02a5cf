"""Writes the sources of kernels as a table in C: src/device/gpu/sources.h says what it is.

usage: pack.py OUTPUT DEPFILE FOLDER [HEADER...]

All .cu files (programs) and .h files of the folder, and the headers named. A program's kernels are its lines that begin
with KERNEL(NAME, or EARLY_KERNEL(NAME; one that has the word TYPE_NAME is typed.
"""
import re
import sys
from pathlib import Path

KERNEL = re.compile(r"^(?:EARLY_)?KERNEL\((\w+)", re.MULTILINE)


def quoted(text):
    """A C string a line."""
    def line(s):
        return '"' + s.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return "\n     ".join(line(s).replace("\n", "\\n") for s in text.splitlines(keepends=True)) or '""'


def entry(path):
    text = path.read_text(encoding="ascii")
    names = KERNEL.findall(text) if path.suffix == ".cu" else None
    if names == []:
        sys.exit(f"{path}: a program without a line that begins with KERNEL(")
    kernels = "NULL" if names is None else '"' + "".join(f"{name} " for name in names) + '"'
    typed = "true" if names is not None and re.search(r"\bTYPE_NAME\b", text) else "false"

    return f'    {{"{path.name}",\n     {quoted(text)},\n     {kernels}, {typed}}},\n'


def main():
    output, depfile, folder, *more = map(Path, sys.argv[1:])
    sources = sorted(p for p in folder.glob("*") if p.suffix in (".cu", ".h")) if folder.is_dir() else []
    sources += more
    names = [p.name for p in sources]
    if len(set(names)) < len(names):
        sys.exit("two sources have one name: " + " ".join(sorted(n for n in set(names) if names.count(n) > 1)))
    table = "".join(map(entry, sources))
    output.write_text('#include "device/gpu/sources.h"\n\nstatic const struct gpu_source files[] = {\n' + table +
                      "};\n\nconst struct gpu_sources gpu_sources = {files, sizeof files / sizeof *files};\n",
                      encoding="ascii")
    depfile.write_text(f"{output}: " + " ".join(map(str, [folder] * folder.is_dir() + sources)) + "\n",
                       encoding="utf-8")


if __name__ == "__main__":
    main()
