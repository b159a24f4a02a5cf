"""The documents keep up with the program: every verb, every exit status, every link.

usage: docs.py GYR
"""
import json
import os
import re
import sys

from house import ROOT, Skip, command, files, run

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def verbs():
    """The verbs as `gyr --help` lists them: an indented line that begins with the verb."""
    said = command(sys.argv[1], "--help").stdout
    return [verb for verb in re.findall(r"^ {2,4}(?:gyr )?([a-z]+)\b", said, re.MULTILINE)
            if command(sys.argv[1], verb, "--help").returncode == 0]


def every_verb_has_a_page():
    found = verbs()
    problems = [] if {"run", "pull", "list", "rm", "inspect", "tokenize", "template", "logits", "eval", "devices", "bench", "convert", "quantize", "synth"} <= set(found) else \
        [f"gyr --help shows only {found}"]
    return problems + [f"docs/verbs/{verb}.md: missing" for verb in found
                       if not (ROOT / f"docs/verbs/{verb}.md").exists()]


def every_help_fits_a_screen():
    problems = []
    for verb in ["", *verbs()]:
        said = command(*filter(None, [sys.argv[1], verb, "--help"]))
        lines = said.stdout.splitlines()
        most = 60 if verb in ("run", "serve", "bench", "train", "tune") else 24 if verb else 30  # those five have their options in groups
        if said.returncode or not lines or len(lines) > most or max(map(len, lines)) > 80:
            problems.append(f"gyr {verb} --help: {len(lines)} lines, status {said.returncode}; {most} by 80 is the most")
        if not re.search(r"\bexamples?\b", said.stdout, re.IGNORECASE):
            problems.append(f"gyr {verb} --help: no example")
    return problems


def every_verb_is_in_the_man_page():
    manual = (ROOT / "docs/gyr.1").read_text(encoding="utf-8")
    return [f"docs/gyr.1: no {verb}" for verb in verbs() if not re.search(rf"\b{verb}\b", manual)]


def every_exit_status_is_documented():
    header = (ROOT / "include/gyr.h").read_text(encoding="utf-8")
    page = (ROOT / "docs/exit-status.md").read_text(encoding="utf-8")
    enum = header.split("typedef enum gyr_status")[1].split("}")[0]
    numbers = re.findall(r"^    GYR_\w+ = (\d+),", enum, re.MULTILINE)
    if len(numbers) < 5:
        return [f"gyr.h: only {numbers} found"]
    return [f"docs/exit-status.md: no row for {n}" for n in numbers
            if not re.search(rf"^\| *`?{n}`? *\|", page, re.MULTILINE)]


def anchors(text):
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def every_link_leads_somewhere():
    problems = []
    for path, text in files(".md"):
        for target in LINK.findall(FENCE.sub("", text)):
            if re.match(r"\w+:", target):
                continue
            name, _, anchor = target.partition("#")
            there = (ROOT / path).parent / name if name else ROOT / path
            if not there.exists():
                problems.append(f"{path}: {target}: not there")
            elif anchor and anchor not in anchors(there.read_text(encoding="utf-8")):
                problems.append(f"{path}: {target}: no such heading")
    return problems


def every_page_can_be_reached():
    reached, todo = set(), ["README.md"]
    while todo:
        path = todo.pop()
        if path in reached:
            continue
        reached.add(path)
        for target in LINK.findall(FENCE.sub("", (ROOT / path).read_text(encoding="utf-8"))):
            name = target.partition("#")[0]
            there = ((ROOT / path).parent / name).resolve()
            if name.endswith(".md") and there.is_file() and there.is_relative_to(ROOT.resolve()):
                todo.append(there.relative_to(ROOT.resolve()).as_posix())
    return [f"{path}: no page that starts from README.md leads here" for path, _ in files(".md") if path not in reached]


def every_make_target_they_name_exists():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    return [f"{path}: `make {name}`: no such target" for path, text in files(".md")
            for name in re.findall(r"`make ([a-z]+)", text) if name not in targets]


def every_path_they_name_exists():
    """`src/...`, `tests/...` and so on, in backquotes; not in the rows of rooms that are still to come."""
    problems = []
    for path, text in files(".md"):
        text = re.sub(r"^\|[^|]*\| to come: .*$", "", text, flags=re.MULTILINE)
        for name in re.findall(r"`((?:src|tests|tools|docs|include|examples|models|bench)/[\w./-]*)`", text):
            if not (ROOT / name).exists():
                problems.append(f"{path}: `{name}`: not there")
    return problems


