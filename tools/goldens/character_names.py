#!/usr/bin/env python3
"""Writes src/text/jinja/names.inc: the names of the characters that a template may spell as "\\N{BULLET}".

All of Unicode's would be a megabyte. These are its signs and the letters of Latin; templates spell others by number.
"""

import os
import textwrap
import unicodedata

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RANGES = [(0x20, 0xFF), (0x2000, 0x206F), (0x20A0, 0x20BF), (0x2100, 0x214F), (0x2190, 0x21FF), (0x2200, 0x22FF),
          (0x2500, 0x26FF), (0x2700, 0x27BF), (0x3000, 0x303F), (0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFFC, 0xFFFD),
          (0x1F300, 0x1F5FF), (0x1F600, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F900, 0x1F9FF)]


def main():
    lines = []
    for first, last in RANGES:
        names = "|".join(unicodedata.name(chr(c), "") for c in range(first, last + 1)) + "|"
        parts = textwrap.wrap(names, 108, break_on_hyphens=False, drop_whitespace=False)
        lines.append(f"{{0x{first:04x},")
        lines += [f' "{part}"' for part in parts]
        lines[-1] += "},"
    with open(os.path.join(ROOT, "src", "text", "jinja", "names.inc"), "w") as f:
        f.write("// Made by tools/goldens/character_names.py: names in a row, from a first character on.\n")
        f.write("// clang-format off\n" + "\n".join(lines) + "\n// clang-format on\n")


if __name__ == "__main__":
    main()
