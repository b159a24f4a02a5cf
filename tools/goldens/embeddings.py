#!/usr/bin/env python3
"""Makes tests/data/embeddings: what sentence-transformers makes of small random embedding models.

    python tools/goldens/embeddings.py [NAME ...]

A model gets NAME.txt and NAME.bin. NAME.txt is as those of models.py, and besides
    gguf_kind KIND      the family of the GGUF file, where it is not the folder's
    file PATH JSON      a file of the folder: modules.json, a module's config.json, ...
    lengths N L ...     tokens of each text; token i of text k is (3 i i + 7 i + 11 k) mod (vocab - 3) + 3
Tensors of the folder whose names have a slash in them are in model.safetensors of that folder ("2_Dense/linear.weight").
NAME.bin has float32 rows: for each text its embedding by the model's own modules, and then, for mean, cls and last, each
text's pooled states as they are. All is computed in float32, a text at a time.
"""
import sys

sys.path.pop(0)

import json
import runpy
import types
from pathlib import Path

import numpy as np
import torch
import transformers as t
from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling
from transformers.utils import logging

HERE = Path(__file__).resolve().parent
VOCAB, CONTEXT = 64, 640
LENGTHS = [1, 2, 9, 40, 300, 600]

ST = "sentence_transformers.models."
BERT = dict(vocab_size=VOCAB, max_position_embeddings=CONTEXT, num_hidden_layers=3, hidden_size=32, num_attention_heads=4,
            intermediate_size=48)
DECODER = dict(vocab_size=VOCAB, max_position_embeddings=CONTEXT, num_hidden_layers=2, hidden_size=32,
               num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, tie_word_embeddings=True,
               bos_token_id=None, eos_token_id=None, pad_token_id=None)


def models():
    return sys.modules["models"]


def piece(p, index=None):
    return models().Piece(p, p.index() if index is None else index)


def encoder_keys(c, **more):
    k = {"block_count": c.num_hidden_layers, "context_length": CONTEXT, "embedding_length": c.hidden_size,
         "feed_forward_length": c.intermediate_size, "attention.head_count": c.num_attention_heads,
         "attention.layer_norm_epsilon": float(getattr(c, "layer_norm_eps", None) or c.norm_eps), "attention.causal": False}
    return k | {n.replace("__", "."): v for n, v in more.items()}


def decoder_keys(c, **more):
    k = {"block_count": c.num_hidden_layers, "context_length": CONTEXT, "embedding_length": c.hidden_size,
         "feed_forward_length": c.intermediate_size, "attention.head_count": c.num_attention_heads,
         "attention.head_count_kv": c.num_key_value_heads, "attention.layer_norm_rms_epsilon": float(c.rms_norm_eps),
         "attention.key_length": c.head_dim, "attention.value_length": c.head_dim}
    return k | {n.replace("__", "."): v for n, v in more.items()}


def plus_one(f, c, name, p, usual):
    if "norm" in name:
        f.put(usual(name), p.shape, [models().Piece(p, p.index(), 1)])
        return True
    return False


def without_pooler(f, c, name, p, usual):
    return name.startswith("pooler.")


def without_padding(f, c, name, p, usual):
    """llama.cpp's files have no rows for the positions of padding."""
    if "position_embeddings" in name:
        f.put(usual(name), (p.shape[0] - 2, p.shape[1]), [piece(p, p.index()[2:])])
        return True
    return name.startswith("pooler.")


def nomic_hub(f, drawn):
    """The hub's names, and queries, keys and values in one."""
    renamed = {"embeddings.LayerNorm": "emb_ln", "self_attn.o_proj": "attn.out_proj", "up_proj": "fc11", "gate_proj": "fc12",
               "down_proj": "fc2", "post_attention_layernorm": "norm1", "post_mlp_layernorm": "norm2"}
    for name, p in drawn.items():
        for old, new in renamed.items():
            name = name.replace(old, new)
        if name.startswith("layers."):
            name = "encoder." + name
        if "q_proj" in name:
            k, v = (drawn[old] for old in (name.replace("encoder.", "").replace("q_proj", x) for x in ("k_proj", "v_proj")))
            f.put(name.replace("self_attn.q_proj", "attn.Wqkv"), (3 * p.shape[0], p.shape[1]), [piece(x) for x in (p, k, v)])
        elif "k_proj" not in name and "v_proj" not in name:
            f.put(name, p.shape, [piece(p)])


def nomic_gguf(f, c, name, p, usual, seen={}):
    if "q_proj" in name:
        seen["q"] = p
        return True
    if "k_proj" in name:
        seen["k"] = p
        return True
    if "v_proj" in name:
        layer = name.split(".")[1]
        f.put(f"blk.{layer}.attn_qkv.weight", (3 * p.shape[0], p.shape[1]), [piece(x) for x in (seen["q"], seen["k"], p)])
        return True
    parts = {"up_proj": "ffn_up", "gate_proj": "ffn_gate", "down_proj": "ffn_down", "o_proj": "attn_output",
             "post_attention_layernorm": "attn_output_norm", "post_mlp_layernorm": "layer_output_norm"}
    for old, new in parts.items():
        if name.startswith("layers.") and old in name:
            f.put(f"blk.{name.split('.')[1]}.{new}.{name.rsplit('.', 1)[1]}", p.shape, [piece(p)])
            return True
    return False


