"""Rules for the sources: who may include whom, sizes, words and calls that have no place here."""
import re
import shutil
from pathlib import PurePosixPath

from house import ROOT, TEXT, Skip, command, files, run

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+([<"])([^>"]+)[>"]', re.MULTILINE)
COMMENT_OR_STRING = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
LIBC = {f"{h}.h" for h in ("assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp signal "
                           "stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn string tgmath "
                           "threads time uchar wchar wctype").split()}
USERS = {"server": ("base",), "cli": ("server",)}  # they use gyr.h as anybody would, and doors of these rooms

MAX_LINES = 600
LONGER = {"include/gyr.h": "the whole public interface, documented call by call"}  # file: why it may be longer

# The library tells its caller and leaves the process and its streams alone; unbounded string calls are nobody's.
LIBRARY_NEVER = re.compile(r"\b(abort|assert|_?exit|printf|vprintf|puts|putchar|perror)\s*\(|\b(stdout|stderr)\b")
NEVER = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|alloca)\s*\(")
# Written so that they do not match themselves.
WORDS = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b|/wor[k]/|/hom[e]/\w|/roo[t]/|\bfarm[-]\w|\.librar[y]/")


def rooms():
    """The rooms in the order of the table in docs/design.md: each may lean on those above it."""
    table = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `src/(\w+)/` \|", table, re.MULTILINE)


# What kernels include beside each other: the one definition of exp and its kin, and the host's words of tests/simt.
OF_KERNELS = ("elementary.h", "simt.h")


def include_problem(order, path, bracket, header):
    """Why the file at `path` may not include `header`; None if it may."""
    room = PurePosixPath(path).parts[1]
    if bracket == "<" or header == "gyr.h":
        return None
    if path.startswith("src/device/gpu/kernels/") and header in OF_KERNELS:
        return None
    if "/" not in header:
        return None if (ROOT / path).with_name(header).exists() else "is not in its folder"
    target = header.split("/")[0]
    if target not in order or room not in order:
        return "is in no room of docs/design.md"
    if target == room:
        return None
    if room in USERS:
        return None if target in USERS[room] else "is the engine's inside; use gyr.h"
    return "is in a room below" if order.index(target) > order.index(room) else None


def rooms_lean_only_on_those_above():
    order = rooms()
    problems = [f"src/{p.name}: not in the table of docs/design.md"
                for p in (ROOT / "src").iterdir() if p.is_dir() and p.name not in order]
    for path, text in files(".c", ".h"):
        if path.startswith("src/"):
            for bracket, header in INCLUDE.findall(text):
                why = include_problem(order, path, bracket, header)
                if why:
                    problems.append(f"{path}: includes {header}, which {why}")
    return problems


def doors():
    """The second table of docs/design.md: the headers of a room that other rooms may include."""
    table = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (`.*`.*) \|$", table, re.MULTILINE)
    return {room: {f"{room}/{header}" for header in re.findall(r"`(\w+\.h)`", cell)} for room, cell in rows}


def rooms_are_entered_by_their_doors():
    known, used, problems = doors(), set(), []
    for path, text in files(".c", ".h"):
        if not path.startswith("src/"):
            continue
        for header in re.findall(r'^[ \t]*#[ \t]*include[ \t]+"(\w+/[^"]+)"', text, re.MULTILINE):
            room = header.split("/")[0]
            if room == PurePosixPath(path).parts[1]:
                continue
            used.add(header)
            if header not in known.get(room, ()):
                problems.append(f"{path}: includes {header}, which is no door of docs/design.md")
    unused = sorted(door for room in known for door in known[room] - used)
    return problems + [f"docs/design.md: nobody comes by the door {door}" for door in unused]


# The forward pass: what a layer does is in its plan, and neither the family's row nor the file is asked again.
PASS = ("forward", "attention", "latent", "indexer", "experts", "forward_state", "layer_inputs")
ASKS = re.compile(r"(->|\.)\s*(family|checkpoint)\b|\bfamily_\w+\s*\(|\bcheckpoint_\w+\s*\(")


def asks(text):
    code = COMMENT_OR_STRING.sub(lambda m: "\n" * m.group().count("\n"), text)
    return [f"{code.count(chr(10), 0, hit.start()) + 1}: {hit.group()}" for hit in ASKS.finditer(code)]


def the_pass_reads_plans_alone():
    return [f"src/model/{name}.c:{where}: belongs in the layer's plan" for name in PASS
            for where in asks((ROOT / f"src/model/{name}.c").read_text(encoding="utf-8"))]


def the_rule_of_plans_can_fail():
    tries = [("if (p->m->family->latent)", 1), ("x = l->plan.latent; // the family's", 0),
             ("c.turns = m.checkpoint->source;", 1), ("family_find(c, e)", 1)]
    return [f"{text} should give {n}" for text, n in tries if len(asks(text)) != n]


def the_rooms_rule_can_fail():
    order = ["base", "tensor", "model", "server", "cli"]
    tries = [("src/base/map.c", "tensor/type.h", False), ("src/model/model.c", "tensor/type.h", True),
             ("src/cli/main.c", "base/buf.h", False), ("src/cli/main.c", "server/x.h", True),
             ("src/server/x.c", "base/buf.h", True), ("src/server/x.c", "model/x.h", False), ("src/cli/main.c", "gyr.h", True),
             ("src/model/model.c", "nowhere/x.h", False), ("src/model/model.c", "model/x.h", True)]
    return [f"{path} including {header} should be {'fine' if fine else 'caught'}"
            for path, header, fine in tries if (include_problem(order, path, '"', header) is None) != fine]


def the_public_header_needs_only_libc():
    text = (ROOT / "include/gyr.h").read_text(encoding="utf-8")
    return [f"include/gyr.h: includes {header}" for _, header in INCLUDE.findall(text) if header not in LIBC]


def header_guards_spell_the_path():
    problems = []
    for path, text in files(".h"):
        inside = re.sub(r"^(src|include)/", "", path)
        guard = re.sub(r"[^A-Z0-9]", "_", inside.upper())
        if f"#ifndef {guard}\n#define {guard}\n" not in text:
            problems.append(f"{path}: its guard should be {guard}")
    return problems


def files_are_small():
    problems = []
    for path, text in files(".c", ".h", ".py", ".sh", ".build"):
        lines = text.count("\n")
        if lines > MAX_LINES and path not in LONGER:
            problems.append(f"{path}: {lines} lines; {MAX_LINES} is the most. Is it one thing?")
    return problems


def lines_are_tidy():
    problems = []
    for path, text in files(*TEXT):
        if text and not text.endswith("\n"):
            problems.append(f"{path}: no newline at its end")
        for number, line in enumerate(text.split("\n"), 1):
            if "\t" in line or "\r" in line or line != line.rstrip():
                problems.append(f"{path}:{number}: a tab, a carriage return, or a blank at the end")
            if path.endswith((".c", ".h")) and len(line) > 120:
                problems.append(f"{path}:{number}: {len(line)} columns; 120 is the most")
    return problems


def the_layout_is_clang_formats():
    """Versions differ in details: the one that the sources were formatted with decides."""
    if not shutil.which("clang-format") or " 14." not in command("clang-format", "--version").stdout:
        raise Skip("no clang-format 14")
    sources = [ROOT / path for path, _ in files(".c", ".h")]
    said = command("clang-format", "--dry-run", *sources).stderr
    return sorted({line.split(":")[0] + ": run make format" for line in said.splitlines() if ": warning: " in line})


def no_words_of_one_workplace():
    return [f"{path}:{text.count(chr(10), 0, hit.start()) + 1}: {hit.group()}"
            for path, text in files(*TEXT, "Makefile", "run", "setup", "totals", "compare") for hit in WORDS.finditer(text)]


def code_problems(path, text):
    code = COMMENT_OR_STRING.sub(lambda m: "\n" * m.group().count("\n"), text)
    hits = list(NEVER.finditer(code))
    if path.startswith("src/") and PurePosixPath(path).parts[1] not in USERS:
        hits += LIBRARY_NEVER.finditer(code)
    return [f"{path}:{code.count(chr(10), 0, hit.start()) + 1}: {hit.group()}" for hit in hits]


def the_library_leaves_the_process_alone():
    problems = []
    for path, text in files(".c", ".h"):
        problems += code_problems(path, text)
    return problems


def the_rule_of_calls_can_fail():
    tries = [("src/base/x.c", "abort();", 1), ("src/base/x.c", "// abort();", 0), ("src/cli/x.c", "exit(1);", 0),
             ("src/base/x.c", 'f("exit(1)");', 0), ("src/base/x.c", "fputs(s, stderr);", 1),
             ("src/base/x.c", "buf_printf(b); static_assert(1);", 0), ("tests/x.c", "strcpy(a, b);", 1)]
    return [f"{path}: {code} should give {n}" for path, code, n in tries if len(code_problems(path, code)) != n]


if __name__ == "__main__":
    run(rooms_lean_only_on_those_above, the_rooms_rule_can_fail, rooms_are_entered_by_their_doors,
        the_pass_reads_plans_alone, the_rule_of_plans_can_fail, the_public_header_needs_only_libc,
        header_guards_spell_the_path, files_are_small, lines_are_tidy, the_layout_is_clang_formats,
        no_words_of_one_workplace, the_library_leaves_the_process_alone, the_rule_of_calls_can_fail)
