#!/usr/bin/env python3
"""Makes tests/data/train/ops.txt and ops.bin: what PyTorch's autograd computes, in double precision, of the operations of
src/train/ops.h.

    python tools/goldens/backward.py

ops.txt has a line for each array: case, name, and how many numbers; ops.bin the numbers, little-endian float32, one array
behind the other. Inputs are drawn from a fixed seed and rounded to float32 first.
"""
from pathlib import Path

import numpy as np
import torch

OUT = Path(__file__).resolve().parent.parent.parent / "tests/data/train"
rng = np.random.default_rng(1)
lines, data = [], []


def draw(*shape, by=1.0):
    return torch.tensor((rng.standard_normal(shape) * by).astype(np.float32), dtype=torch.float64, requires_grad=True)


def put(case, **arrays):
    for name, x in arrays.items():
        x = x.detach().numpy() if torch.is_tensor(x) else np.asarray(x)
        lines.append(f"{case} {name} {x.size}")
        data.append(np.ascontiguousarray(x).astype("<f4").tobytes())


def norms():
    for case, mean in (("rms", False), ("layer", True)):
        x, w, b, dy = draw(5, 32), draw(32), draw(32), draw(5, 32)
        v = x - x.mean(-1, keepdim=True) if mean else x
        y = v / torch.sqrt((v * v).mean(-1, keepdim=True) + 1e-5) * w
        if mean:
            y = y + b
        y.backward(dy)
        put(case, x=x, w=w, b=b, dy=dy, y=y, dx=x.grad, dw=w.grad, db=b.grad if mean else np.zeros(32))


def linear():
    rows, cols, out, rank, scale = 6, 64, 40, 4, 0.5
    codes = rng.integers(-127, 128, (out, cols))
    codes[:, ::32] = 127  # so that Q8_0 holds it as it is
    w = torch.tensor(codes / 512.0, dtype=torch.float64)
    x, bias, a, b, dy = draw(rows, cols), draw(out), draw(rank, cols, by=0.2), draw(out, rank, by=0.2), draw(rows, out)
    y = x @ w.T + bias + scale * (x @ a.T @ b.T)
    y.backward(dy)
    put("linear", w=w, x=x, bias=bias, a=a, b=b, dy=dy, y=y, dx=x.grad, da=a.grad, db=b.grad)


def rope():
    rows, heads, dim, turned = 5, 3, 12, 8
    angle = torch.tensor(rng.uniform(-3, 3, (rows, turned // 2)))
    table = torch.stack((torch.cos(angle), torch.sin(angle)), -1)
    table = torch.tensor(table.numpy().astype(np.float32), dtype=torch.float64)
    for case, neighbours in (("halves", False), ("neighbours", True)):
        x, dy = draw(rows, heads, dim), draw(rows, heads, dim)
        part, rest = x[..., :turned], x[..., turned:]
        one, two = (part[..., ::2], part[..., 1::2]) if neighbours else part.chunk(2, -1)
        c, s = table[:, None, :, 0], table[:, None, :, 1]
        first, second = one * c - two * s, two * c + one * s
        y = torch.stack((first, second), -1).flatten(-2) if neighbours else torch.cat((first, second), -1)
        y = torch.cat((y, rest), -1)
        y.backward(dy)
        put(case, angles=table, x=x, dy=dy, y=y, dx=x.grad)


def attention():
    rows, heads, kv, dim, scale = 9, 4, 2, 8, 8 ** -0.5
    for case, window in (("attention", 0), ("window", 3)):
        q, k, v, dy = draw(rows, heads, dim), draw(rows, kv, dim), draw(rows, kv, dim), draw(rows, heads, dim)
        each = heads // kv
        scores = torch.einsum("thd,shd->hts", q, k.repeat_interleave(each, 1)) * scale
        t, s = torch.arange(rows)[:, None], torch.arange(rows)[None]
        seen = (s <= t) & ((t - s < window) if window else (s == s))
        weights = torch.softmax(scores.masked_fill(~seen, -torch.inf), -1)
        y = torch.einsum("hts,shd->thd", weights, v.repeat_interleave(each, 1))
        y.backward(dy)
        put(case, q=q, k=k, v=v, dy=dy, y=y, dq=q.grad, dk=k.grad, dv=v.grad)


def units():
    f = torch.nn.functional
    of = {"gelu": f.gelu, "gelu_tanh": lambda x: f.gelu(x, approximate="tanh"), "silu": f.silu, "relu": f.relu,
          "relu2": lambda x: f.relu(x) ** 2}
    for case, unit in of.items():
        x, dy = draw(64, by=2.0), draw(64)
        y = unit(x)
        y.backward(dy)
        gate, up = draw(64, by=2.0), draw(64)
        gated = unit(gate) * up
        gated.backward(dy)
        put(case, x=x, dy=dy, y=y, dx=x.grad, gate=gate, up=up, gated=gated, dgate=gate.grad, dup=up.grad)


def ends():
    rows, vocab, dim = 6, 24, 16
    ids = rng.integers(0, 7, rows)
    table, dy = draw(vocab, dim), draw(rows, dim)
    y = table[torch.tensor(ids)]
    y.backward(dy)
    put("embed", ids=ids, table=table, dy=dy, y=y, dtable=table.grad)
    logits, target = draw(rows, vocab, by=3.0), rng.integers(0, vocab, rows)
    weight = np.array([0, 1, 1, 0, 0.5, 1], dtype=np.float32)
    each = torch.nn.functional.cross_entropy(logits, torch.tensor(target), reduction="none")
    loss = (each * torch.tensor(weight)).sum()
    (loss * 0.25).backward()
    put("loss", logits=logits, target=target, weight=weight, loss=[loss.item()], dlogits=logits.grad)


def main():
    norms()
    linear()
    rope()
    attention()
    units()
    ends()
    OUT.mkdir(exist_ok=True)
    (OUT / "ops.txt").write_text("\n".join(lines) + "\n")
    (OUT / "ops.bin").write_bytes(b"".join(data))
    print(f"{len(lines)} arrays, {sum(map(len, data))} bytes")


if __name__ == "__main__":
    main()
