#!/usr/bin/env python3
"""Makes tests/data/config/keys.txt: what the configuration classes of transformers have for keys, and what each key does.

    python tools/goldens/config_keys.py [--gyr build/gyr] [NAME ...]

For each family of tests/data/models that has a class in transformers, its small model is given the family's config with
one key away from what it was, and asked for the logits of the last position of a text. Lines:

    class TYPE           the lines below are of this model_type
    field NAME DEFAULT   a key of the class, and what it is where a config leaves it out (JSON)
    model NAME           the lines below change the config of tests/data/models/NAME.txt
    set NAME VALUE X...  a key with another value (JSON), and the first logits then
    drop NAME X...       a key left out
    also NAME VALUE      a key that the next line changes too: so that the default that it leaves out is another value

Changes that need weights of another shape, or that transformers refuses, are not in the file. With --gyr all of them, those
of shapes too, are given to gyr as folders, what differs is told, and nothing is written.
"""
import sys

sys.path.pop(0)

import dataclasses
import fcntl
import json
import math
import runpy
import subprocess
import tempfile
import types
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parent.parent / "tests/data"
models = sys.modules["models"] = types.SimpleNamespace(**runpy.run_path(str(HERE / "models.py"), run_name="models"))

import numpy as np
import torch
import transformers
from safetensors.numpy import save_file
from transformers.utils import logging

TEXT, SHOWN, CLOSE = 24, 6, 2e-4
MODULES = ("model_families", "gemma_families", "expert_families", "state_families")
NAMES = """llama mistral qwen2 qwen3 phi3 granite olmo2 olmo3 exaone4 glm glm4 seed-oss smollm3 ernie4.5 gemma gemma2 gemma3
gemma4-e2b gemma4-unified gpt2 gpt-neox phi2 stablelm starcoder2 nemotron command-r cohere2 mixtral granite-moe
granite-moe-shared qwen2-moe qwen3-moe olmoe glm4.5 gpt-oss llama4 deepseek-v3 deepseek-v2 deepseek-v3.2 glm5 falcon-mamba
mamba mamba2 falcon-h1 qwen3-next qwen3.5 qwen3.5-moe kimi-linear""".split()

# Keys that say nothing of the model, or name what is trained and stored.
SKIPPED = set("""transformers_version architectures output_hidden_states return_dict dtype chunk_size_feed_forward
is_encoder_decoder id2label label2id problem_type output_attentions model_type _name_or_path vocab_size bos_token_id
eos_token_id pad_token_id quantization_config initializer_range tie_word_embeddings""".split())

# Values for keys that are null, or where the usual change would say nothing.
OTHER = {
    "sliding_window": 5, "head_dim": 16, "num_key_value_heads": 1, "clip_qkv": 0.3, "attn_logit_softcapping": 2.0,
    "final_logit_softcapping": 2.0, "num_ln_in_parallel_attn": 1, "n_inner": 64, "hidden_act": "gelu",
    "hidden_activation": "gelu", "activation_function": "gelu", "num_attention_heads": 2, "hidden_size": 64, "n_embd": 64,
    "num_hidden_layers": 3, "n_layer": 3, "n_head": 2, "max_window_layers": 1, "topk_method": "group_limited_greedy",
    "time_step_limit": [0.3, 0.9], "use_bidirectional_attention": True, "num_experts_per_tok": 1, "top_k_experts": 1,
    "no_rope_layer_interval": 2, "sliding_window_pattern": 2, "mlp_multipliers": [0.5, 2.0], "ssm_multipliers": [2.0] * 5,
    "attention_chunk_size": 64, "floor_scale": 8, "index_topk": 5, "n_group": 2, "topk_group": 1, "num_experts_per_token": 1,
}

# Numbers that may be large, as they are of no tensor's shape.
NUMBERS = set("""sliding_window attention_chunk_size query_pre_attn_scalar floor_scale max_position_embeddings index_topk
original_max_position_embeddings""".split())

# Keys that older configs have, or other classes.
FOREIGN = {
    "rope_theta": 500.0, "rope_scaling": {"rope_type": "linear", "factor": 2.0}, "partial_rotary_factor": 0.5,
    "sliding_window": 5, "attention_bias": True, "mlp_bias": True, "use_sliding_window": True, "sliding_window_pattern": 2,
    "rope_local_base_freq": 500.0, "rotary_pct": 0.5, "rotary_emb_base": 500, "logit_scale": 0.5, "clip_qkv": 0.3,
    "attention_multiplier": 0.5, "embedding_multiplier": 2.0, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 4,
    "routed_scaling_factor": 3.0, "norm_topk_prob": False, "alibi": True, "layer_norm_eps": 0.5, "rms_norm_eps": 0.5,
    "scale_emb": 3.0, "rope_interleave": False, "use_qk_norm": True, "no_rope_layers": [0, 0],
    "layer_types": ["sliding_attention", "full_attention"], "full_attention_interval": 2, "head_dim": 16,
    "attn_temperature_tuning": False, "attention_chunk_size": 32, "max_window_layers": 0,
}


