#!/usr/bin/env python3
"""Trains the poet: tokenizer, then a small Falcon (7B's kind: one K/V head, attention and MLP side by side).

The clock, not a step count, drives the learning rate: the run ends after --minutes of training however busy the
machine is, with the rate at zero. Each core is a worker of its own that meets the others once a step: on a busy
machine threads would wait for one another at every product. Stop it and start it again with the same --out and it goes on from the last
checkpoint. The result is a Hugging Face folder, OUT/hf, that export.py turns into GGUF. With --device cuda one process trains on a
card and the others draw samples for it (card.py); the same clock, the same model, the same steps.
"""
import argparse
import datetime
import json
import math
import os
import time
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
import torch.nn as nn
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

import data

HERE = Path(__file__).resolve().parent
REPO = HERE.parent.parent

CHAT_TEMPLATE = (
    "{%- set ns = namespace(system='') -%}"
    "{%- for message in messages -%}"
    "{%- if message['role'] == 'system' -%}"
    "{%- set ns.system = message['content'] + '\\n' -%}"
    "{%- elif message['role'] == 'user' -%}"
    "{{- '<|user|>\\n' + ns.system + message['content'] + '<|end|>\\n' -}}"
    "{%- set ns.system = '' -%}"
    "{%- elif message['role'] == 'assistant' -%}"
    "{{- '<|assistant|>\\n' + message['content'] + '<|end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)


class Block(nn.Module):
    """y = x + attention(norm x) + mlp(norm x): both read the same norm, so their first products are one product."""

    def __init__(self, dim, head, layers):
        super().__init__()
        self.head = head
        self.norm = nn.LayerNorm(dim)
        self.qkv = nn.Parameter(torch.randn(dim + 2 * head, dim) * dim ** -0.5 * 0.5)
        self.up = nn.Parameter(torch.randn(4 * dim, dim) * dim ** -0.5 * 0.5)
        out = dim ** -0.5 * 0.5 / math.sqrt(2 * layers)
        self.dense = nn.Parameter(torch.randn(dim, dim) * out)
        self.down = nn.Parameter(torch.randn(dim, 4 * dim) * out * 0.5)

    def forward(self, x, cos, sin):
        b, t, d = x.shape
        h, heads = self.head, d // self.head
        qkv, up = F.linear(self.norm(x), torch.cat((self.qkv, self.up))).split([d + 2 * h, 4 * d], -1)
        qkv = qkv.view(b, t, heads + 2, h)
        qk, v = qkv[:, :, :-1], qkv[:, :, -1:]
        first, second = qk.chunk(2, -1)
        qk = (qk * cos + torch.cat((-second, first), -1) * sin).to(v.dtype)
        q = qk[:, :, :-1].transpose(1, 2)
        k = qk[:, :, -1:].transpose(1, 2).expand(b, heads, t, h)
        v = v.transpose(1, 2).expand(b, heads, t, h)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, d)
        return x + F.linear(a, self.dense) + F.linear(F.gelu(up), self.down)