def nomic_config():
    return dict(model_type="nomic_bert", vocab_size=VOCAB, n_positions=CONTEXT, n_layer=3, n_embd=32, n_head=4, n_inner=48,
                activation_function="swiglu", layer_norm_epsilon=1e-12, rotary_emb_base=1000, rotary_emb_fraction=1.0,
                rotary_emb_interleaved=False, rotary_emb_scale_base=None, rotary_scaling_factor=None, prenorm=False,
                parallel_block=False, qkv_proj_bias=False, mlp_fc1_bias=False, mlp_fc2_bias=False, causal=False,
                max_trained_positions=CONTEXT, type_vocab_size=2, use_rms_norm=False)


MODERN = dict(BERT, num_hidden_layers=4, local_attention=20, global_attn_every_n_layers=3, pad_token_id=0, bos_token_id=1,
              eos_token_id=2, cls_token_id=1, sep_token_id=2)

FAMILIES = {
    "qwen3-embedding": dict(
        kind="Qwen 3", arch="qwen3", pooling="lasttoken", model=t.Qwen3Model,
        config=lambda: t.Qwen3Config(**DECODER, head_dim=16, rms_norm_eps=1e-6,
                                     rope_parameters={"rope_type": "default", "rope_theta": 1e6}),
        keys=lambda c: decoder_keys(c, rope__freq_base=1e6, pooling_type=3)),
    "embedding-gemma": dict(
        kind="EmbeddingGemma", folder_kind="Gemma 3", arch="gemma-embedding", pooling="mean", dense=[(48, "Identity", False), (32, "Identity", False)],
        model=t.Gemma3TextModel, norm_center=0, gguf=plus_one,
        config=lambda: t.Gemma3TextConfig(**DECODER | dict(num_hidden_layers=6), head_dim=16, query_pre_attn_scalar=16,
                                          sliding_window=20, use_bidirectional_attention=True,
                                          layer_types=["sliding_attention"] * 5 + ["full_attention"],
                                          rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1e6},
                                                           "sliding_attention": {"rope_type": "default", "rope_theta": 1e4}}),
        keys=lambda c: decoder_keys(c, rope__freq_base=1e6, attention__sliding_window=20, pooling_type=1)),
    "bert": dict(
        kind="BERT", arch="bert", pooling="mean", model=lambda c: t.BertModel(c), gguf=without_pooler,
        config=lambda: t.BertConfig(**BERT), keys=lambda c: encoder_keys(c, pooling_type=1)),
    "bert-cls": dict(
        kind="BERT", arch="bert", pooling="cls", dense=[(24, "Tanh", True)], normalize=False, gguf_too=False,
        model=lambda c: t.BertModel(c, add_pooling_layer=False),
        config=lambda: t.BertConfig(**BERT | dict(num_hidden_layers=2, hidden_act="relu")),
        keys=lambda c: encoder_keys(c, pooling_type=2)),
    "xlm-roberta": dict(
        kind="RoBERTa and XLM-RoBERTa", arch="bert", pooling="cls",
        model=lambda c: t.XLMRobertaModel(c), gguf=without_padding,
        config=lambda: t.XLMRobertaConfig(**BERT | dict(max_position_embeddings=CONTEXT + 2, type_vocab_size=1)),
        keys=lambda c: encoder_keys(c, pooling_type=2)),
    "nomic-bert": dict(
        kind="Nomic BERT", arch="nomic-bert", pooling="mean", hf=nomic_hub, gguf=nomic_gguf,
        model=lambda c: t.NomicBertModel(c), config=lambda: t.NomicBertConfig(**BERT), raw=nomic_config,
        keys=lambda c: encoder_keys(c, pooling_type=1, rope__freq_base=1000.0)),
    "nomic-bert-native": dict(
        kind="Nomic BERT", arch="nomic-bert", pooling="mean", gguf_too=False, gguf=nomic_gguf,
        model=lambda c: t.NomicBertModel(c), config=lambda: t.NomicBertConfig(**BERT),
        keys=lambda c: encoder_keys(c, pooling_type=1, rope__freq_base=1000.0)),
    "modernbert": dict(
        kind="ModernBERT", arch="modern-bert", pooling="mean",
        model=lambda c: t.ModernBertModel(c), config=lambda: t.ModernBertConfig(**MODERN),
        keys=lambda c: encoder_keys(c, pooling_type=1, attention__sliding_window=20, attention__sliding_window_pattern=3,
                                    rope__freq_base=1.6e5, rope__freq_base_swa=1e4)),
}


def ids(k):
    return [(3 * i * i + 7 * i + 11 * k) % (VOCAB - 3) + 3 for i in range(LENGTHS[k])]


