#!/usr/bin/env python3
"""Makes tests/data/train/whole-NAME.txt and .bin: the loss of a text by small models of tests/data/models, and its gradients by all
of their weights, as PyTorch's autograd computes them in double precision.

    python tools/goldens/whole.py [NAME ...]

The text is cut into three sequences, which see nothing of one another. NAME.txt has a line for each tensor of the GGUF file: its
name, how many numbers it has, which of them are kept (each STEP-th, from the first), and the sum of the squares of all; NAME.bin
those that are kept, little-endian float32. The loss is the sum over the tokens i but each sequence's last of
w[i] * -ln p(token i + 1), w[i] being 0 where i is a multiple of 3, else 1; gradients are of a hundredth of it.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import runpy
from pathlib import Path

import numpy as np
import torch
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
NAMES = ["llama", "gpt-neox", "gpt2", "qwen2", "qwen3", "gemma2", "mixtral", "glm4.5", "gpt-oss", "mamba",
         "falcon-mamba", "mamba2", "mamba2-groups", "qwen3.5", "deepseek-v2", "deepseek-v3", "gemma4", "llama4", "falcon-h1", "gemma4-e2b",
         "kimi-linear", "deepseek-v3.2"]
STARTS, KEPT = [0, 20, 45], 250


def multiplier(piece):
    """What the file has multiplied a parameter by: gradients are smaller by it."""
    return float(piece.how.split()[1]) if piece.how.startswith("times") else 1


def make(m, out, name, spec):
    with torch.no_grad():
        model, config, drawn, text, *_ = m.build(name, spec)
    model = model.model if type(model).__name__ == "CacheParams" else model
    model.config._experts_implementation = "eager"  # the grouped products of experts have no double
    model = model.double().eval().requires_grad_(True)
    loss = 0
    for a, b in zip(STARTS, STARTS[1:] + [len(text)]):
        ids = torch.tensor(text[a:b])
        weight = torch.tensor([float(i % 3 != 0) for i in range(a, b - 1)]).double()
        logits = model(ids[None]).logits[0, :-1].double()
        loss = loss + (torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none") * weight).sum()
    (loss / 100).backward()
    own = {k: np.zeros(p.numel()) for k, p in model.named_buffers()}  # what shifts the choice of experts has no gradient
    own.update((k, np.zeros(p.numel()) if p.grad is None else p.grad.reshape(-1).numpy()) for k, p in model.named_parameters())
    lines, data = ["loss 1 1 0"], [np.array([loss.item()])]
    for tensor, (_, pieces, _) in m.as_gguf(spec, config, drawn).tensors.items():
        grad = np.concatenate([own[p.parameter.name][p.index].reshape(-1) / multiplier(p) for p in pieces])
        step = max(1, grad.size // KEPT) | 1
        lines.append(f"{tensor} {grad.size} {step} {(grad ** 2).sum():.9g}")
        data.append(grad[::step])
    (out / f"whole-{name}.txt").write_text("\n".join(lines) + "\n")
    (out / f"whole-{name}.bin").write_bytes(np.concatenate(data).astype("<f4").tobytes())
    print(f"{name}: loss {loss.item():.4f}, {len(lines) - 1} tensors", flush=True)


def main():
    adapters = runpy.run_path(str(HERE / "adapters.py"))
    m, families = adapters["load_models"]()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or NAMES:
        make(m, HERE.parent.parent / "tests/data/train", name, families[name])


if __name__ == "__main__":
    main()