class Poet(nn.Module):
    def __init__(self, vocab, dim, layers, head):
        super().__init__()
        self.vocab, self.dim, self.layers, self.head = vocab, dim, layers, head
        self.embed = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(dim, head, layers) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, ids, labels, layer=Block.__call__, end=None):
        """-> summed loss over labels that are not -100; layer and end are what computes a block and the loss, if compiled apart"""
        t, device = ids.shape[1], ids.device
        angle = torch.outer(torch.arange(t, device=device).float(),
                            1e4 ** (-torch.arange(0, self.head, 2, device=device) / self.head))
        angle = torch.cat((angle, angle), -1)[None, :, None]
        cos, sin = angle.cos(), angle.sin()
        if device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            cos, sin = cos.bfloat16(), sin.bfloat16()
        x = self.embed(ids)
        for block in self.blocks:
            x = layer(block, x, cos, sin)
        return (end or self.end)(self.norm, self.embed.weight, x, labels)

    @staticmethod
    def end(norm, embed, x, labels):
        logits = F.linear(norm(x), embed)
        return F.cross_entropy(logits.view(-1, len(embed)).float(), labels.view(-1), ignore_index=-100, reduction="sum")

    def huggingface(self):
        """The weights under transformers' FalconForCausalLM names."""
        out = {"transformer.word_embeddings.weight": self.embed.weight,
               "transformer.ln_f.weight": self.norm.weight, "transformer.ln_f.bias": self.norm.bias}
        for i, b in enumerate(self.blocks):
            h = f"transformer.h.{i}."
            out[h + "input_layernorm.weight"], out[h + "input_layernorm.bias"] = b.norm.weight, b.norm.bias
            out[h + "self_attention.query_key_value.weight"] = b.qkv
            out[h + "self_attention.dense.weight"] = b.dense
            out[h + "mlp.dense_h_to_4h.weight"], out[h + "mlp.dense_4h_to_h.weight"] = b.up, b.down
        return {k: v.detach().float().contiguous().clone() for k, v in out.items()}


class Muon:
    """Momentum whose matrix steps are made orthogonal (Keller Jordan's Muon): at this size it needs far fewer tokens
    than AdamW. Equal shapes are stacked, so a step is a handful of batched products."""

    def __init__(self, model, momentum=0.95, decay=0.05):
        self.momentum, self.decay = momentum, decay
        d, h = model.dim, model.head
        groups = {}
        for b in model.blocks:                              # q, k and v are different maps: orthogonal each by itself
            for name, p, rows in (("q", b.qkv, slice(0, d)), ("k", b.qkv, slice(d, d + h)),
                                  ("v", b.qkv, slice(d + h, d + 2 * h)), ("up", b.up, slice(None)),
                                  ("dense", b.dense, slice(None)), ("down", b.down, slice(None))):
                groups.setdefault("kv" if name in "kv" else "qo" if name in ("q", "dense") else name, []).append((p, rows))
        self.groups = groups
        self.buffers = {k: torch.zeros(len(g), *g[0][0][g[0][1]].shape, device=g[0][0].device) for k, g in groups.items()}

    @torch.no_grad()
    def step(self, lr):
        for key, group in self.groups.items():
            grad = torch.stack([p.grad[rows] for p, rows in group])
            buf = self.buffers[key]
            buf.lerp_(grad, 1 - self.momentum)
            x = grad.lerp(buf, self.momentum).bfloat16()    # Nesterov
            tall = x.shape[-2] > x.shape[-1]
            x = x.mT if tall else x
            x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
            for _ in range(5):                              # Newton-Schulz: singular values towards 1
                a = x @ x.mT
                x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
            x = (x.mT if tall else x).float()
            scale = max(1.0, x.shape[-2] / x.shape[-1]) ** 0.5
            views = [p[rows] for p, rows in group]
            torch._foreach_mul_(views, 1 - lr * self.decay)
            torch._foreach_add_(views, list(x.unbind()), alpha=-lr * scale)


def train_tokenizer(poems, vocab):
    """Byte-level BPE with GPT-2's splitting ("gpt-2" in GGUF); all 256 bytes are in it, so any text can be asked."""
    tok = Tokenizer(models.BPE())
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=vocab, special_tokens=data.SPECIALS, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator((text for _, text in poems), trainer)
    return tok


def optimizers(model, args):
    """-> Muon for the matrices of blocks, AdamW for the embedding and the norms, and the parameters that AdamW has"""
    muon = Muon(model, decay=args.matrix_decay)
    matrices = {id(p) for g in muon.groups.values() for p, _ in g}
    rest = [p for p in model.parameters() if id(p) not in matrices]
    adam = torch.optim.AdamW([{"params": [p for p in rest if p.ndim > 1], "weight_decay": 0.1},
                              {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0}],
                             lr=args.lr, betas=(0.9, 0.95), fused=args.device != "cpu" or None)
    return muon, adam, rest


