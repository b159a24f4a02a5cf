"""The families of tests/data/models: a tiny config of each, and how a GGUF file of it differs from the folder.

An entry: `kind`, as src/model says it; `model` and `config`, of transformers; `arch`, GGUF's; `keys(config)`, GGUF's
metadata behind the architecture. Where needed: `gguf(file, config, name, parameter, usual)`, which puts what becomes of a
parameter and returns true, or false where it only changes its name; `hf(file, drawn)`, where a folder of the hub differs
from the state dictionary; `norm_center`, 0 where norms are stored less 1; `add` and `drop`, keys of config.json.
"""
import transformers as t

from models import CONTEXT, VOCAB, Piece

TINY = dict(vocab_size=VOCAB, max_position_embeddings=CONTEXT, num_hidden_layers=2, hidden_size=32,
            num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, bos_token_id=None, eos_token_id=None,
            pad_token_id=None)


def rope(**more):
    return {"rope_type": "default", "rope_theta": 10000.0} | more


def keys(norm="layer_norm_rms_epsilon", **more):
    """The keys that every file has."""
    def of(c):
        eps = next(getattr(c, k) for k in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon")
                   if hasattr(c, k))
        k = {"block_count": c.num_hidden_layers, "context_length": CONTEXT, "embedding_length": c.hidden_size,
             "feed_forward_length": c.intermediate_size, "attention.head_count": c.num_attention_heads,
             "attention.head_count_kv": getattr(c, "num_key_value_heads", c.num_attention_heads),
             f"attention.{norm}": float(eps)}
        dim = getattr(c, "head_dim", None)
        if dim and dim * c.num_attention_heads != c.hidden_size:
            k |= {"attention.key_length": dim, "attention.value_length": dim}
        theta = (getattr(c, "rope_parameters", None) or {}).get("rope_theta")
        if theta:
            k["rope.freq_base"] = float(theta)
        for name, v in more.items():
            name = name.replace("__", ".")
            k[name] = v(c) if callable(v) else v
        return k
    return of


def permuted(p, heads):
    """Rows in the order of llama.cpp's Llama: neighbours are rotated together."""
    i = p.index()
    return i.reshape(heads, 2, -1, *i.shape[1:]).swapaxes(1, 2).reshape(i.shape)


def llama_gguf(f, c, name, p, usual):
    heads = {"q_proj": c.num_attention_heads, "k_proj": c.num_key_value_heads}
    for part, n in heads.items():
        if f".{part}." in name:
            f.put(usual(name), p.shape, [Piece(p, permuted(p, n))])
            return True
    return False


def llama3_factors(c):
    """llama.cpp has what Llama 3's scaling does to each frequency as a tensor."""
    import torch
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
    scaled, _ = ROPE_INIT_FUNCTIONS["llama3"](c, torch.device("cpu"))
    dim = c.hidden_size // c.num_attention_heads
    plain = 1.0 / (c.rope_parameters["rope_theta"] ** (torch.arange(0, dim, 2, dtype=torch.int64).float() / dim))
    return {"rope_freqs.weight": (plain / scaled).tolist()}


FAMILIES = {
    "llama": dict(
        kind="Llama", arch="llama", model=t.LlamaForCausalLM, gguf=llama_gguf, keys=keys(),
        config=lambda: t.LlamaConfig(**TINY, rope_parameters=rope(), rms_norm_eps=1e-5)),
    "llama-3": dict(
        kind="Llama", arch="llama", model=t.LlamaForCausalLM, gguf=llama_gguf, keys=keys(), constants=llama3_factors,
        config=lambda: t.LlamaConfig(**TINY, attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=rope(
            rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
            original_max_position_embeddings=32))),
    "llama-linear": dict(
        kind="Llama", arch="llama", model=t.LlamaForCausalLM, gguf=llama_gguf,
        keys=keys(rope__scaling__type="linear", rope__scaling__factor=4.0),
        config=lambda: t.LlamaConfig(**TINY, rope_parameters=rope(rope_type="linear", factor=4.0))),
    "mistral": dict(
        kind="Llama", arch="llama", model=t.MistralForCausalLM, gguf=llama_gguf,
        keys=keys(attention__sliding_window=24),
        config=lambda: t.MistralConfig(**TINY, head_dim=12, sliding_window=24, rope_parameters=rope())),
    "qwen2": dict(
        kind="Qwen 2", arch="qwen2", model=t.Qwen2ForCausalLM, keys=keys(),
        config=lambda: t.Qwen2Config(**TINY, rope_parameters=rope(rope_theta=1e6), tie_word_embeddings=True)),
    "qwen2-yarn": dict(
        kind="Qwen 2", arch="qwen2", model=t.Qwen2ForCausalLM,
        keys=keys(rope__scaling__type="yarn", rope__scaling__factor=4.0, rope__scaling__original_context_length=64),
        config=lambda: t.Qwen2Config(**TINY, rope_parameters=rope(rope_type="yarn", rope_theta=1e4, factor=4.0,
                                                                  original_max_position_embeddings=64))),
    "qwen3": dict(
        kind="Qwen 3", arch="qwen3", model=t.Qwen3ForCausalLM, keys=keys(),
        config=lambda: t.Qwen3Config(**TINY, head_dim=16, rope_parameters=rope(rope_theta=1e6))),
}