def golden(name):
    """The text of a golden, and the hash of its first drawn tensor."""
    text, first = None, None
    for line in (DATA / f"models/{name}.txt").read_text().splitlines():
        words = line.split()
        text = [int(w) for w in words[2:]] if words[0] == "text" else text
        first = first or (words[1] if words[0] == "from" else None)
    return text[:TEXT], first


def seed_of(name, first, spec, shapes):
    for seed in range(1, 400):
        if any(f"{models.fnv(f'{p}#{name}.{seed}'):016x}" == first for p in shapes):
            return seed
    sys.exit(f"{name}: its golden is of another seed")


def change(value, key):
    if key in OTHER and OTHER[key] != value:
        return OTHER[key]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value * 2 if value else 1
    if isinstance(value, float):
        return value * 1.7 if value else 0.5
    if isinstance(value, list) and value and isinstance(value[0], str):
        kinds = sorted(set(value)) if len(set(value)) > 1 else ["full_attention", value[0]]
        return [kinds[0] if v == kinds[-1] else kinds[-1] for v in value]
    if isinstance(value, list) and value and isinstance(value[0], int):
        return [1 - v for v in value]
    return None


def changes(raw, cls):
    """(what is done, key, value, keys that are changed with it)"""
    fields = {f.name: f.default for f in dataclasses.fields(cls) if f.name not in SKIPPED}
    for key in sorted(set(fields) | (set(raw) - SKIPPED)):
        value = raw.get(key, fields.get(key))
        if key == "rope_parameters":
            continue
        other = change(value, key)
        if other is not None:
            yield "set", key, other, {}
        default = fields.get(key, dataclasses.MISSING)
        shape = isinstance(default, int) and (default > 64 or "heads" in key) and key not in NUMBERS
        large = shape and default != raw.get(key)
        if key == "num_experts_per_tok" and raw.get("n_group", 1) > 1:
            continue  # more experts than the groups that are chosen have
        if default is not dataclasses.MISSING and key in raw and not isinstance(default, (list, dict)) and not large:
            yield "drop", key, default, {} if default == raw[key] else {key: default}
    for key, value in FOREIGN.items():
        scaled = (raw.get("rope_parameters") or {}).get("rope_type", "default") != "default"
        if key == "partial_rotary_factor" and scaled:
            continue  # which classes that do not rotate a part take for a part of their frequencies
        if key not in fields and key not in raw:
            yield "set", key, value, {}
    rope = raw.get("rope_parameters")
    if rope and "full_attention" not in rope:
        yield "set", "rope_parameters", rope | {"rope_theta": 700.0}, {}
        yield "set", "rope_parameters", {k: v for k, v in rope.items() if k != "rope_theta"}, {}
        yield "set", "rope_parameters", rope | {"rope_type": "linear", "factor": 3.0}, {}
        yield "set", "rope_parameters", rope | {"rope_type": "yarn", "factor": 3.0, "original_max_position_embeddings": 8}, {}
        yield "set", "rope_parameters", rope | {"rope_type": "llama3", "factor": 3.0, "low_freq_factor": 1.0,
                                                "high_freq_factor": 4.0, "original_max_position_embeddings": 8}, {}
        yield "drop", "rope_parameters", None, {}
    elif rope:
        yield "drop", "rope_parameters", None, {}
        for part in rope:
            yield "set", "rope_parameters", rope | {part: rope[part] | {"rope_theta": 700.0}}, {}


def plain(x):
    """transformers has {"__float__": "Infinity"} where JSON has no number."""
    if isinstance(x, dict):
        return float(x["__float__"]) if set(x) == {"__float__"} else {k: plain(v) for k, v in x.items()}
    return [plain(v) for v in x] if isinstance(x, list) else x


def run(name, spec, raw, cls, seed, text):
    config = cls.from_dict(plain(json.loads(json.dumps(raw))))
    config._attn_implementation = "eager"
    torch.manual_seed(0)
    model = spec["model"](config).float().eval()
    with torch.no_grad():
        drawn = models.parameters(model, f"{name}.{seed}", spec)
        logits = model(torch.tensor([text])).logits[0, -1]
    return drawn, logits


