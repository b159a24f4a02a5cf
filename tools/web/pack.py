#!/usr/bin/env python3
"""Makes of src/server/web what `gyr serve` has in it: one style sheet, one script, and the files beside them.

usage: tools/web/pack.py WEB_FOLDER OUT_FOLDER [--sizes]

Writes page.bin (all bytes), page_table.c (where each file is in them), page_image.S (which takes page.bin into the
program) and page.d (what all of that was made of, for Ninja). Needs nothing but Python.

The modules of js/ become one script: each a function of its own, in the order of their imports. They are plain
modules, of which this understands as much as they use: imports of names, exports of functions, classes and constants.
"""
import gzip
import hashlib
import re
import sys
from pathlib import Path

IMPORT = re.compile(r'^import \{([^}]*)\} from "(\./[\w./-]+)";\n', re.MULTILINE)
EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)
STYLE = re.compile(r'^@import "([\w.-]+)";\n', re.MULTILINE)

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
         ".svg": "image/svg+xml", ".png": "image/png", ".woff2": "font/woff2",
         ".webmanifest": "application/manifest+json", ".txt": "text/plain; charset=utf-8"}
PACKED = {".woff2", ".png"}  # what gzip makes no smaller


class Wrong(Exception):
    """What is wrong with the sources, for the person who changed them."""


class Sources:
    """The files that were read, by their paths."""

    def __init__(self, web):
        self.web, self.read = web, set()

    def text(self, path):
        self.read.add(path)
        return path.read_text(encoding="utf-8")

    def data(self, path):
        self.read.add(path)
        return path.read_bytes()


def bundle(sources, first):
    """The script of a module and all that it imports."""
    numbers, parts, under_way = {}, [], []

    def add(path):
        if path in under_way:
            raise Wrong("modules import each other in a circle: " + " ".join(p.name for p in [*under_way, path]))
        if path in numbers:
            return
        under_way.append(path)
        text = sources.text(path)
        imports = [(" ".join(names.split()).strip(" ,"), (path.parent / target).resolve())
                   for names, target in IMPORT.findall(text)]
        for _, target in imports:
            add(target)
        body = EXPORT.sub("", IMPORT.sub("", text))
        left = re.search(r"^(import|export)\b.*", body, re.MULTILINE)
        if left:
            raise Wrong(f"{path.name}: {left[0]}: not a form that tools/web/pack.py understands")
        numbers[path] = len(numbers)
        taken = "".join(f"const {{{names.replace(' as ', ': ')}}} = m{numbers[target]};\n" for names, target in imports)
        given = ", ".join(EXPORT.findall(text))
        parts.append(f"// {path.relative_to(sources.web)}\nconst m{numbers[path]} = (() => {{\n{taken}{body}"
                     f"return {{{given}}};\n}})();\n")
        under_way.pop()

    add(first)
    return '"use strict";\n(() => {\n' + "".join(parts) + "})();\n"


def style(sources, first):
    return STYLE.sub(lambda m: sources.text(first.parent / m[1]), sources.text(first))


def without_notes(text):
    """Without the lines that are comments alone."""
    return re.sub(r"^[ ]*//.*\n", "", text, flags=re.MULTILINE)


def licences(sources):
    folder = sources.web / "vendor"
    return "".join(f"{path.name.partition('.')[2]}\n\n{sources.text(path)}\n\n" for path in sorted(folder.glob("LICENSE.*")))


def collect(sources):
    """The files of the page by the names under which they are asked for."""
    web = sources.web.resolve()
    sources.web = web
    made = {"app.js": without_notes(bundle(sources, web / "js/main.js")).encode(),
            "app.css": style(sources, web / "style/main.css").encode(),
            "licences.txt": licences(sources).encode()}
    for path in sorted([*(web / "vendor").iterdir(), *(web / "icons").iterdir(), web / "manifest.webmanifest"]):
        if path.suffix in TYPES:
            made[path.name] = sources.data(path)
    made["index.html"] = sources.text(web / "index.html").encode()
    total = hashlib.sha256()
    for name, data in sorted(made.items()):
        total.update(f"{name} {len(data)}\n".encode() + data)
    names = sorted(name for name in made if name not in ("index.html", "licences.txt"))
    worker = sources.text(web / "worker.js").replace("$VERSION", total.hexdigest()[:16])
    made["worker.js"] = worker.replace("$FILES", " ".join(names)).encode()
    return made


def lay_out(files):
    """(all bytes, rows of the table): each file as it is, and compressed where that helps."""
    image, rows = bytearray(), []
    for name, data in sorted(files.items()):
        suffix = Path(name).suffix
        packed = b"" if suffix in PACKED else gzip.compress(data, 9, mtime=0)
        at = len(image)
        image += data
        at_packed = len(image)
        image += packed
        tag = hashlib.sha256(data).hexdigest()[:24]
        rows.append((name, TYPES[suffix], tag, at, len(data), at_packed, len(packed)))
    return bytes(image), rows


def table(rows):
    lines = "".join(f'    {{"{name}", "{kind}", "{tag}", {at}, {size}, {at_packed}, {packed}}},\n'
                    for name, kind, tag, at, size, at_packed, packed in rows)
    return ('// Made by tools/web/pack.py.\n#include "server/page.h"\n\nconst struct page_file page_files[] = {\n' + lines +
            "};\nconst size_t page_file_count = sizeof page_files / sizeof *page_files;\n")


def assembly(path):
    return ("    .section .rodata\n    .balign 64\n    .globl page_image\n    .hidden page_image\npage_image:\n"
            f'    .incbin "{path}"\n    .byte 0\n    .section .note.GNU-stack, "", %progbits\n')


def main(web, out, *more):
    sources = Sources(Path(web))
    try:
        files = collect(sources)
    except Wrong as why:
        sys.exit(f"tools/web/pack.py: {why}")
    image, rows = lay_out(files)
    out = Path(out).resolve()
    (out / "page.bin").write_bytes(image)
    (out / "page_table.c").write_text(table(rows), encoding="utf-8")
    (out / "page_image.S").write_text(assembly(out / "page.bin"), encoding="utf-8")
    (out / "page.d").write_text("page.bin: " + " ".join(str(p) for p in sorted(sources.read)) + "\n", encoding="utf-8")
    if "--sizes" in more:
        for name, _, _, _, size, _, packed in rows:
            print(f"{packed or size:8} {name}")
        print(f"{sum(row[6] or row[4] for row in rows):8} in all")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
