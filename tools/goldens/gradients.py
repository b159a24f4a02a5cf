#!/usr/bin/env python3
"""Makes tests/data/train/NAME.txt and NAME.bin: the loss of a text by the small models of tests/data/models with the adapters
of tests/data/adapters, and its gradients by the adapters' numbers, as PyTorch's autograd computes them in double precision.

    python tools/goldens/gradients.py [NAME ...]

NAME.txt has a line for each array: its name and how many numbers; NAME.bin the numbers, little-endian float32. The loss is
the sum over the text's tokens i but the last of w[i] * -ln p(token i + 1), w[i] being 0 where i is a multiple of 3, else 1;
gradients are of a hundredth of it.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import runpy
from pathlib import Path

import torch
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
NAMES = ["llama", "phi3", "gpt-neox"]


def make(adapters, m, out, name, families):
    from peft import LoraConfig, get_peft_model
    spec = families[name]
    with torch.no_grad():
        model, _, _, text, *_ = m.build(name, spec)
        peft = get_peft_model(model, LoraConfig(**adapters["CASES"][name])).double().eval()
        own = dict(peft.named_parameters())
        pairs = [k.removesuffix(".lora_A.default.weight") for k in own if k.endswith(".lora_A.default.weight")]
        for module in pairs:
            a, b = (own[f"{module}.lora_{x}.default.weight"] for x in "AB")
            for to, drawn in zip((a, b), adapters["drawn_pair"](m, module, a.shape[0], a.shape[1], b.shape[0], name)):
                to.copy_(torch.from_numpy(drawn.values()).double())
    ids = torch.tensor(text)
    weight = torch.tensor([float(i % 3 != 0) for i in range(len(text) - 1)]).double()
    logits = peft(ids[None]).logits[0, :-1].double()
    loss = (torch.nn.functional.cross_entropy(logits, ids[1:], reduction="none") * weight).sum()
    (loss / 100).backward()
    lines, data = ["loss 1"], [torch.tensor([loss.item()])]
    for module in pairs:
        for x in "AB":
            grad = own[f"{module}.lora_{x}.default.weight"].grad
            lines.append(f"{module}.lora_{x}.weight {grad.numel()}")
            data.append(grad.reshape(-1))
    (out / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (out / f"{name}.bin").write_bytes(torch.cat([d.double() for d in data]).detach().numpy().astype("<f4").tobytes())
    print(f"{name}: loss {loss.item():.4f}, {len(lines) - 1} gradients", flush=True)


def main():
    adapters = runpy.run_path(str(HERE / "adapters.py"))
    m, families = adapters["load_models"]()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or NAMES:
        make(adapters, m, HERE.parent.parent / "tests/data/train", name, families)


if __name__ == "__main__":
    main()
