#!/usr/bin/env python3
"""More verse: Project Gutenberg's books of poems, as TEI (github.com/tnhaider/english-gutenberg-poetry, made by GutenTag), to JSON lines.

usage: tools/poet/gutenberg.py FOLDER POEMS.jsonl.gz OUT.jsonl.gz

FOLDER has the .xml files; POEMS are those that one has. Left out are authors whose year of death is not told or later than 1955, poems that
POEMS or an earlier file has in the main, and what is no verse. The TEI has spaces between words and signs, which are taken out again;
so is what a printer put between the lines: captions of pictures, marks of footnotes, headings, and who speaks in a play.
"""
import argparse
import gzip
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

TEI = "{http://www.tei-c.org/ns/1.0}"
SIGNS = str.maketrans({"“": "\x01", "”": "\x02", "—": " - ", "–": "-", "`": "'", "\u00a0": " "})
ELIDED = r"tis|twas|twere|twill|twould|twixt|tween|t|em|mid|midst|mong|mongst|neath|gainst|gan|ere|er|scaped|bove|bout|cause|fore|tother|lection|un|e'en|e"


def joined(text):
    """-> a line as it was printed"""
    text = re.sub(r"\s+", " ", text.translate(SIGNS)).strip()
    text = re.sub(r"\bcan n't", "can't", text)
    text = re.sub(r" n't\b", "n't", text)
    text = re.sub(r"([A-Za-z]) ?[‘’'] ?(s|d|ll|re|ve|m|t|st|er|en|rt)\b", r"\1'\2", text, flags=re.I)     # can ' t, o ' er
    text = re.sub(r"[‘’'] ([Tt]) (is|was|were|will|would)\b", r"'\1\2", text)
    text = re.sub(r"[‘’'] ?(%s)\b" % ELIDED, r"'\1", text, flags=re.I)
    text = re.sub(r"([A-Za-z]) ['’](?= |$|[,.;:!?])", r"\1'", text)                           # th ' and o '
    text = re.sub(r"(?<![A-Za-z,.;:!?])[‘'] (?=\w)", "'", text).replace("‘", "'").replace("’", "'")
    text = re.sub(r" +([,.;:!?)\]])", r"\1", text)
    text = re.sub(r"([(\[]) +", r"\1", text)
    text = re.sub(r"\s*-{2,}\s*", " - ", text)
    text = re.sub(r"^([A-Z])([A-Z]+)(?= [\w ,'-]*[a-z])", lambda m: m[1] + m[2].lower(), text)    # a poem's first word in capitals
    out, inside = [], False
    for part in re.split(r' ?(") ?', text):                 # quotation marks in pairs, as far as the line tells
        if part != '"':
            out.append(part)
            continue
        before, after = "".join(out), ""
        inside = not inside
        out.append((" " if inside and before and not before.endswith(("(", "-", "'")) else "") + '"' + after)
        if not inside:
            out.append(" ")
    text = re.sub(r" ?\x02", '"', re.sub(r"\x01 ?", '"', "".join(out)))
    return re.sub(r" ([,.;:!?)])", r"\1", text).replace("  ", " ").strip()


NOTE = re.compile(r"\[ ?(?:Illustration|Footnote|Transcriber|Page|Blank Page|Note|Music)\b(?:[^\]]{0,200}\]|[^\]\n]*$)|\[(?:[*A-Z\d]{0,3})\]", re.I | re.M)
ROMAN = re.compile(r"[IVXLC]+\W*")
SPEAKER = r"(?:the |of |and )?[A-Z][\w'-]+"
NAMED = re.compile(rf"(?:{SPEAKER} ?){{1,3}}[.:]")                    # alone at the head of a stanza: "First Spirit."
CALLED = re.compile(r"((?:[A-Z][A-Z'-]{2,} ?){1,3})[.:]\s+(?=\S)")    # in front of what he says: "FLERIDA. The"


def is_heading(line):
    """A line in capitals, which is a heading, or says who speaks."""
    return line.isupper() and len(line) < 40 and sum(c.isalpha() for c in line) > 1 and not ROMAN.fullmatch(line)


