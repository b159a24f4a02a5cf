#!/usr/bin/env python3
"""Goldens for the chat templates: what jinja2, set up as transformers sets it up, makes of them.

    templates.py                       writes tests/data/templates/*.json
    templates.py --verb GYR            feeds every case to `GYR template --file` and compares
    templates.py --check PROGRAM       feeds every case to PROGRAM and compares (one JSON object a line on its stdin,
                                       {"template": ..., "variables": ...}; {"out": ...} or {"error": ...} a line back)

language.json    own templates that walk through the language: [{"template", "variables", "expected"}]; "expected" is
                 null where jinja2 refuses.
conversations.json  named sets of variables.
models.json      well-known models' templates (shared/data/chat-templates, not part of this repository) with each
                 conversation: {template: {conversation: "LENGTH FNV-1a-64" of the output, or null}}.

Needs jinja2 and transformers.
"""

import argparse
import datetime
import glob
import json
import os
import subprocess
import tempfile

import template_cases
from transformers.utils import chat_template_utils

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATA = os.path.join(ROOT, "tests", "data", "templates")
MODELS = os.path.join(ROOT, "..", "shared", "data", "chat-templates")
EPOCH = 1753500000  # the tests set SOURCE_DATE_EPOCH to it


class FixedTime(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(EPOCH, datetime.timezone.utc)


chat_template_utils.datetime = FixedTime


def render(template, variables):
    """The output; None where jinja2 refuses."""
    try:
        # A copy: a template must not see what another one did.
        return chat_template_utils._compile_jinja_template(template).render(**json.loads(json.dumps(variables)))
    except Exception:
        return None


def fnv(text):
    h = 0xCBF29CE484222325
    for byte in text.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    return f"{h:016x}"


def language():
    cases = []
    for template, variables in template_cases.language():
        cases.append({"template": template, "variables": variables, "expected": render(template, variables)})
    return cases


def model_templates():
    for path in sorted(glob.glob(os.path.join(MODELS, "*.jinja"))):
        with open(path, encoding="utf-8", newline="") as f:
            yield os.path.basename(path), f.read()


def write(name, value):
    with open(os.path.join(DATA, name), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, indent=1)
        f.write("\n")


def check(program, cases):
    lines = "".join(json.dumps({"template": t, "variables": v}) + "\n" for t, v, _ in cases)
    env = dict(os.environ, SOURCE_DATE_EPOCH=str(EPOCH))
    out = subprocess.run(program, input=lines, capture_output=True, text=True, env=env, shell=True)
    print(out.stderr[:4000], end="")
    answers = out.stdout.split("\n")[:-1]
    bad = 0
    for (template, variables, expected), line in zip(cases, answers):
        got = json.loads(line)
        if got.get("out") == expected:
            continue
        bad += 1
        print(f"--- {template[:300]!r}\n    {json.dumps(variables)[:200]}\n  want {expected!r}\n  got  {got}")
    print(f"{len(cases)} cases, {bad} differ, {len(answers)} answers")


def as_transformers(template, variables):
    """What apply_chat_template() makes of them; where the template refuses tools that are none, without them."""
    messages = variables.get("messages")
    if isinstance(messages, list) and all(isinstance(m, dict) for m in messages):
        messages = chat_template_utils._normalize_chat_messages(messages)
        variables = {**variables, "messages": chat_template_utils._alias_reasoning_fields(messages)}
    got = render(template, {"tools": None, "documents": None, **variables})
    return render(template, variables) if got is None else got


def check_verb(gyr, cases):
    env = dict(os.environ, SOURCE_DATE_EPOCH=str(EPOCH))
    bad = 0
    with tempfile.NamedTemporaryFile(suffix=".jinja") as f:
        for template, variables, _ in cases:
            f.seek(0)
            f.truncate()
            f.write(template.encode("utf-8", "surrogatepass"))
            f.flush()
            run = [gyr, "template", "--file", f.name]
            out = subprocess.run(run, input=json.dumps(variables).encode(), capture_output=True, env=env)
            want = as_transformers(template, variables)
            got = None if out.returncode else out.stdout.decode()
            if want != got:
                bad += 1
                print(f"--- {template[:300]!r}\n  want {want!r}\n  got  {got!r} {out.stderr.decode()}")
    print(f"{len(cases)} cases, {bad} differ")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--verb", metavar="GYR")
    parser.add_argument("--check", metavar="PROGRAM")
    args = parser.parse_args()
    conversations = template_cases.conversations()
    if args.check or args.verb:
        cases = [(c["template"], c["variables"], c["expected"]) for c in language()]
        for _, source in model_templates():
            cases += [(source, v, render(source, v)) for v in conversations.values()]
        return check_verb(args.verb, cases) if args.verb else check(args.check, cases)
    models = {}  # a string each: it keeps the file small
    for name, source in model_templates():
        outs = {c: render(source, v) for c, v in conversations.items()}
        models[name] = {c: out if out is None else f"{len(out.encode())} {fnv(out)}" for c, out in outs.items()}
    os.makedirs(DATA, exist_ok=True)
    write("language.json", language())
    write("conversations.json", conversations)
    write("models.json", models)


if __name__ == "__main__":
    main()
