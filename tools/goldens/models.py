#!/usr/bin/env python3
"""Makes tests/data/models: what transformers computes with a small random model of each family.

    python tools/goldens/models.py [NAME ...]     (all of *_families.py)

A family gets
    NAME.txt     how to make its weights, as a Hugging Face folder and as a GGUF file; a text; the greedy answer
    NAME.bin     little-endian float32 [text][vocab]: the logits of every position of the text

No weights are kept: element i of a parameter is center + k / 2^exponent, where k is a signed byte drawn from a hash of the
parameter's name and i. A test draws them again (tests/model/drawn.h). Each line "hf" or "gguf" says one tensor of a file:
its name and shape; the lines "from" below it say which elements of which parameters it holds, in order, as a view: an
offset and (count, stride) for each axis, the slowest first ("decay" in place of "from": minus e to the power of them;
"times M": multiplied; "unit N": each N of them divided by their length; "codes", with the hash of the scales and the least
of them: MXFP4 of the tensors called "hf4" and "gguf4", see packed_families.py). So what converters do (permute rows, cut fused
matrices, transpose, stack experts) is in the text file, and the names of the GGUF tensors are those of the gguf package.

The lines: "key KIND NAME VALUE" is metadata of the GGUF file (KIND in capitals: a list); "config JSON" is config.json;
"context N" is what a session has to ask for, where its length changes what is computed.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import math
import runpy
import types
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
VOCAB, CONTEXT, TEXT, PROMPT, GREEDY = 64, 256, 72, 12, 64
GAP, DISTINCT = 1.5e-3, 8  # least gap between the two best logits of a greedy step; least number of tokens used
MASK = (1 << 64) - 1


def fnv(text):
    h = 14695981039346656037
    for b in text.encode():
        h = (h ^ b) * 1099511628211 & MASK
    return h


def draw(h, n):
    """n signed bytes: the top ones of splitmix64's outputs from state h."""
    with np.errstate(over="ignore"):
        z = np.uint64(h) + (np.arange(n, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(56)).astype(np.uint8).astype(np.int8)


class Parameter:
    """One of the model's parameters, as drawn."""

    def __init__(self, name, shape, seed, spec):
        self.name, self.shape, self.hash = name, tuple(shape), fnv(f"{name}#{seed}")
        low = name.lower()
        is_norm = ("norm" in low or "ln_" in low) and len(shape) <= 2 and "bias" not in low
        self.center = spec.get("norm_center", 1) if is_norm else 0
        for part, center in spec.get("centers", {}).items():
            self.center = center if part in name else self.center
        if is_norm:
            want = 0.2
        elif len(shape) == 1:
            want = 0.15
        elif "embed" in low or "wte" in low or "wpe" in low or "lm_head" in low:
            want = 0.6 / spec.get("embed_scale", 1)
        else:
            columns = spec.get("transposed") and len(shape) == 2 or spec.get("columns") and len(shape) == 3
            cols = shape[-2] if columns else shape[-1]
            want = 1.3 / math.sqrt(cols)
        for part, factor in spec.get("wide", {}).items():
            want *= factor if part in name else 1
        self.exponent = round(math.log2(73.9 / want))

    def values(self):
        k = draw(self.hash, math.prod(self.shape)).astype(np.float32)
        return (np.float32(self.center) + k * np.float32(2.0 ** -self.exponent)).reshape(self.shape)

    def index(self):
        return np.arange(math.prod(self.shape)).reshape(self.shape)


def view(flat):
    """(count, stride) of each axis, slowest first, of a run of indices that some axes describe."""
    axes = []
    flat = np.asarray(flat).reshape(-1)
    while len(flat) > 1:
        n = len(flat)
        stride = int(flat[1] - flat[0])
        run = 1
        while run < n and flat[run] - flat[0] == run * stride:
            run += 1
        for count in range(run, 0, -1):
            if n % count:
                continue
            rows = flat.reshape(-1, count)
            if (rows - rows[:, :1] == np.arange(count) * stride).all():
                break
        assert count > 1, "no view describes this"
        axes.insert(0, (count, stride))
        flat = rows[:, 0]
    return axes or [(1, 0)]


class Piece:
    """Elements of one parameter; `plus` is added to each, or `how` done to it: "decay", "times M", or "unit N"."""

    def __init__(self, parameter, index, plus=0, how="from"):
        self.parameter, self.index, self.plus, self.how = parameter, index, plus, how

    def line(self):
        p, axes = self.parameter, view(self.index)
        where = " ".join(f"{n} {s}" for n, s in axes)
        return (f"{self.how} {p.hash:016x} {p.center + self.plus} {p.exponent} {int(self.index.reshape(-1)[0])} "
                f"{len(axes)} {where}")

    def values(self):
        return (self.parameter.values().reshape(-1) + np.float32(self.plus))[self.index]


class File:
    """What is written of one format: tensors as lists of pieces."""

    def __init__(self, kind):
        self.kind, self.tensors = kind, {}

    def put(self, name, shape, pieces, packed=False):
        assert name and name not in self.tensors, name
        assert math.prod(shape) == sum(p.index.size for p in pieces), name
        self.tensors[name] = (tuple(shape), pieces, "4" if packed else "")

    def lines(self):
        for name, (shape, pieces, packed) in self.tensors.items():
            yield f"{self.kind}{packed} {name} {len(shape)} {' '.join(map(str, shape))}"
            for p in pieces:
                yield p.line()


@torch.no_grad()
def greedy(model, prompt, cache=True):
    """Greedy tokens after the prompt, and the smallest gap between the two best logits on the way."""
    ids, gap, past = list(prompt), math.inf, None
    for _ in range(GREEDY):
        feed = ids if past is None else ids[-1:]
        out = model(torch.tensor([feed]), past_key_values=past, use_cache=cache)
        past = out.past_key_values if cache else None
        best = torch.topk(out.logits[0, -1], 2)
        gap = min(gap, (best.values[0] - best.values[1]).item())
        ids.append(best.indices[0].item())
    return ids[len(prompt):], gap


def parameters(model, seed, spec):
    """Draws every parameter, and puts it into the model."""
    drawn, tied = {}, model.config.tie_word_embeddings
    for name, p in model.state_dict().items():
        if tied and name == "lm_head.weight":
            continue
        drawn[name] = spec.get("parameter", Parameter)(name, p.shape, seed, spec)
        p.copy_(torch.from_numpy(drawn[name].values()))
    return drawn


@torch.no_grad()
def build(name, spec):
    """The model of the first seed whose greedy answer is well-posed and not dull."""
    for seed in range(1, 400):
        torch.manual_seed(0)
        model = spec["model"](spec["config"]()).float().eval()
        drawn = parameters(model, f"{name}.{seed}", spec)
        rng = np.random.default_rng(seed)
        text = [int(t) for t in rng.integers(0, VOCAB, TEXT)]
        run = spec.get("run", lambda m: m)(model)
        answer, gap = greedy(run, text[:PROMPT], spec.get("cache", True))
        clear = spec.get("clear", lambda m, ids: True)
        if gap > GAP and len(set(answer)) >= DISTINCT and all(
                clear(run, torch.tensor([ids])) for ids in (text, text[:PROMPT] + answer)):
            return run, model.config, drawn, text, answer, seed, gap
    sys.exit(f"{name}: no seed will do")


def as_hf(spec, drawn):
    f = File("hf")
    if "hf" in spec:
        spec["hf"](f, drawn)
        return f
    for name, p in drawn.items():
        f.put(name, p.shape, [Piece(p, p.index())])
    return f


def as_gguf(spec, config, drawn):
    f = File("gguf")
    arch = next(a for a, n in gguf.MODEL_ARCH_NAMES.items() if n == spec.get("names", spec["arch"]))
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)

    def usual(name):
        return names.get_name(name, try_suffixes=(".weight", ".bias"))

    for name, p in drawn.items():
        if "gguf" in spec and spec["gguf"](f, config, name, p, usual):
            continue
        f.put(usual(name), p.shape, [Piece(p, p.index())])
    return f