def file_of(spec, drawn):
    f = models.as_hf(spec, drawn)
    return {n: np.concatenate([p.values().reshape(-1) for p in pieces]).reshape(shape)
            for n, (shape, pieces, _) in f.tensors.items()}


def ask(gyr, raw, tensors, text):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "config.json").write_text(json.dumps(raw))
        save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items()}, str(Path(folder, "model.safetensors")))
        done = subprocess.run([gyr, "logits", "-m", folder, "--kv-type", "f32", "--no-cache", "--tokens",
                               " ".join(map(str, text))], capture_output=True, text=True)
    return (json.loads(done.stdout)[-1], "") if done.returncode == 0 else (None, done.stderr.strip().replace(folder, "DIR"))


class Outcome:
    def __init__(self):
        self.counts = {}

    def tell(self, name, what, key, value, told, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if kind in ("DIFFERS", "refused", "crashed"):
            print(f"{kind:8} {name}: {what} {key} {json.dumps(value)[:60]} {told[:150]}", flush=True)


def try_family(name, spec, gyr, out, outcome):
    base = spec["config"]()
    cls = type(base)
    raw = json.loads(base.to_json_string())
    raw = {k: v for k, v in raw.items() if k not in spec.get("drop", [])} | spec.get("add", {})
    text, first = golden(name)
    model = spec["model"](base)
    seed = seed_of(name, first, spec, list(model.state_dict()))
    drawn, usual = run(name, spec, raw, cls, seed, text)
    shapes = {n: p.shape for n, p in drawn.items()}
    out.append(f"class {raw['model_type']}")
    for f in dataclasses.fields(cls):
        default = f.default if f.default_factory is dataclasses.MISSING else f.default_factory()
        if f.name not in {g.name for g in dataclasses.fields(transformers.PretrainedConfig)}:
            out.append(f"field {f.name} {json.dumps(default) if default is not dataclasses.MISSING else 'null'}")
    out.append(f"model {name}")
    for what, key, value, also in changes(raw, cls):
        changed = raw | also | ({key: value} if what == "set" else {})
        if what == "drop":
            changed.pop(key)
        try:
            drawn, logits = run(name, spec, changed, cls, seed, text)
            tensors = file_of(spec, drawn) if gyr else None
        except Exception:
            outcome.counts["transformers refuses"] = outcome.counts.get("transformers refuses", 0) + 1
            continue
        if not torch.isfinite(logits).all():
            continue
        if {n: p.shape for n, p in drawn.items()} == shapes:
            out.extend(f"also {k} {json.dumps(v)}" for k, v in also.items() if what != "drop" or k != key)
            numbers = " ".join(f"{x:.6f}" for x in logits[:SHOWN].tolist())
            out.append(f"set {key} {json.dumps(value)}\t{numbers}" if what == "set" else f"drop {key}\t{numbers}")
        if not gyr:
            continue
        got, told = ask(gyr, changed, tensors, text)
        far = max(abs(a - b) for a, b in zip(got, logits.tolist())) if got else math.inf
        moved = (logits - usual).abs().max().item() if len(logits) == len(usual) else math.inf
        kind = ("same" if far < CLOSE else "DIFFERS") if got else "refused" if told.startswith("gyr:") else "crashed"
        outcome.tell(name, what, key, value, told or f"by {far:.2g}; the key moves them by {moved:.2g}", kind)


def keep(name, lines):
    """Puts a family's lines in place of those that the file has of it."""
    path = DATA / "config/keys.txt"
    path.parent.mkdir(exist_ok=True)
    with open(path, "a+") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        blocks = {b.split("\nmodel ", 1)[1].split("\n", 1)[0]: b for b in f.read().split("\n\n") if "\nmodel " in b}
        blocks[name] = "\n".join(lines)
        f.truncate(0)
        f.write("\n\n".join(blocks[n] for n in NAMES if n in blocks) + "\n\n")


def main():
    words = sys.argv[1:]
    gyr = words.pop(words.index("--gyr") + 1) if "--gyr" in words else None
    words = [w for w in words if w != "--gyr"]
    families = {}
    for module in MODULES:
        made = sys.modules[module] = types.SimpleNamespace(**runpy.run_path(str(HERE / f"{module}.py")))
        families |= made.FAMILIES
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    outcome = Outcome()
    for name in words or NAMES:
        lines = []
        try_family(name, families[name], gyr, lines, outcome)
        print(f"{name}: {outcome.counts}", flush=True)
        if not gyr:
            keep(name, lines)


if __name__ == "__main__":
    main()
