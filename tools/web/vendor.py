#!/usr/bin/env python3
"""Fetches the libraries of the page from npm into src/server/web/vendor, as their authors built them.

usage: tools/web/vendor.py

Needs npm. What comes is checked against the sums in vendor/SUMS; where a version below was changed, delete that file
first, look at what changed, and commit both.
"""
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "src/server/web/vendor"

# package, version: file in the package -> file here
PACKAGES = {
    ("markdown-it", "15.0.3"): {"dist/browser/markdown-it.umd.min.js": "markdown-it.js", "LICENSE": "LICENSE.markdown-it"},
    ("dompurify", "3.4.18"): {"dist/purify.min.js": "purify.js", "LICENSE": "LICENSE.dompurify"},
    ("katex", "0.19.1"): {"dist/katex.min.js": "katex.js", "dist/katex.min.css": "katex.css", "LICENSE": "LICENSE.katex"},
    ("@highlightjs/cdn-assets", "11.12.0"): {"highlight.min.js": "highlight.js", "LICENSE": "LICENSE.highlight"},
}
# The faces that formulas usually need. Bold italics and other rare ones are made of these by the browser.
FONTS = ("Main-Regular", "Main-Bold", "Math-Italic", "AMS-Regular", "Size1-Regular", "Size2-Regular", "Size3-Regular",
         "Size4-Regular", "Caligraphic-Regular", "Script-Regular")


def without_map(data):
    """A script without the line that names its source map, which is not here."""
    return re.sub(rb"\n?//# sourceMappingURL=[^\n]*", b"", data)


def few_fonts(css):
    """KaTeX's style sheet with the faces that are here, each in the one format that every browser reads."""
    def face(rule):
        name = re.search(r"fonts/KaTeX_([\w-]+)\.woff2", rule[0])[1]
        return re.sub(r"src:[^}]*", f"src:url(KaTeX_{name}.woff2) format('woff2')", rule[0]) if name in FONTS else ""
    return re.sub(r"@font-face\{[^}]*\}", face, css)


def fetch(folder, package, version):
    said = subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, capture_output=True, text=True,
                          check=True).stdout.split()
    return tarfile.open(Path(folder) / said[-1])


def main():
    VENDOR.mkdir(parents=True, exist_ok=True)
    made = {}
    with tempfile.TemporaryDirectory() as folder:
        for (package, version), wanted in PACKAGES.items():
            with fetch(folder, package, version) as archive:
                files = dict(wanted)
                if package == "katex":
                    files.update({f"dist/fonts/KaTeX_{name}.woff2": f"KaTeX_{name}.woff2" for name in FONTS})
                for source, target in files.items():
                    data = archive.extractfile(f"package/{source}").read()
                    if target == "katex.css":
                        data = few_fonts(data.decode()).encode()
                    made[target] = without_map(data) if target.endswith(".js") else data
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(made.items()))
    list_of_sums = VENDOR / "SUMS"
    if list_of_sums.exists() and list_of_sums.read_text(encoding="utf-8") != sums:
        sys.exit("tools/web/vendor.py: npm has other files than vendor/SUMS says; nothing was changed")
    for name, data in made.items():
        (VENDOR / name).write_bytes(data)
    list_of_sums.write_text(sums, encoding="utf-8")


if __name__ == "__main__":
    main()
