#!/usr/bin/env python3
"""Makes tests/data/train/pretrain.txt: what the model of tools/poet and PyTorch's AdamW make of tests/data/train/texts.jsonl from
nothing, step by step.

    python tools/goldens/pretraining.py GYR

The tokenizer is learned by GYR (it has goldens of its own). What the model begins with, the order of the texts, which are held out,
and how they are packed is drawn as docs/training.md says. A line of the file is a step: loss, learning rate and the gradient's
length; the last one is what is held out: loss and bits per byte.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import math
import runpy
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

ROOT = Path(__file__).resolve().parent.parent.parent
VOCAB, DIM, LAYERS, HEAD, CONTEXT, BATCH, STEPS = 400, 32, 2, 16, 48, 3, 50
RATE, WARMUP, DECAY, SEED, HOLD_OUT = 3e-3, 0.1, 0.1, 5, 0.1
DRAW, HELD = 0x626567696e, 0x68656c64
random_at = runpy.run_path(str(ROOT / "tools/goldens/training.py"))["random_at"]


def draw_one(seed, position):
    return float(random_at(seed, np.array([position], dtype=np.uint64))[0])


def texts(gyr, data):
    """-> (learned, held out): tokens and bytes of each text."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([gyr, "train", "tokenizer", "--data", data, "--vocab-size", str(VOCAB), "-o", folder], check=True,
                       stdout=subprocess.DEVNULL)
        tok = Tokenizer.from_file(folder + "/tokenizer.json")
    end, out = tok.token_to_id("<|endoftext|>"), ([], [])
    for i, line in enumerate(data.read_text(encoding="utf-8").splitlines()):
        text = json.loads(line)["text"]
        out[draw_one(SEED + HELD, i) < HOLD_OUT].append(([end] + tok.encode(text).ids + [end], len(text.encode())))
    return out


def shuffled(n, epoch):
    items = list(range(n))
    for i in range(n - 1, 0, -1):
        j = int(draw_one(SEED, epoch * n + i) * (i + 1))
        items[i], items[j] = items[j], items[i]
    return items


def blocks(all_texts, order):
    """Lists of sequences; a text that does not fit goes on in the next block, which begins with the last token of this one."""
    block, used = [], 0
    for epoch in range(1000):
        for d in order(epoch) or []:
            ids = all_texts[d][0]
            while len(ids) > 1:
                n = min(len(ids), CONTEXT - used)
                block.append(ids[:n])
                used += n
                ids = ids[n - 1:] if n < len(ids) else []
                if CONTEXT - used < 2:
                    yield block
                    block, used = [], 0
        if order(epoch + 1) is None:
            yield block
            return


def loss_of(poet, block):
    """The summed loss of a block, and how many tokens were predicted."""
    rows = [torch.tensor([ids]) for ids in block if len(ids) > 1]
    return sum(poet(r[:, :-1], r[:, 1:]) for r in rows), sum(r.shape[1] - 1 for r in rows)


def begin(poet):
    """What every number begins with, by its place in the file."""
    at, residual = 0, {id(p) for b in poet.blocks for p in (b.dense, b.down)}
    order = [poet.embed.weight]
    for b in poet.blocks:
        order += [b.norm.weight, b.norm.bias, b.qkv, b.dense, b.up, b.down]
    with torch.no_grad():
        for p in order + [poet.norm.weight, poet.norm.bias]:
            n = p.numel()
            if p.ndim > 1:
                draws = random_at(SEED + DRAW, np.arange(4 * at, 4 * (at + n), dtype=np.uint64)).reshape(n, 4)
                total = np.full(n, -2.0)
                for k in range(4):
                    total += draws[:, k]
                wide = np.float32(0.02) / np.sqrt(np.float32(2 * LAYERS)) if id(p) in residual else np.float32(0.02)
                p.copy_(torch.from_numpy((total * 1.7320508075688772).astype(np.float32) * wide).reshape(p.shape))
            at += n
    return poet


def run(gyr, data, nudge=0.0):
    """-> loss, rate and the gradient's length of each step, and of what is held out: texts, loss and bits per byte. nudge: by what part
    of itself the first number of all is another one."""
    sys.path.insert(0, str(ROOT / "tools/poet"))
    from train import Poet
    torch.set_num_threads(1)
    learned, held = texts(gyr, data)
    poet = begin(Poet(VOCAB, DIM, LAYERS, HEAD))
    with torch.no_grad():
        poet.embed.weight[0, 0] *= 1 + nudge
    every = list(poet.parameters())
    adam = torch.optim.AdamW([{"params": [p for p in every if p.ndim > 1], "weight_decay": DECAY},
                              {"params": [p for p in every if p.ndim == 1], "weight_decay": 0.0}], lr=RATE)
    stream, warmup, steps = blocks(learned, lambda e: shuffled(len(learned), e)), math.ceil(WARMUP * STEPS), []
    for step in range(STEPS):
        adam.zero_grad()
        sums = [loss_of(poet, next(stream)) for _ in range(BATCH)]
        loss = sum(s for s, _ in sums) / sum(n for _, n in sums)
        loss.backward()
        length = torch.nn.utils.clip_grad_norm_(every, 1.0).item()
        done = (step - warmup) / (STEPS - warmup)
        rate = RATE * ((step + 1) / warmup if step < warmup else 0.5 * (1 + math.cos(math.pi * done)))
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        steps.append((loss.item(), rate, length))
    with torch.no_grad():
        sums = [loss_of(poet, b) for b in blocks(held, lambda e: None if e else range(len(held))) if b]
    total, n = sum(float(s) for s, _ in sums), sum(n for _, n in sums)
    return steps, (len(held), total / n, total / math.log(2) / sum(size for _, size in held))


def main():
    steps, held = run(sys.argv[1], ROOT / "tests/data/train/texts.jsonl")
    lines = [f"{loss:.7g} {rate:.7g} {length:.7g}" for loss, rate, length in steps]
    lines.append(f"{held[0]} {held[1]:.7g} {held[2]:.7g}")
    (ROOT / "tests/data/train/pretrain.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