def cleaned(stanzas):
    """-> the stanzas without what stands between a poem's lines and is none of it"""
    notes = NOTE.sub(lambda m: re.sub(r"[^\n]+", "", m[0]), "\n\n".join("\n".join(s) for s in stanzas))    # over several lines, too
    stanzas = [[line.strip() for line in s.split("\n") if line.strip()] for s in notes.split("\n\n")]
    lines = [line for s in stanzas for line in s]
    if sum(map(is_heading, lines)) < len(lines) / 2:                 # else it is all capitals, as inscriptions are
        stanzas = [[line for line in s if not is_heading(line)] for s in stanzas]
    heads = [s[0] for s in stanzas if len(s) > 1 and NAMED.fullmatch(s[0]) and not ROMAN.fullmatch(s[0])]
    if len(heads) > 1:                                               # one may be the poem's own; a play has several
        stanzas = [s[1:] if s and s[0] in heads else s for s in stanzas]
    calls = [m[1] for line in lines if (m := CALLED.match(line)) and not ROMAN.fullmatch(m[1].strip())]
    if len(calls) > 1:
        stanzas = [[CALLED.sub("", line) if (m := CALLED.match(line)) and m[1] in calls else line for line in s] for s in stanzas]
    return [s for s in stanzas if s]


def letters(line):
    return re.sub(r"[^a-z]", "", line.lower())


def poems(path):
    """-> (author, [(title, text)])"""
    root = ET.parse(path).getroot()
    died = root.find(f".//{TEI}person/{TEI}death/{TEI}date")
    year = re.search(r"\d{4}", died.text or "") if died is not None else None
    if not year or int(year.group()) > 1955:
        return "", []
    author = (root.findtext(f".//{TEI}titleStmt/{TEI}author") or "").strip()
    out, titles = [], {}
    for group in root.iter(f"{TEI}lg"):
        if group.get("type") not in ("poem", "part"):
            continue
        head = group.find(f"{TEI}head")
        title = joined("".join(head.itertext())) if head is not None else ""
        title = title.rstrip(".,:; ")
        if title.isupper():
            title = " ".join(w.capitalize() for w in title.split())
        if re.fullmatch(r"([IVXLC]+|part|canto|book|sonnet|song|stanza|number|no)?\W*([IVXLC]+|\d+|first|second|third)?\W*", title, re.I):
            title = titles.get(group, "")                   # a part is headed by its poem's title
        titles.update((part, title) for part in group.iter(f"{TEI}lg") if part is not group)
        stanzas = [[joined("".join(line.itertext())) for line in part.findall(f"{TEI}l")]
                   for part in group.findall(f"{TEI}lg") if part.get("type") not in ("poem", "part")]
        loose = [joined("".join(line.itertext())) for line in group.findall(f"{TEI}l")]
        text = "\n\n".join(map("\n".join, cleaned([s for s in stanzas + [loose] if s])))
        if text:
            out.append((title if len(title) < 80 else "", text))
    return author, out


def verse(text):
    """Whether it is English verse: lines of some length, begun with capitals, few signs that books of verse do not have."""
    lines = [x for x in text.split("\n") if x]
    if len(lines) < 6 or sum(len(x) > 75 for x in lines) > len(lines) / 20:
        return False
    capital = sum(bool(re.match(r"\W*[A-Z]", x)) for x in lines)
    odd = len(re.findall(r"[^A-Za-z\s.,;:!?'\"()-]", text))
    english = len(re.findall(r"\b(?:the|and|of|to|in|a)\b", text, re.I))
    return capital > 0.8 * len(lines) and odd < len(text) / 200 and english > len(text.split()) / 14


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path)
    ap.add_argument("poems", type=Path)
    ap.add_argument("out", type=Path)
    args = ap.parse_args()
    known = set()
    with gzip.open(args.poems, "rt", encoding="utf-8") as f:
        for row in f:
            known.update(x for x in map(letters, json.loads(row)["text"].split("\n")) if len(x) > 15)
    count = size = 0
    with gzip.open(args.out, "wt", encoding="utf-8") as f:
        for path in sorted(args.folder.rglob("*.xml")):
            try:
                author, found = poems(path)
            except ET.ParseError as error:
                print(path.name, error)
                continue
            for title, text in found:
                lines = [x for x in map(letters, text.split("\n")) if len(x) > 15]
                if not lines or sum(x in known for x in lines) > len(lines) / 5 or not verse(text):
                    continue
                known.update(lines)
                f.write(json.dumps({"title": title, "author": author, "text": text}, ensure_ascii=False) + "\n")
                count, size = count + 1, size + len(text)
    print(f"{count} poems, {size:,} characters")


if __name__ == "__main__":
    main()