def batch(sampler, encode, rows, size):
    ids, labels = [], []
    for _ in range(rows):
        i, t = data.window(sampler, encode, size)
        ids.append(i[:-1])
        labels.append([x if y else -100 for x, y in zip(i[1:], t[1:])])
    return torch.tensor(ids), torch.tensor(labels)


def held_out_rows(held, tok, size=256):
    """Each held-out poem as the chat asks for it, subject = title; -> ids, labels, bytes of verse scored.
    The heading is given like the request: only the poem's own text counts."""
    ids, labels, n_bytes = [], [], 0
    for title, text in held:
        a = tok.encode(f"{data.USER}\nWrite a poem about {title}{data.END}\n{data.ASSISTANT}\n"
                       f"{data.heading(title)}\n\n").ids
        b = tok.encode(text + data.END).ids[:size + 1 - len(a)]
        n_bytes += len(tok.decode(b).encode())              # decode drops <|end|>
        row, lab = a + b, [-100] * len(a) + b
        pad = size + 1 - len(row)
        ids.append((row + [0] * pad)[:-1])
        labels.append((lab + [-100] * pad)[1:])
    return torch.tensor(ids), torch.tensor(labels), n_bytes


@torch.no_grad()
def evaluate(model, ids, labels, n_bytes, bf16):
    total = 0.0
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=bf16):
        for i in range(0, len(ids), 32):
            total += model(ids[i:i + 32], labels[i:i + 32]).item()
    n = (labels != -100).sum().item()
    return {"nats_per_token": total / n, "perplexity": math.exp(total / n), "bits_per_byte": total / math.log(2) / n_bytes,
            "tokens": n, "bytes": n_bytes}


