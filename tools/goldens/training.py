#!/usr/bin/env python3
"""Makes tests/data/train/poet.txt: what PEFT and PyTorch's AdamW make of the poet (models/poet.gguf) and the conversations of
tests/data/train/poet.jsonl, step by step.

    python tools/goldens/training.py GYR

The examples' tokens are those that `GYR tune --show --json` prints (the tokenizer has goldens of its own). What the adapter
begins with and the order of the examples are drawn as docs/training.md says. A line of the file is a step: loss, accuracy,
learning rate and the gradient's length; the last one is the sum of the squares of all numbers of the adapter.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import math
import subprocess
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent.parent
RANK, ALPHA, EPOCHS, BATCH, RATE, SEED = 4, 8.0, 4, 2, 1e-2, 7
ORDER = 0x6f72646572
MASK = (1 << 64) - 1


def random_at(seed, position):
    """Uniform in [0, 1), of numpy's uint64: splitmix64's mixer, twice."""
    z, at = np.full_like(position, seed), position + np.uint64(1)
    with np.errstate(over="ignore"):
        for _ in range(2):
            z = z + np.uint64(0x9e3779b97f4a7c15) * at
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
            z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0 ** -53


def order(n, epoch):
    items = list(range(n))
    for i in range(n - 1, 0, -1):
        at = random_at((SEED + ORDER) & MASK, np.array([epoch * n + i], dtype=np.uint64))[0]
        j = int(at * (i + 1))
        items[i], items[j] = items[j], items[i]
    return items


def examples(gyr, model, data):
    lines = subprocess.run([gyr, "tune", "-m", model, "--data", data, "--show", "--json"], check=True, text=True,
                           capture_output=True).stdout.splitlines()
    for line in map(json.loads, lines):
        ids = [i for run in line["runs"] for i in run["ids"]]
        learned = [run["learned"] for run in line["runs"] for _ in run["ids"]]
        yield torch.tensor(ids), torch.tensor(learned[1:])


def adapted(model):
    """With the poet's four matrices of a layer adapted, in gyr's order; what A begins with is drawn by its place."""
    from peft import LoraConfig, get_peft_model
    modules = ["self_attention.query_key_value", "self_attention.dense", "mlp.dense_h_to_4h", "mlp.dense_4h_to_h"]
    peft = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=[m.split(".")[1] for m in modules]))
    own, at = dict(peft.named_parameters()), 0
    with torch.no_grad():
        for layer in range(model.config.num_hidden_layers):
            for m in modules:
                a, b = (own[f"base_model.model.transformer.h.{layer}.{m}.lora_{x}.default.weight"] for x in "AB")
                draws = random_at(SEED, np.arange(at, at + a.numel(), dtype=np.uint64))
                a.copy_(torch.from_numpy((2 * draws - 1) / math.sqrt(a.shape[1])).reshape(a.shape))
                b.zero_()
                at += a.numel() + b.numel()
    return peft


def train(peft, all_examples):
    numbers = [p for p in peft.parameters() if p.requires_grad]
    each = math.ceil(len(all_examples) / BATCH)
    steps = each * EPOCHS
    warmup = math.ceil(0.1 * steps)
    adam = torch.optim.AdamW(numbers, lr=RATE, weight_decay=0)
    for step in range(steps):
        epoch, within = divmod(step, each)
        batch = [all_examples[i] for i in order(len(all_examples), epoch)[within * BATCH:][:BATCH]]
        learned = sum(int(w.sum()) for _, w in batch)
        loss, right = 0.0, 0
        adam.zero_grad()
        for ids, weight in batch:
            logits = peft(ids[None]).logits[0, :-1].float()[weight]
            target = ids[1:][weight]
            some = torch.nn.functional.cross_entropy(logits, target, reduction="sum") / learned
            some.backward()
            loss += some.item()
            right += int((logits.argmax(-1) == target).sum())
        length = torch.nn.utils.clip_grad_norm_(numbers, 1.0).item()
        rate = RATE * ((step + 1) / warmup if step < warmup else 1 - (step - warmup) / (steps - warmup))
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        yield f"{loss:.7g} {right / learned:.7g} {rate:.7g} {length:.7g}"
    yield f"{sum((p.detach().double() ** 2).sum().item() for p in numbers):.7g}"


def main():
    from transformers import AutoModelForCausalLM
    poet, data = ROOT / "models/poet.gguf", ROOT / "tests/data/train/poet.jsonl"
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(poet.parent, gguf_file=poet.name, torch_dtype=torch.float32).eval()
    lines = list(train(adapted(model), list(examples(sys.argv[1], str(poet), str(data)))))
    data.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