def dense_parameters(spec, drawn):
    """Dense modules with drawn weights: (folder, module, its parameters)."""
    wide, made = 32, []
    for i, (rows, act, bias) in enumerate(spec.get("dense", [])):
        module = Dense(wide, rows, bias=bias, activation_function=getattr(torch.nn, act)())
        folder = f"{i + 2}_Dense"
        for name, p in module.linear.state_dict().items():
            q = models().Parameter(f"{folder}.linear.{name}", p.shape, "1", {})
            p.copy_(torch.from_numpy(q.values()))
            drawn[f"{folder}/linear.{name}"] = q
        made.append((folder, module))
        wide = rows
    return made


def module_files(spec, dense):
    """modules.json and what lies beside it, as sentence-transformers writes them."""
    flags = {"cls": "cls_token", "mean": "mean_tokens", "lasttoken": "lasttoken"}
    pooling = {"word_embedding_dimension": 32, "include_prompt": True}
    pooling |= {f"pooling_mode_{v}": k == spec["pooling"] for k, v in flags.items()}
    pooling |= {f"pooling_mode_{v}": False for v in ("max_tokens", "mean_sqrt_len_tokens", "weightedmean_tokens")}
    listed = [("", "Transformer"), ("1_Pooling", "Pooling")] + [(f, "Dense") for f, _ in dense]
    if spec.get("normalize", True):
        listed.append((f"{len(listed)}_Normalize", "Normalize"))
    yield "modules.json", [{"idx": i, "name": str(i), "path": p, "type": ST + k} for i, (p, k) in enumerate(listed)]
    yield "1_Pooling/config.json", pooling
    for folder, m in dense:
        yield f"{folder}/config.json", {"in_features": m.in_features, "out_features": m.out_features, "bias": m.bias,
                                        "activation_function": "torch.nn.modules." + (
                                            "linear.Identity" if isinstance(m.activation_function, torch.nn.Identity)
                                            else "activation.Tanh")}
    yield "config_sentence_transformers.json", {"prompts": {"query": "find: ", "document": ""},
                                                "default_prompt_name": None, "similarity_fn_name": "cosine"}


def features(states):
    return {"token_embeddings": states, "attention_mask": torch.ones(states.shape[:2], dtype=torch.long)}


@torch.no_grad()
def embeddings(spec, model, dense):
    own, pooled = [], {mode: [] for mode in ("mean", "cls", "lasttoken")}
    for k in range(len(LENGTHS)):
        states = model(torch.tensor([ids(k)])).last_hidden_state
        x = Pooling(32, spec["pooling"])(features(states))
        for _, module in dense:
            x = module(x)
        if spec.get("normalize", True):
            x = Normalize()(x)
        own.append(x["sentence_embedding"][0].numpy())
        for mode in pooled:
            pooled[mode].append(Pooling(32, mode)(features(states))["sentence_embedding"][0].numpy())
    return np.concatenate([np.concatenate(own)] + [np.concatenate(v) for v in pooled.values()]).astype("<f4")


@torch.no_grad()
def make(out, name, spec):
    m = models()
    torch.manual_seed(0)
    model = spec["model"](spec["config"]()).float().eval()
    drawn = {}
    for n, p in model.state_dict().items():
        drawn[n] = m.Parameter(n, p.shape, f"{name}.1", spec)
        p.copy_(torch.from_numpy(drawn[n].values()))
    inner = dict(drawn)
    dense = dense_parameters(spec, drawn)
    hf = m.File("hf")
    if "hf" in spec:
        spec["hf"](hf, inner)
    else:
        for n, p in drawn.items():
            hf.put(n, p.shape, [piece(p)])
    raw = spec["raw"]() if "raw" in spec else json.loads(model.config.to_json_string())
    lines = [f"kind {spec.get('folder_kind', spec['kind'])}"]
    lines += [f"gguf_kind {spec['kind']}"] if "folder_kind" in spec else []
    lines += [f"vocab {VOCAB}",
             f"lengths {len(LENGTHS)} {' '.join(map(str, LENGTHS))}", f"config {json.dumps(raw, sort_keys=True)}"]
    lines += [f"file {path} {json.dumps(content)}" for path, content in module_files(spec, dense)]
    lines += hf.lines()
    if spec.get("gguf_too", True):
        lines += [m.key_line("general.architecture", spec["arch"])]
        lines += [m.key_line(f"{spec['arch']}.{k}", v) for k, v in spec["keys"](model.config).items()]
        g = m.as_gguf(spec, model.config, inner)
        for i, (folder, _) in enumerate(dense):
            p = drawn[f"{folder}/linear.weight"]
            g.put(f"dense_{i + 2}.weight", p.shape, [piece(p)])
        lines += g.lines()
    rows = embeddings(spec, model, dense)
    (out / f"{name}.txt").write_text("\n".join(lines) + "\n")
    (out / f"{name}.bin").write_bytes(rows.tobytes())
    print(f"{name}: {len(rows)} numbers, {rows.min():.2f} .. {rows.max():.2f}", flush=True)


def main():
    module = sys.modules["models"] = types.SimpleNamespace(**runpy.run_path(str(HERE / "models.py"), run_name="models"))
    assert module
    out = HERE.parent.parent / "tests/data/embeddings"
    out.mkdir(exist_ok=True)
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or FAMILIES:
        make(out, name, FAMILIES[name])


if __name__ == "__main__":
    main()
