#!/usr/bin/env python3
"""Makes tests/data/adapters: what PEFT computes with LoRA adapters of the small models of tests/data/models.

    python tools/goldens/adapters.py [NAME ...]     (all of CASES)

A case gets NAME.txt and NAME.bin, in the form of models.py: its adapter's config (adapter_config.json), the keys of the
GGUF form, the tensors of both, drawn from hashes, and the logits of the family's text. In GGUF the rows of a pair's second
matrix lie as the converter lays the rows of the model's own matrix, which the family's entry says.
"""
import sys

sys.path.pop(0)  # this folder: its scripts are named like the packages they ask

import json
import runpy
import types
from pathlib import Path

import torch
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
ALL_LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
CASES = {
    "llama": dict(r=4, lora_alpha=2, target_modules=ALL_LLAMA),
    "llama-patterns": dict(family="llama", r=4, lora_alpha=3, target_modules=ALL_LLAMA + ["lm_head"], use_rslora=True,
                           rank_pattern={"q_proj": 2, "layers.1.mlp.down_proj": 3},
                           alpha_pattern={r"layers\.\d+\.self_attn\.v_proj": 1.5, "o_proj": 2}, gguf=False),
    "qwen3": dict(r=2, lora_alpha=1, target_modules=["q_proj", "v_proj", "down_proj"]),
    "phi3": dict(r=4, lora_alpha=2, target_modules=["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
    "gpt-neox": dict(r=3, lora_alpha=2, target_modules=["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"]),
    "gpt2": dict(r=4, lora_alpha=2, target_modules=["c_attn", "c_proj", "c_fc"], fan_in_fan_out=True),
}
# Of experts PEFT has modules no more since transformers keeps them in one parameter: the adapter is of older ones' names,
# and what it adds is added to the weights.
MERGED = {"mixtral": dict(r=2, lora_alpha=1)}


def load_models():
    sys.path.insert(0, str(HERE))
    import models
    families = {}
    for name in ("model_families", "gemma_families", "expert_families", "state_families"):
        module = sys.modules[name] = types.SimpleNamespace(**runpy.run_path(str(HERE / f"{name}.py")))
        families |= module.FAMILIES
    return models, families


def put_gguf(m, f, spec, config, weight, a, b):
    """The pair of a weight under the weight's name in GGUF, b's rows as the weight's."""
    arch = next(k for k, n in m.gguf.MODEL_ARCH_NAMES.items() if n == spec.get("names", spec["arch"]))
    names = m.gguf.get_tensor_name_map(arch, config.num_hidden_layers)

    def usual(name):
        return names.get_name(name, try_suffixes=(".weight", ".bias"))

    rows = m.File("gguf")
    if spec.get("transposed") or "gguf" not in spec or not spec["gguf"](rows, config, weight, b, usual):
        rows.put(usual(weight), b.shape, [m.Piece(b, b.index())])
    for name, (shape, pieces, _) in rows.tensors.items():
        f.put(name + ".lora_a", a.shape, [m.Piece(a, a.index())])
        f.put(name + ".lora_b", shape, pieces)


def drawn_pair(m, module, rank, cols, rows, seed):
    a = m.Parameter(f"{module}.lora_A", (rank, cols), seed, {})
    b = m.Parameter(f"{module}.lora_B", (rows, rank), seed, {})
    return a, b


def write(m, out, name, case, spec, config, text, adapter, hf, gguf_file, logits):
    lines = [f"kind {spec['kind']}", f"vocab {m.VOCAB}", f"text {len(text)} {' '.join(map(str, text))}",
             f"config {json.dumps(adapter, sort_keys=True)}"]
    if gguf_file:
        lines += [m.key_line(k, v) for k, v in (("general.type", "adapter"), ("general.architecture", spec["arch"]),
                                                ("adapter.type", "lora"), ("adapter.lora.alpha", float(case["lora_alpha"])))]
    lines += hf.lines()
    lines += gguf_file.lines() if gguf_file else []
    (out / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (out / f"{name}.bin").write_bytes(logits.numpy().astype("<f4").tobytes())
    print(f"{name}: {len(hf.tensors)} tensors, logits {logits.min():.1f} .. {logits.max():.1f}", flush=True)


@torch.no_grad()
def make(m, out, name, case, families):
    from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
    case = dict(case)
    family, with_gguf = case.pop("family", name), case.pop("gguf", True)
    spec = families[family]
    model, config, _, text, *_ = m.build(family, spec)
    before = model(torch.tensor([text])).logits[0].clone()
    peft = get_peft_model(model, LoraConfig(**case)).eval()
    hf, gguf_file = m.File("hf"), m.File("gguf") if with_gguf else None
    state = get_peft_model_state_dict(peft, save_embedding_layers=False)
    own = dict(peft.named_parameters())
    for key in [k for k in state if k.endswith(".lora_A.weight")]:
        module = key.removesuffix(".lora_A.weight")
        shapes = state[key].shape, state[f"{module}.lora_B.weight"].shape
        a, b = drawn_pair(m, module, shapes[0][0], shapes[0][1], shapes[1][0], name)
        own[f"{module}.lora_A.default.weight"].copy_(torch.from_numpy(a.values()))
        own[f"{module}.lora_B.default.weight"].copy_(torch.from_numpy(b.values()))
        hf.put(key, a.shape, [m.Piece(a, a.index())])
        hf.put(f"{module}.lora_B.weight", b.shape, [m.Piece(b, b.index())])
        if with_gguf:
            put_gguf(m, gguf_file, spec, config, module.removeprefix("base_model.model.") + ".weight", a, b)
    assert len(state) == len(hf.tensors)
    logits = peft(torch.tensor([text])).logits[0]
    assert (logits - before).abs().max() > 0.1
    adapter = peft.peft_config["default"].to_dict()
    adapter["target_modules"] = sorted(adapter["target_modules"])
    adapter["peft_type"] = "LORA"
    write(m, out, name, case, spec, config, text, json.loads(json.dumps(adapter, default=str)), hf, gguf_file, logits)


@torch.no_grad()
def make_merged(m, out, name, case, families):
    spec = families[name]
    model, config, _, text, *_ = m.build(name, spec)
    rank, scale = case["r"], case["lora_alpha"] / case["r"]
    hf, gguf_file = m.File("hf"), m.File("gguf")
    arch_names = {"w1": "ffn_gate_exps", "w3": "ffn_up_exps", "w2": "ffn_down_exps"}
    wide, hidden, n = config.intermediate_size, config.hidden_size, config.num_local_experts
    for layer in range(config.num_hidden_layers):
        experts = model.model.layers[layer].mlp.experts
        for w, stacked in arch_names.items():
            cols, rows = (wide, hidden) if w == "w2" else (hidden, wide)
            pairs = []
            for e in range(n):
                module = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{e}.{w}"
                a, b = drawn_pair(m, module, rank, cols, rows, name)
                add = scale * torch.from_numpy(b.values()) @ torch.from_numpy(a.values())
                if w == "w2":
                    experts.down_proj[e] += add
                else:
                    experts.gate_up_proj[e][(0 if w == "w1" else wide):][:wide] += add
                hf.put(f"{module}.lora_A.weight", a.shape, [m.Piece(a, a.index())])
                hf.put(f"{module}.lora_B.weight", b.shape, [m.Piece(b, b.index())])
                pairs.append((a, b))
            gguf_file.put(f"blk.{layer}.{stacked}.weight.lora_a", (n, rank, cols), [m.Piece(a, a.index()) for a, _ in pairs])
            gguf_file.put(f"blk.{layer}.{stacked}.weight.lora_b", (n, rows, rank), [m.Piece(b, b.index()) for _, b in pairs])
    logits = model(torch.tensor([text])).logits[0]
    adapter = {"peft_type": "LORA", "r": rank, "lora_alpha": case["lora_alpha"], "target_modules": ["w1", "w2", "w3"],
               "bias": "none", "task_type": "CAUSAL_LM"}
    write(m, out, name, case, spec, config, text, adapter, hf, gguf_file, logits)


def main():
    m, families = load_models()
    out = HERE.parent.parent / "tests/data/adapters"
    out.mkdir(exist_ok=True)
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or list(CASES) + list(MERGED):
        if name in MERGED:
            make_merged(m, out, name, MERGED[name], families)
        else:
            make(m, out, name, CASES[name], families)


if __name__ == "__main__":
    main()
