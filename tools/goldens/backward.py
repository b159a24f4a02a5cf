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


def head_norms():
    rows, heads, dim = 5, 4, 8
    x, w, dy = draw(rows, heads, dim), draw(heads, dim), draw(rows, heads, dim)
    y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-5) * w
    y.backward(dy)
    put("heads", x=x, w=w, dy=dy, y=y, dx=x.grad, dw=w.grad)


def bf16(x):
    return x.float().bfloat16().double()


def more_attention():
    """Scores with a cap, with biases by position, with sinks, in chunks."""
    rows, heads, kv, dim, scale, cap, chunk = 9, 4, 2, 8, 8 ** -0.5, 1.5, 4
    slopes = torch.tensor([0.5, 0.25, 0.125, 0.0625], dtype=torch.float64)
    for case in ("capped", "alibi", "rounded", "sinks", "chunks"):
        q, k, v, dy = draw(rows, heads, dim), draw(rows, kv, dim), draw(rows, kv, dim), draw(rows, heads, dim)
        sinks = draw(heads)
        each = heads // kv
        scores = torch.einsum("thd,shd->hts", q, k.repeat_interleave(each, 1))
        t, s = torch.arange(rows)[:, None], torch.arange(rows)[None]
        if case in ("alibi", "rounded"):
            bias = slopes[:, None, None] * s
            scores = scores + (bf16(bias) if case == "rounded" else bias)
        scores = scores * scale
        if case == "capped":
            scores = cap * torch.tanh(scores / cap)
        seen = (s <= t) & (t // chunk == s // chunk if case == "chunks" else s == s)
        scores = scores.masked_fill(~seen, -torch.inf)
        if case == "sinks":
            scores = torch.cat((scores, sinks[:, None, None].expand(-1, rows, 1)), -1)
        weights = torch.softmax(scores, -1)[..., :rows]
        y = torch.einsum("hts,shd->thd", weights, v.repeat_interleave(each, 1))
        y.backward(dy)
        put(case, q=q, k=k, v=v, dy=dy, sinks=sinks, slopes=slopes, y=y, dq=q.grad, dk=k.grad, dv=v.grad)


def bounds():
    for case, unit in {"sigmoid": torch.sigmoid, "tanh": torch.tanh}.items():
        x, dy = draw(64, by=2.0), draw(64)
        y = unit(x)
        y.backward(dy)
        gate, up = draw(64, by=2.0), draw(64)
        gated = unit(gate) * up
        gated.backward(dy)
        put(case, x=x, dy=dy, y=y, dx=x.grad, gate=gate, up=up, gated=gated, dgate=gate.grad, dup=up.grad)
    limit, alpha = 1.5, 1.702
    gate, up, dy = draw(64, by=2.0), draw(64, by=2.0), draw(64)
    g, u = gate.clamp(max=limit), up.clamp(-limit, limit)
    y = (u + 1) * g * torch.sigmoid(alpha * g)
    y.backward(dy)
    put("bounded", gate=gate, up=up, dy=dy, y=y, dgate=gate.grad, dup=up.grad)
    x, dy = draw(64, by=2.0), draw(64)
    y = 1.5 * torch.tanh(x / 1.5)
    y.backward(dy)
    put("cap", x=x, dy=dy, y=y, dx=x.grad)
    x, dy = draw(64, by=2.0), draw(64)
    y = x.clamp(-1.5, 1.5)
    y.backward(dy)
    put("clamp", x=x, dy=dy, y=y, dx=x.grad)
    x, w, bias, dy = draw(3, 20), draw(10, 20), draw(10), draw(3, 10)
    y = 0.3 * (x @ w.T + bias)
    y.backward(dy)
    put("by", x=x, w=w, bias=bias, dy=dy, y=y, dx=x.grad)


def routes():
    """What chosen experts count, by the logits: of groups the two best where there are some."""
    rows, experts, used = 7, 8, 3
    cases = {"soft": ("softmax", False, 1), "normed": ("softmax", True, 1), "chosen": ("chosen", False, 1),
             "sigmoid": ("sigmoid", True, 4)}
    for case, (score, normed, groups) in cases.items():
        logits, dweight, shift = draw(rows, experts), draw(rows, used), draw(experts)
        scores = {"softmax": lambda x: x.softmax(-1), "sigmoid": torch.sigmoid, "chosen": lambda x: x}[score](logits)
        worth = (scores + shift).detach() if groups > 1 else scores.detach()
        if groups > 1:
            of_group = worth.view(rows, groups, -1).topk(2, -1).values.sum(-1)
            kept = torch.zeros(rows, groups).scatter_(1, of_group.topk(2, -1).indices, 1).bool()
            worth = worth.masked_fill(~kept.repeat_interleave(experts // groups, 1), -torch.inf)
        expert = worth.topk(used, -1).indices
        weight = scores.gather(1, expert)
        if score == "chosen":
            weight = weight.softmax(-1)
        if normed:
            weight = weight / weight.sum(-1, keepdim=True)
        weight = weight * 1.5
        weight.backward(dweight)
        put("route-" + case, logits=logits, dweight=dweight, shift=shift, expert=expert, weight=weight, dlogits=logits.grad)


def recurrences():
    """Convolutions and linear recurrences of each kind; decays are told as they are used, a <= 0."""
    rows, channels, taps = 40, 6, 4
    x, w, bias, dy = draw(rows, channels), draw(taps, channels), draw(channels), draw(rows, channels)
    padded = torch.cat((torch.zeros(taps - 1, channels, dtype=torch.float64), x))
    y = bias + sum(w[j] * padded[j:j + rows] for j in range(taps))
    y.backward(dy)
    put("conv", x=x, w=w, bias=bias, dy=dy, y=y, dx=x.grad, dw=w.grad, dbias=bias.grad)
    for case, heads, dim, size, groups in (("channels", 1, 70, 3, 1), ("states", 4, 5, 3, 2), ("delta", 4, 5, 3, 2)):
        inner, each = heads * dim, case == "channels"
        x, key, query, dy = draw(rows, inner), draw(rows, groups, size), draw(rows, groups, size), draw(rows, inner)
        key_by = key / key.norm(dim=-1, keepdim=True) if case == "delta" else key
        key = key_by.detach().float().double().requires_grad_()
        dt, dt_bias, beta = draw(rows, inner if each else heads), draw(inner if each else heads), draw(rows, heads)
        rates = -rng.uniform(0.05, 1.5, (size, inner) if each else heads).astype(np.float32)
        a = torch.tensor(rates, dtype=torch.float64, requires_grad=True)
        skip = draw(inner if each else heads)
        step = torch.nn.functional.softplus(0.8 * dt + dt_bias)
        if case == "states":
            step = step.clamp(0.2, 1.2)
        state, out = torch.zeros(size, inner, dtype=torch.float64), []
        of_head = torch.arange(inner) // dim
        group = of_head // (heads // groups)
        for t in range(rows):
            k, q = key[t][group].T, query[t][group].T  # [size][inner]
            s = step[t] if each else step[t][of_head]
            state = state * torch.exp(s * (a if each else a[of_head]))
            if case == "delta":
                state = state + k * (torch.sigmoid(beta[t])[of_head] * (x[t] - (k * state).sum(0)))
            else:
                state = state + k * (s * x[t])
            y = (q * state).sum(0)
            out.append(y if case == "delta" else y + (skip if each else skip[of_head]) * x[t])
        y = torch.stack(out)
        y.backward(dy)
        put(case, x=x, key=key, query=query, dt=dt, dt_bias=dt_bias, beta=beta, a=a, skip=skip, dy=dy, y=y, dx=x.grad,
            dkey=key.grad, dquery=query.grad, ddt=dt.grad, da=a.grad, ddt_bias=dt_bias.grad,
            dskip=np.zeros(skip.numel()) if case == "delta" else skip.grad,
            dbeta=beta.grad if case == "delta" else np.zeros((rows, heads)))


def muon():
    """Three steps of torch.optim.Muon, with match_rms_adamw, in double precision where that has bfloat16."""
    for case, shape in (("muon-wide", (3, 10)), ("muon-tall", (10, 3))):
        w, mean = draw(*shape).detach(), torch.zeros(shape, dtype=torch.float64)
        before, gradients = w.clone(), [draw(*shape).detach() for _ in range(3)]
        for g in gradients:
            mean = mean.lerp(g, 1 - 0.95)
            x = g.lerp(mean, 0.95)
            x = (x.T if shape[0] > shape[1] else x) / x.norm().clamp(min=1e-7)
            for _ in range(5):
                a = x @ x.T
                x = 3.4445 * x + (-4.775 * a + 2.0315 * a @ a) @ x
            x = x.T if shape[0] > shape[1] else x
            w = w * (1 - 0.1 * 0.01) - 0.1 * 0.2 * max(shape) ** 0.5 * x
        put(case, before=before, gradients=torch.stack(gradients), after=w)


def each_recurrence():
    """A gated delta rule whose key's elements decay by themselves."""
    rows, heads, dim, size = 40, 4, 5, 3
    inner, of_head = heads * dim, torch.arange(heads * dim) // dim
    x, key, query, dy = draw(rows, inner), draw(rows, heads, size), draw(rows, heads, size), draw(rows, inner)
    key = (key / key.norm(dim=-1, keepdim=True)).detach().float().double().requires_grad_()
    dt, dt_bias, beta = draw(rows, heads, size), draw(heads, size), draw(rows, heads)
    a = torch.tensor(-rng.uniform(0.05, 1.5, heads).astype(np.float32), dtype=torch.float64, requires_grad=True)
    keep = torch.exp(torch.nn.functional.softplus(0.8 * dt + dt_bias) * a[:, None])
    state, out = torch.zeros(size, inner, dtype=torch.float64), []
    for t in range(rows):
        k, q = key[t][of_head].T, query[t][of_head].T
        state = state * keep[t][of_head].T
        state = state + k * (torch.sigmoid(beta[t])[of_head] * (x[t] - (k * state).sum(0)))
        out.append((q * state).sum(0))
    y = torch.stack(out)
    y.backward(dy)
    put("each", x=x, key=key, query=query, dt=dt, dt_bias=dt_bias, beta=beta, a=a, dy=dy, y=y, dx=x.grad, dkey=key.grad,
        dquery=query.grad, ddt=dt.grad, da=a.grad, ddt_bias=dt_bias.grad, dskip=np.zeros(heads * size), dbeta=beta.grad)


def chosen():
    """Attention to the positions of the highest scores of an indexer, which has no gradient; of equal ones the earlier."""
    rows, heads, dim, most, small, wide = 70, 4, 8, 11, 3, 6
    q, k, v, dy = draw(rows, heads, dim), draw(rows, 1, dim), draw(rows, 1, dim), draw(rows, heads, dim)
    index_q, index_key, weight = draw(rows, small, wide), draw(rows, wide), draw(rows, small)
    with torch.no_grad():
        index_key[20:30] = index_key[5]
        scores = torch.relu(torch.einsum("thd,sd->ths", index_q, index_key) * wide ** -0.5)
        scores = torch.einsum("ths,th->ts", scores, weight)
    seen = torch.zeros(rows, rows, dtype=torch.bool)
    for t in range(rows):
        seen[t, sorted(range(t + 1), key=lambda s: (-round(scores[t, s].item(), 9), s))[:most]] = True
    weights = torch.softmax((torch.einsum("thd,shd->hts", q, k.expand(-1, heads, -1)) * dim ** -0.5).masked_fill(
        ~seen, -torch.inf), -1)
    y = torch.einsum("hts,shd->thd", weights, v.expand(-1, heads, -1))
    y.backward(dy)
    put("chosen", q=q, k=k, v=v, dy=dy, y=y, dq=q.grad, dk=k.grad, dv=v.grad, index_q=index_q, index_key=index_key,
        weight=weight, seen=seen.float())


def main():
    norms()
    linear()
    rope()
    attention()
    units()
    ends()
    head_norms()
    more_attention()
    bounds()
    routes()
    muon()
    recurrences()
    each_recurrence()
    chosen()
    OUT.mkdir(exist_ok=True)
    (OUT / "ops.txt").write_text("\n".join(lines) + "\n")
    (OUT / "ops.bin").write_bytes(b"".join(data))
    print(f"{len(lines)} arrays, {sum(map(len, data))} bytes")


if __name__ == "__main__":
    main()