def save_safetensors(tensors, path, half):
    """The format by hand, so that nothing but PyTorch is needed: a length, a JSON header, the numbers. half: matrices as F16."""
    header, blobs, at = {"__metadata__": {"format": "pt"}}, [], 0
    for name, t in tensors.items():
        a = t.cpu().numpy().astype(np.float16 if half and t.ndim > 1 else np.float32)
        header[name] = {"dtype": "F16" if a.itemsize == 2 else "F32", "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        blobs.append(a.tobytes())
        at += a.nbytes
    head = json.dumps(header).encode()
    head += b" " * (-len(head) % 8)
    part = path.with_name(path.name + ".part")
    part.write_bytes(len(head).to_bytes(8, "little") + head + b"".join(blobs))
    part.replace(path)


def save_huggingface(model, tok, out, context, half=False):
    out.mkdir(parents=True, exist_ok=True)
    save_safetensors(model.huggingface(), out / "model.safetensors", half)
    tok.save(str(out / "tokenizer.json"))
    end, bos = tok.token_to_id(data.END), tok.token_to_id(data.TEXT)

    def dump(name, value):
        (out / name).write_text(json.dumps(value, indent=2) + "\n")

    dump("config.json", {
        "architectures": ["FalconForCausalLM"], "model_type": "falcon", "vocab_size": model.vocab,
        "hidden_size": model.dim, "num_hidden_layers": model.layers, "num_attention_heads": model.dim // model.head,
        "ffn_hidden_size": 4 * model.dim, "multi_query": True, "parallel_attn": True, "new_decoder_architecture": False,
        "bias": False, "alibi": False, "activation": "gelu", "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True,
        "rope_theta": 10000.0, "max_position_embeddings": context, "bos_token_id": bos, "eos_token_id": end,
        "attention_dropout": 0.0, "hidden_dropout": 0.0, "initializer_range": 0.02, "torch_dtype": "float32"})
    dump("tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": data.TEXT, "eos_token": data.END,
        "pad_token": data.TEXT, "add_bos_token": False, "clean_up_tokenization_spaces": False,
        "model_max_length": context, "chat_template": CHAT_TEMPLATE})
    dump("generation_config.json", {"bos_token_id": bos, "eos_token_id": end, "pad_token_id": bos, "do_sample": True,
                                    "temperature": 0.7, "top_p": 0.95, "min_p": 0.05, "top_k": 0,
                                    "repetition_penalty": 1.1})


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--poems", type=Path, default=REPO / "../shared/data/poems.jsonl.gz", help="JSON lines: title, author, text")
    ap.add_argument("--more", type=Path, nargs="*", default=[], help="files like it, of which nothing is held out")
    ap.add_argument("--device", choices=("cpu", "cuda"), default="cpu", help="cuda: one card, and --workers processes that draw samples")
    ap.add_argument("--out", type=Path, required=True, help="folder for the tokenizer, checkpoints, log and hf/")
    ap.add_argument("--minutes", type=float, default=90, help="wall-clock length of training (default 90)")
    ap.add_argument("--vocab", type=int, default=4096)
    ap.add_argument("--dim", type=int, default=256)
    ap.add_argument("--layers", type=int, default=8)
    ap.add_argument("--head", type=int, default=64, help="size of an attention head")
    ap.add_argument("--tokens", type=int, default=8192, help="tokens in a step")
    ap.add_argument("--window", type=int, default=256, help="tokens in a row, until --long-from")
    ap.add_argument("--context", type=int, default=1024, help="tokens in a row after that; the model's context")
    ap.add_argument("--long-from", type=float, default=0.82, help="share of the time after which rows are --context long")
    ap.add_argument("--decay-from", type=float, default=0.5, help="share of the time after which the rate falls to zero")
    ap.add_argument("--matrix-lr", type=float, default=0.02, help="Muon, for matrices")
    ap.add_argument("--matrix-decay", type=float, default=0.05, help="Muon, share of a matrix that goes in a step of rate 1")
    ap.add_argument("--lr", type=float, default=0.003, help="AdamW, for the embedding and the norms")
    ap.add_argument("--workers", type=int, default=2, help="processes of one thread each; they split a step's rows")
    ap.add_argument("--seed", type=int, default=1)
    ap.add_argument("--save-every", type=float, default=10, help="minutes between checkpoints")
    ap.add_argument("--no-compile", action="store_true", help="plain PyTorch: no C++ compiler needed, a third slower")
    ap.add_argument("--fp32", action="store_true", help="for CPUs without bf16 products")
    ap.add_argument("--ask-every", type=float, default=0.25, help="minutes between held-out losses, on a card")
    ap.add_argument("--pool", type=int, default=2**29, help="tokens that a card keeps, of either width of rows")
    ap.add_argument("--stop-at", type=float, help="on a card: the second (of time.time()) at which the rate is zero at the latest")
    ap.add_argument("--half", action="store_true", help="write the folder's matrices as F16")
    args = ap.parse_args()

    torch.set_num_threads(1)                                # also keeps the fork below safe: no thread pool exists yet
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    log_file = open(args.out / "log.txt", "a", buffering=1)

    rank = 0

    def log(*what):
        if rank:
            return
        line = time.strftime("%H:%M:%S ") + " ".join(map(str, what))
        print(line, flush=True)
        print(line, file=log_file)

    train, held, sampler = data.prepare(args.poems, args.more, HERE / "names.txt", args.out / "prepared.pickle.bz2")
    log(len(train), "poems to train on,", len(held), "held out")
    tok_path = args.out / "tokenizer.json"
    if tok_path.exists():
        tok = Tokenizer.from_file(str(tok_path))
    else:
        tok = train_tokenizer(train, args.vocab)
        tok.save(str(tok_path))
    held_rows = held_out_rows(held, tok)
    log("held out:", held_rows[2] / (held_rows[1] != -100).sum().item(), "bytes a token")
    if args.device == "cuda":
        import card
        return card.train(args, sampler, tok, held_rows, log)

    for worker in range(1, args.workers):                   # after the data is read: it is shared, not read again
        if os.fork() == 0:
            rank = worker
            break
    if args.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{args.out.resolve()}/meet-{os.getppid() if rank else os.getpid()}",
                                rank=rank, world_size=args.workers, timeout=datetime.timedelta(minutes=20))
    model = Poet(args.vocab, args.dim, args.layers, args.head)
    log(sum(p.numel() for p in model.parameters()), "parameters")
    muon, adam, rest = optimizers(model, args)
    step, seen, elapsed = 0, 0, 0.0
    ckpt = args.out / "checkpoint.pt"
    if ckpt.exists():
        state = torch.load(ckpt, weights_only=False)
        model.load_state_dict(state["model"])
        adam.load_state_dict(state["adam"])
        muon.buffers = state["muon"]
        step, seen, elapsed = state["step"], state["seen"], state["elapsed"]
        log("resumed at step", step)
    sampler.rng.seed(f"{args.seed} {step} {rank}")          # every worker, and every resumption, draws afresh
    params, encode = list(model.parameters()), data.Encoder(tok)
    rows = args.tokens // args.workers
    forward = model if args.no_compile else torch.compile(model, dynamic=False)

    def save():
        torch.save({"model": model.state_dict(), "adam": adam.state_dict(), "muon": muon.buffers, "step": step,
                    "seen": seen, "elapsed": elapsed}, ckpt.with_suffix(".tmp"))
        os.replace(ckpt.with_suffix(".tmp"), ckpt)
        save_huggingface(model, tok, args.out / "hf", args.context, args.half)

    total = args.minutes * 60
    last, saved = time.time(), elapsed
    mean = None
    while True:
        clock = torch.tensor([elapsed])
        if args.workers > 1:
            dist.broadcast(clock, 0)                        # one clock, or the workers would part
        if clock.item() >= total:
            break
        part = clock.item() / total
        rate = min(1.0, (step + 1) / 40, (1 - part) / (1 - args.decay_from))
        size = args.window if part < args.long_from else args.context
        ids, labels = batch(sampler, encode, rows // size, size)
        count = (labels != -100).sum().item()
        with torch.autocast("cpu", torch.bfloat16, enabled=not args.fp32):
            loss = forward(ids, labels) / count
        loss.backward()
        if args.workers > 1:
            flat = torch.cat([p.grad.flatten() for p in params])
            dist.all_reduce(flat)
            flat /= args.workers
            for p, g in zip(params, flat.split([p.numel() for p in params])):
                p.grad = g.view_as(p)
        torch.nn.utils.clip_grad_norm_(rest, 1.0)           # Muon's steps have a size of their own
        for group in adam.param_groups:
            group["lr"] = args.lr * rate
        adam.step()
        muon.step(args.matrix_lr * rate)
        model.zero_grad()
        step, seen = step + 1, seen + rows * args.workers
        value = loss.item()
        mean = value if mean is None else mean + (value - mean) * max(0.02, 1 / step)
        now = time.time()
        if step % 20 == 0 or step < 5:
            log(f"step {step} {100 * part:.1f}% loss {mean:.4f} rate {rate:.3f} {rows * args.workers / (now - last):.0f} tok/s {seen / 1e6:.2f}M")
        elapsed, last = elapsed + now - last, now
        if rank == 0 and elapsed - saved > args.save_every * 60:
            saved = elapsed
            log("held out", json.dumps(evaluate(model, *held_rows, not args.fp32)))
            save()
    if rank:
        return
    result = evaluate(model, *held_rows, False)
    log("held out, at the end", json.dumps(result))
    save()
    (args.out / "hf" / "result.json").write_text(json.dumps(
        {"steps": step, "tokens_seen": seen, "minutes": elapsed / 60, "held_out": result}, indent=2) + "\n")


if __name__ == "__main__":
    main()