def shown_in(page, typed):
    """What an indented block of a page shows as the output of a command, without blank lines at its end."""
    text = (ROOT / page).read_text(encoding="utf-8")
    block = re.search(rf"^    \$ {re.escape(typed)}\n((?:    (?!\$ ).*\n|\n)*)", text, re.MULTILINE)
    return re.sub("^    ", "", block[1], flags=re.MULTILINE).rstrip().split("\n") if block else []


def matches(shown, written):
    """Whether lines are those written, "..." standing for any that are left out."""
    pattern = "".join(r"(?:.*\n)*" if line == "..." else re.escape(line) + r"\n" for line in shown)
    return re.fullmatch(pattern, written.rstrip("\n") + "\n") is not None


def the_readme_shows_the_poem_that_this_build_writes():
    if not (ROOT / "models/poet.gguf").exists():
        raise Skip("no models/poet.gguf")
    shown = shown_in("README.md", 'gyr run "Write a poem about San Francisco"')
    plain = {name: value for name, value in os.environ.items() if not name.startswith("GYR_")}
    written = command(sys.argv[1], "run", "Write a poem about San Francisco", env=plain)
    if written.returncode:
        return [f"gyr run: status {written.returncode}: {written.stderr}"]
    if sum(line not in ("", "...") for line in shown) < 6:
        return ['README.md: no block that shows `gyr run "Write a poem about San Francisco"` and six lines of what it writes']
    if matches(shown, written.stdout):
        return []
    return ["README.md: the poem is not the one that this build writes. A prompt, a seed and a model are an answer: if the "
            "arithmetic was not meant to change, find out what changed it. If it was, this is the new one; put lines of it "
            'there, indented by four, "..." for each run of lines that is left out:\n' + written.stdout]


# Without a description: pages, what Prometheus reads, and forms with files.
UNDESCRIBED = ("/", "/page/*", "/metrics", "/v1/files", "/v1/batches")


def every_route_is_described():
    rows = re.findall(r'^    \{"([A-Z]+)", "([^"]+)"', (ROOT / "src/server/routes.c").read_text(encoding="utf-8"), re.MULTILINE)
    described = {(method.upper(), re.sub(r"\{\w+\}", "*", path)) for path, methods in
                 json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))["paths"].items() for method in methods}
    wanted = {(method, path) for method, path in rows if path not in UNDESCRIBED and not path.startswith(("/v1/files/", "/v1/batches/"))}
    # one row has the parts of what it is for: /v1/responses/*, and its items
    more = {row for row in described - wanted if not any(path.endswith("*") and row[1].startswith(path[:-1]) for _, path in wanted)}
    wanted = {row for row in wanted if not (row[1].endswith("*") and any(m == row[0] and p.startswith(row[1][:-1]) for m, p in described))}
    return [f"docs/openapi.json: no {method} {path}" for method, path in sorted(wanted - described)] + \
           [f"docs/openapi.json: {method} {path}: no such route" for method, path in sorted(more)] + ["no routes found"] * (len(rows) < 20)


def skeleton(text):
    """What a translation leaves as it is: the levels of headings, rows of tables, commands, code and links."""
    blocks = re.findall(r"^    .*$", text, re.MULTILINE)
    rest = re.sub(r"^    .*$", "", text, flags=re.MULTILINE)
    links = sorted(re.sub(r"#.*", "#", target).replace(".zh.md", ".md") for target in LINK.findall(rest) if not target.startswith("#"))
    return {"headings": [len(marks) for marks in re.findall(r"^(#+) ", rest, re.MULTILINE)],
            "rows of tables": len(re.findall(r"^\|", rest, re.MULTILINE)), "commands": blocks, "links": links,
            "code": sorted(set(re.findall(r"`([^`\n]+)`", rest)))}


def translations_keep_up():
    problems = []
    for path in ROOT.glob("**/*.zh.md"):
        original = path.with_name(path.name.replace(".zh.md", ".md"))
        ours, theirs = (skeleton(p.read_text(encoding="utf-8")) for p in (path, original))
        for name, want in theirs.items():
            got = ours[name]
            if got != want:
                other = set(map(str, got)) ^ set(map(str, want)) if isinstance(want, list) else (got, want)
                problems.append(f"{path.name}: other {name} than {original.name}: {sorted(other) or (got, want)}")
    return problems


if __name__ == "__main__":
    run(every_verb_has_a_page, every_help_fits_a_screen, every_verb_is_in_the_man_page,
        every_exit_status_is_documented, every_link_leads_somewhere, every_page_can_be_reached,
        every_make_target_they_name_exists, every_path_they_name_exists,
        translations_keep_up, every_route_is_described, the_readme_shows_the_poem_that_this_build_writes)
