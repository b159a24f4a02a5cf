"""The poet on a card: the schedule, the model and the steps of train.py, with the rows of pool.py.

Blocks are compiled, one for all, and the loss; where that fails they are computed as they are. The state is kept a while: if the
loss leaves its course, the run goes back there with a lower rate.
"""
import copy
import json
import math
import os
import time

import torch

import train as base
from pool import Drawers


def compiled(model, shapes, bf16, log):
    """-> what computes the loss of (ids, labels)"""
    began = time.time()
    layer, end = torch.compile(base.Block.forward, dynamic=False), torch.compile(base.Poet.end, dynamic=False)
    fast = lambda ids, labels: model(ids, labels, layer, end)
    try:
        for rows, size in shapes:
            ids = torch.randint(4, model.vocab, (rows, size), device=model.embed.weight.device)
            losses = []
            for function in (fast, model):
                with torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
                    loss = function(ids, ids) / ids.numel()
                loss.backward()
                losses.append(loss.item())
                model.zero_grad()
            if not abs(losses[0] - losses[1]) < 0.01:
                raise ValueError(f"compiled {losses[0]}, as it is {losses[1]}")
            log(f"{rows} x {size}: compiled {losses[0]:.4f}, as it is {losses[1]:.4f}, {time.time() - began:.0f} s")
        return fast
    except Exception as error:                              # a machine without a compiler: slower, and right
        log("not compiled:", str(error)[:500])
        model.zero_grad()
        return model


class Kept:
    """A copy of all that steps change."""

    def __init__(self, model, adam, muon):
        self.model, self.muon = copy.deepcopy(model.state_dict()), {k: b.clone() for k, b in muon.buffers.items()}
        self.adam = copy.deepcopy(adam.state_dict())

    def back(self, model, adam, muon):
        model.load_state_dict(self.model)
        adam.load_state_dict(copy.deepcopy(self.adam))
        for k, b in muon.buffers.items():
            b.copy_(self.muon[k])


def train(args, sampler, tok, held_rows, log):
    drawers = Drawers(sampler, tok, args.workers, args.seed, args.window)       # before the card is touched
    device = torch.device(os.environ.get("POET_DEVICE", "cuda"))
    if device.type == "cuda":
        log(torch.cuda.get_device_name(), torch.__version__)
    bf16 = not args.fp32
    model = base.Poet(args.vocab, args.dim, args.layers, args.head).to(device)
    log(sum(p.numel() for p in model.parameters()), "parameters")
    muon, adam, rest = base.optimizers(model, args)
    for width in (args.window, args.context):
        drawers.pool(width, args.pool // width, device)
    held = (held_rows[0].to(device), held_rows[1].to(device), held_rows[2])
    shapes = [(args.tokens // size, size) for size in (args.window, args.context)]
    forward = model if args.no_compile else compiled(model, shapes, bf16, log)
    while drawers.pools[args.window].came < 2 * shapes[0][0]:
        drawers.collect(1, 60)
    log("drawn before the first step:", drawers.pools[args.window].came, "rows")

    began, total = time.time(), args.minutes * 60
    if args.stop_at:
        total = min(total, args.stop_at - began)
    log(f"training for {total:.0f} s")
    step, slower, told, saved, asked = 0, 1.0, 0, 0.0, 0.0
    mean, best, kept = torch.zeros((), device=device), math.inf, [Kept(model, adam, muon)] * 2
    while (elapsed := time.time() - began) < total:
        part = elapsed / total
        rate = slower * min(1.0, (step + 1) / 100, (1 - part) / (1 - args.decay_from))
        if part > args.long_from - 0.06:                    # the long rows need a moment to be there
            drawers.size.value = args.context
        drawers.collect()
        size = args.window if part < args.long_from or not drawers.pools[args.context].came else args.context
        ids, labels = drawers.pools[size].take(args.tokens // size)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            loss = forward(ids, labels) / (labels >= 0).sum()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for group in adam.param_groups:
            group["lr"] = args.lr * rate
        adam.step()
        muon.step(args.matrix_lr * rate)
        model.zero_grad()
        mean.lerp_(loss.detach(), max(0.02, 1 / (1 + step % 100)))
        step += 1
        if step % 100:
            continue
        now, value = time.time() - began, mean.item()       # waits for the card
        if not value < best + 0.3:
            log(f"step {step}: loss {value}, back to where it was {best:.4f}, with a lower rate")
            kept[0].back(model, adam, muon)
            slower, mean = slower * 0.6, torch.zeros((), device=device)
            continue
        best = min(best, value)
        kept = [kept[1], Kept(model, adam, muon)] if step % 500 == 0 else kept
        came = sum(p.came * w for w, p in drawers.pools.items())
        again = sum(p.repeated * w for w, p in drawers.pools.items())
        log(f"step {step} {100 * part:.1f}% loss {value:.4f} rate {rate:.3f} {100 * args.tokens / (now - told):.0f} tok/s; "
            f"drawn {came / 1e6:.1f}M, taken again {again / 1e6:.1f}M of {step * args.tokens / 1e6:.1f}M")
        told = now
        if now - asked > 60 * args.ask_every:
            asked = now
            log("held out", json.dumps(base.evaluate(model, *held, bf16)))
        if now - saved > 60 * args.save_every:
            saved = now
            base.save_huggingface(model, tok, args.out / "hf", args.context, args.half)
    result = base.evaluate(model, *held, False)
    log("held out, at the end", json.dumps(result))
    base.save_huggingface(model, tok, args.out / "hf", args.context, args.half)
    (args.out / "hf" / "result.json").write_text(json.dumps(
        {"steps": step, "tokens_seen": step * args.tokens, "minutes": (time.time() - began) / 60, "held_out": result}, indent=2) + "\n")
