#!/usr/bin/env python3
"""PyTorch on the same shape with random weights: a prompt through transformers' Llama in bfloat16, compiled; BF16 files of
plain Llamas only. What it makes of decode one token at a time is no way to run a model, and is left out."""
from pathlib import Path

import common
import shape


def main():
    o = common.options(__doc__, ("--gyr", {"type": Path, "required": True}), ("--cache", {"type": Path, "required": True}))
    import torch
    config, kind = shape.of(o.gyr, o.model)
    torch.set_num_threads(o.threads)
    torch.set_grad_enabled(False)
    model = None
    for width in o.widths:
        if not config or kind != "bf16" or not o.prompt or width > 1:
            common.put("PyTorch", torch.__version__)
            continue
        model = model or torch.compile(shape.random_llama(config, torch.bfloat16))
        ids = torch.tensor([common.tokens(o.prompt, config["vocab_size"])])

        def prompt(ids=ids):
            model(ids, use_cache=True, logits_to_keep=1)
        for _ in range(2):
            prompt()
        common.put("PyTorch", torch.__version__, [o.prompt / common.seconds(prompt) for _ in range(o.repeat)])


if __name__ == "__main__":
    main()
