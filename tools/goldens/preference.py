#!/usr/bin/env python3
"""Makes tests/data/train/pairs.txt and pairs-llama.bin: direct preference optimization in PyTorch, by TRL's formula for the
sigmoid loss, the reference being the model with its adapter switched off.

    python tools/goldens/preference.py GYR

pairs.txt is what PEFT and PyTorch's AdamW make of the poet and the pairs of tests/data/train/pairs.jsonl, as training.py has
it of conversations; a line is a step: loss, accuracy, margin of rewards, learning rate and the gradient's length.

pairs-llama.bin is of a small model and its adapter (gradients.py): the loss, the margin, and the gradients of a hundredth of
the loss by the adapter's numbers, little-endian float32. The preferred answer is the second half of the model's text, and
the other is the same backwards.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import math
import runpy
import subprocess
from pathlib import Path

import torch
from torch.nn.functional import log_softmax, logsigmoid

HERE = Path(__file__).resolve().parent
OUT = HERE.parent.parent / "tests/data/train"
BETA, EPOCHS, RATE = 0.05, 3, 2e-4


def load(name):
    path = list(sys.path)  # each script takes its folder from it
    own = runpy.run_path(str(HERE / name))
    sys.path[:] = path
    return own


def logp(peft, ids, weight):
    """Of what is learned, given all before it: summed, not averaged."""
    logits = peft(ids[None]).logits[0, :-1]
    logits = logits if logits.dtype == torch.float64 else logits.float()
    return (log_softmax(logits, -1).gather(1, ids[1:, None])[:, 0] * weight).sum()


def loss_of(peft, chosen, rejected):
    policy = logp(peft, *chosen) - logp(peft, *rejected)
    with torch.no_grad(), peft.disable_adapter():
        reference = logp(peft, *chosen) - logp(peft, *rejected)
    margin = BETA * (policy - reference)
    return -logsigmoid(margin), margin.item()


def pairs(gyr, model, data):
    lines = subprocess.run([gyr, "tune", "-m", model, "--data", data, "--method", "dpo", "--show", "--json"], check=True,
                           text=True, capture_output=True).stdout.splitlines()
    for two in zip(*[map(json.loads, lines)] * 2):
        assert [x["preferred"] for x in two] == [True, False]
        ids = [torch.tensor([i for run in x["runs"] for i in run["ids"]]) for x in two]
        learned = [torch.tensor([float(run["learned"]) for run in x["runs"] for _ in run["ids"]][1:]) for x in two]
        yield tuple(zip(ids, learned))


def train(peft, all_pairs, order, batch, lr):
    numbers = [p for p in peft.parameters() if p.requires_grad]
    each = math.ceil(len(all_pairs) / batch)
    steps = each * EPOCHS
    warmup = math.ceil(0.1 * steps)
    adam = torch.optim.AdamW(numbers, lr=lr, weight_decay=0)
    for step in range(steps):
        epoch, within = divmod(step, each)
        some = [all_pairs[i] for i in order(len(all_pairs), epoch)[within * batch:][:batch]]
        adam.zero_grad()
        losses, margins = [], []
        for chosen, rejected in some:
            loss, margin = loss_of(peft, chosen, rejected)
            (loss / len(some)).backward()
            losses.append(loss.item())
            margins.append(margin)
        length = torch.nn.utils.clip_grad_norm_(numbers, 1.0).item()
        rate = lr * ((step + 1) / warmup if step < warmup else 1 - (step - warmup) / (steps - warmup))
        for group in adam.param_groups:
            group["lr"] = rate
        adam.step()
        mean = [sum(x) / len(some) for x in (losses, [m > 0 for m in margins], margins)]
        yield " ".join(f"{x:.7g}" for x in (*mean, rate, length))


def small():
    own = load("gradients.py")
    m, families = load("adapters.py")["load_models"]()
    with torch.no_grad():
        model, _, _, text, *_ = m.build("llama", families["llama"])
    adapter = own["Adapter"](m, "llama")
    peft = own["adapt_modules"](model, adapter).eval()
    half = len(text) // 2
    weight = torch.tensor([float(i >= half - 1) for i in range(len(text) - 1)]).double()
    answers = [torch.tensor(text), torch.tensor(text[:half] + text[half:][::-1])]
    loss, margin = loss_of(peft, *((ids, weight) for ids in answers))
    (loss / 100).backward()
    data = [torch.tensor([loss.item(), margin])] + [p.grad.reshape(-1) for p in adapter.numbers]
    (OUT / "pairs-llama.bin").write_bytes(torch.cat([d.double() for d in data]).numpy().astype("<f4").tobytes())
    print(f"llama: loss {loss.item():.6f}, margin {margin:.6f}")


def main():
    from transformers import AutoModelForCausalLM
    poet, data = HERE.parent.parent / "models/poet.gguf", OUT / "pairs.jsonl"
    own = load("training.py")
    torch.set_num_threads(1)
    small()
    model = AutoModelForCausalLM.from_pretrained(poet.parent, gguf_file=poet.name, torch_dtype=torch.float32).eval()
    steps = train(own["adapted"](model), list(pairs(sys.argv[1], str(poet), str(data))), own["order"], own["BATCH"], RATE)
    lines = list(steps)
    data.with_suffix(".txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
