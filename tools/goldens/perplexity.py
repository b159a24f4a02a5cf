#!/usr/bin/env python3
"""Perplexity by transformers: writes tests/data/perplexity/expected.txt for its text.txt.

    python tools/goldens/perplexity.py

Needs torch, transformers, tokenizers. Logits in float32, what comes after in float64. A line a case: the arguments of gyr
eval perplexity, then its "perplexity" and "nats per token" lines' numbers and bits per byte.
"""

import math
import sys
from pathlib import Path

sys.path.pop(0)  # this folder, where tokenizers.py is not the package

import torch
from tokenizers import Tokenizer
from transformers import FalconForCausalLM

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "tests/data/falcon/7b/hf"
DATA = ROOT / "tests/data/perplexity"


def surprises(model, ids, first):
    """-log p of ids[first:], each given all before it."""
    logits = model(torch.tensor([ids])).logits[0].double()
    logp = torch.log_softmax(logits, -1)
    return [-logp[i - 1, ids[i]].item() for i in range(first, len(ids))]


def side_by_side(model, ids, context):
    out, scored = [], []
    for at in range(0, len(ids) - context + 1, context):
        window = ids[at:at + context]
        out += surprises(model, window, context // 2 + 1)
        scored += window[context // 2 + 1:]
    return out, scored


def sliding(model, ids, context, stride):
    out, scored, done = [], [], 1
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        first = max(done - begin, 1)
        out += surprises(model, ids[begin:end], first)
        scored += ids[begin + first:end]
        done = end
        if end == len(ids):
            break
    return out, scored


def line(arguments, tokenizer, out, scored):
    n = len(out)
    mean = sum(out) / n
    error = math.sqrt((sum(x * x for x in out) / n - mean * mean) / (n - 1))
    size = len(tokenizer.decode(scored, skip_special_tokens=False).encode())
    ppl = math.exp(mean)
    return f"{arguments}|{ppl:.2f} +/- {ppl * error:.2f}|{mean:.4f} +/- {error:.4f}|{sum(out) / math.log(2) / size:.3f}\n"


def main():
    text = (DATA / "text.txt").read_text(encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    model = FalconForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    lines = []
    with torch.no_grad():
        for context in (32, 57):
            lines.append(line(f"-c {context}", tokenizer, *side_by_side(model, ids, context)))
            for stride in (11, context):
                lines.append(line(f"-c {context} --stride {stride}", tokenizer, *sliding(model, ids, context, stride)))
    (DATA / "expected.txt").write_text("".join(lines))


if __name__ == "__main__":
    main()