def key_line(name, value):
    if isinstance(value, bool):
        return f"key b {name} {int(value)}"
    if isinstance(value, str):
        return f"key s {name} {value}"
    if isinstance(value, list):
        return f"key {'B' if isinstance(value[0], bool) else 'I'} {name} {' '.join(str(int(v)) for v in value)}"
    return f"key {'u' if isinstance(value, int) else 'f'} {name} {value!r}"


def make(out, name, spec):
    model, config, drawn, text, answer, seed, gap = build(name, spec)
    with torch.no_grad():
        logits = model(torch.tensor([text])).logits[0].numpy().astype("<f4")
    raw = json.loads(config.to_json_string())
    raw = {k: v for k, v in raw.items() if k not in spec.get("drop", [])} | spec.get("add", {})
    if "nested" in spec:  # as in a model that sees
        raw = {"model_type": spec["nested"], "text_config": raw}
    keys = {"general.architecture": spec["arch"]} | {f"{spec['arch']}.{k}": v for k, v in spec["keys"](config).items()}
    lines = [f"kind {spec['kind']}", f"vocab {VOCAB}", f"text {TEXT} {' '.join(map(str, text))}", f"prompt {PROMPT}",
             f"greedy {GREEDY} {' '.join(map(str, answer))}"]
    lines += [f"context {spec['context']}"] if "context" in spec else []
    lines += [f"config {json.dumps(raw, sort_keys=True)}"]
    lines += [key_line(k, v) for k, v in keys.items()]
    lines += as_hf(spec, drawn).lines()
    lines += as_gguf(spec, config, drawn).lines()
    for tensor, values in spec.get("constants", lambda c: {})(config).items():
        lines.append(f"gguf {tensor} 1 {len(values)}")
        lines.append(f"given {len(values)} " + " ".join(float(np.float32(v)).hex() for v in values))
    (out / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (out / f"{name}.bin").write_bytes(logits.tobytes())
    print(f"{name}: seed {seed}, smallest gap {gap:.4f}, {len(set(answer))} different tokens, "
          f"logits {logits.min():.1f} .. {logits.max():.1f}", flush=True)


def main():
    families = {}
    for name in ("model_families", "gemma_families", "expert_families", "state_families", "packed_families"):
        module = sys.modules[name] = types.SimpleNamespace(**runpy.run_path(str(HERE / f"{name}.py")))
        families |= module.FAMILIES
    out = HERE.parent.parent / "tests/data/models"
    out.mkdir(exist_ok=True)
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or families:
        make(out, name, families[name])


if __name__ == "__main__":
    sys.modules["models"] = sys.modules["__main__"]
    main()
