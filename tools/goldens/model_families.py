"""The families of tests/data/models: a tiny config of each, and how a GGUF file of it differs from the folder.

An entry: `kind`, as src/model says it; `model` and `config`, of transformers; `arch`, GGUF's; `keys(config)`, GGUF's
metadata behind the architecture. Where needed: `gguf(file, config, name, parameter, usual)`, which puts what becomes of a
parameter and returns true, or false where it only changes its name; `hf(file, drawn)`, where a folder of the hub differs
from the state dictionary; `norm_center`, 0 where norms are stored less 1; `add` and `drop`, keys of config.json.
"""
import math

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
        eps = next(getattr(c, k) for k in ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
                   if hasattr(c, k))
        k = {"block_count": c.num_hidden_layers, "context_length": CONTEXT, "embedding_length": c.hidden_size,
             "feed_forward_length": getattr(c, "intermediate_size", 4 * c.hidden_size), "attention.head_count": c.num_attention_heads,
             "attention.head_count_kv": getattr(c, "num_key_value_heads", c.num_attention_heads),
             f"attention.{norm}": float(eps)}
        dim = getattr(c, "head_dim", None)
        if dim and not hasattr(c, "kv_lora_rank") and dim * c.num_attention_heads != c.hidden_size:
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


LONG = [[1.0, 1.1, 1.3], [1.5, 3.0, 9.0]]


def long_scale(trained):
    return (1 + math.log(CONTEXT / trained) / math.log(trained)) ** 0.5


def long_factors(c):
    return {"rope_factors_short.weight": LONG[0], "rope_factors_long.weight": LONG[1]}


def longrope(trained):
    return dict(
        kind="Phi 3 and 4", arch="phi3", model=t.Phi3ForCausalLM, constants=long_factors,
        keys=keys(rope__dimension_count=6, rope__scaling__original_context_length=trained,
                  rope__scaling__attn_factor=long_scale(trained)),
        config=lambda: t.Phi3Config(**TINY, tie_word_embeddings=True, original_max_position_embeddings=trained,
                                    rope_parameters=rope(rope_type="longrope", partial_rotary_factor=0.75,
                                                         original_max_position_embeddings=trained,
                                                         short_factor=LONG[0], long_factor=LONG[1])))


def rows_of(p, first, n):
    return Piece(p, p.index()[first:first + n])


def internlm2_hf(f, drawn):
    """Each group's queries, its key and its value lie together."""
    names = {"model.embed_tokens": "model.tok_embeddings", "lm_head": "output", "self_attn.o_proj": "attention.wo",
             "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
             "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm"}
    for name, p in drawn.items():
        if "k_proj" in name or "v_proj" in name:
            continue
        if "q_proj" in name:
            q, k, v = (drawn[name.replace("q_proj", x)] for x in ("q_proj", "k_proj", "v_proj"))
            groups, dim = 2, k.shape[0] // 2
            each = q.shape[0] // groups
            pieces = [x for g in range(groups)
                      for x in (rows_of(q, g * each, each), rows_of(k, g * dim, dim), rows_of(v, g * dim, dim))]
            f.put(name.replace("self_attn.q_proj", "attention.wqkv"),
                  (q.shape[0] + 2 * k.shape[0], q.shape[1]), pieces)
            continue
        for old, new in names.items():
            name = name.replace(old, new)
        f.put(name, p.shape, [Piece(p, p.index())])


def baichuan_hf(f, drawn):
    for name, p in drawn.items():
        if "q_proj" in name:
            parts = [drawn[name.replace("q_proj", x)] for x in ("q_proj", "k_proj", "v_proj")]
            f.put(name.replace("q_proj", "W_pack"), (3 * p.shape[0], p.shape[1]), [Piece(x, x.index()) for x in parts])
        elif "k_proj" not in name and "v_proj" not in name:
            f.put(name, p.shape, [Piece(p, p.index())])


def unit_head(model):
    """The head of Baichuan 2, whose code is on the hub and not in transformers: logits = x . normalize(W)."""
    import torch.nn.functional as f
    head = model.lm_head
    head.forward = lambda x: f.linear(x, f.normalize(head.weight))
    return model


def baichuan2_gguf(base=None):
    """Written with rows of length 1, as llama.cpp and others, who have no such head, are given it."""
    def put(f, c, name, p, usual):
        if name == "lm_head.weight":
            f.put(usual(name), p.shape, [Piece(p, p.index(), 0, f"unit {p.shape[1]}")])
            return True
        return base is not None and base(f, c, name, p, usual)
    return put


class Alibi:
    """A Llama with ALiBi in place of rotary positions, as Baichuan 13B adds it: to the scores, after scaling."""

    def __init__(self, model):
        self.model = model
        rotary = model.model.rotary_emb
        rotary.inv_freq.zero_()
        rotary.original_inv_freq = rotary.inv_freq

    def __call__(self, ids, past_key_values=None, use_cache=False):
        import torch
        past = past_key_values.get_seq_length() if past_key_values is not None else 0
        n, rows = past + ids.shape[1], ids.shape[1]
        heads = self.model.config.num_attention_heads
        slopes = torch.tensor([2.0 ** (-8 * (i + 1) / heads) for i in range(heads)])
        mask = slopes[:, None, None] * torch.arange(n)[None, None, :].expand(heads, rows, n)
        hidden = torch.arange(n)[None, :] > torch.arange(past, n)[:, None]
        mask = mask.masked_fill(hidden[None], float("-inf"))[None]
        return self.model(ids, past_key_values=past_key_values, use_cache=use_cache, attention_mask=mask)


def gemma_gguf(f, c, name, p, usual):
    """llama.cpp's files have the whole norm weight."""
    if "norm" not in name or name.endswith("bias"):
        return False
    f.put(usual(name), p.shape, [Piece(p, p.index(), 1)])
    return True


def gpt2_gguf(f, c, name, p, usual):
    if len(p.shape) != 2 or "wte" in name or "wpe" in name:
        return False
    f.put(usual(name), p.shape[::-1], [Piece(p, p.index().T)])
    return True


def gpt2_keys(c):
    return {"block_count": c.n_layer, "context_length": CONTEXT, "embedding_length": c.n_embd,
            "feed_forward_length": c.n_inner, "attention.head_count": c.n_head,
            "attention.layer_norm_epsilon": c.layer_norm_epsilon}


NO_KV = {k: v for k, v in TINY.items() if k != "num_key_value_heads"}


def neox_gguf(f, c, name, p, usual):
    """Heads of (query, key, value) become all queries, all keys, all values."""
    if "query_key_value" not in name:
        return False
    i = p.index().reshape(c.num_attention_heads, 3, -1)
    f.put(usual(name), p.shape, [Piece(p, i[:, k]) for k in range(3)])
    return True


def stablelm_gguf(f, c, name, p, usual):
    """A head's norm is a row of one tensor; and there is no norm in front of the MLP."""
    if "layernorm.norms." not in name:
        return "post_attention_layernorm" in name
    stem, head = name.removesuffix(".weight").rsplit(".", 1)
    target = usual(stem.removesuffix(".norms") + ".weight")
    if head == "0":
        f.tensors[target] = ((0, *p.shape), [])
    shape, pieces = f.tensors[target]
    f.tensors[target] = ((shape[0] + 1, *p.shape), pieces + [Piece(p, p.index())])
    return True


GRANITE = dict(attention_multiplier=0.2, embedding_multiplier=3.0, residual_multiplier=0.4, logits_scaling=2.0)
GRANITE_KEYS = dict(attention__scale=0.2, embedding_scale=3.0, residual_scale=0.4, logit_scale=2.0)


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
    "phi3": dict(
        kind="Phi 3 and 4", arch="phi3", model=t.Phi3ForCausalLM,
        keys=keys(rope__dimension_count=8, attention__sliding_window=20),
        config=lambda: t.Phi3Config(**TINY, sliding_window=20, rope_parameters=rope())),
    "phi3-longrope": longrope(128),
    # Both texts, and every step of the greedy one, are longer than the trained context: transformers takes the factors for
    # long texts from the first token on, as a session that asks for such a context does.
    "phi3-longrope-far": longrope(10) | dict(context=CONTEXT),
    "granite": dict(
        kind="Granite", arch="granite", model=t.GraniteForCausalLM, gguf=llama_gguf, embed_scale=1.5,
        keys=keys(**GRANITE_KEYS), config=lambda: t.GraniteConfig(**TINY, **GRANITE, rope_parameters=rope())),
    # Not of transformers, whose Granite computes the same: multipliers of other names.
    "minicpm": dict(
        kind="MiniCPM", arch="minicpm", model=t.GraniteForCausalLM, gguf=llama_gguf, embed_scale=1.5,
        keys=keys(embedding_scale=3.0, residual_scale=1.4 / 2 ** 0.5, logit_scale=2.0),
        config=lambda: t.GraniteConfig(**TINY, rope_parameters=rope(), attention_multiplier=8 ** -0.5, tie_word_embeddings=True,
                                       embedding_multiplier=3.0, residual_multiplier=1.4 / 2 ** 0.5, logits_scaling=2.0),
        drop=["attention_multiplier", "embedding_multiplier", "residual_multiplier", "logits_scaling"],
        add=dict(model_type="minicpm", scale_emb=3, scale_depth=1.4, dim_model_base=16)),
    "olmo2": dict(
        kind="OLMo 2", arch="olmo2", model=t.Olmo2ForCausalLM, keys=keys(),
        config=lambda: t.Olmo2Config(**TINY, rope_parameters=rope(rope_theta=5e5))),
    "olmo3": dict(
        kind="OLMo 3", arch="olmo2", model=t.Olmo3ForCausalLM,
        keys=keys(attention__sliding_window=20, rope__freq_base=1e4, rope__scaling__type="yarn", rope__scaling__factor=4.0,
                  rope__scaling__original_context_length=64, rope__scaling__attn_factor=1.1386294361119891),
        config=lambda: t.Olmo3Config(**TINY | dict(num_hidden_layers=4), sliding_window=20, rope_parameters={
            "sliding_attention": rope(), "full_attention": rope(
                rope_type="yarn", factor=4.0, original_max_position_embeddings=64, attention_factor=1.1386294361119891)})),
    "exaone4": dict(
        kind="EXAONE 4", arch="exaone4", model=t.Exaone4ForCausalLM, keys=keys(attention__sliding_window=20),
        config=lambda: t.Exaone4Config(**TINY | dict(num_hidden_layers=4), sliding_window=20, rope_parameters=rope())),
    "glm": dict(
        kind="GLM 4", arch="chatglm", model=t.GlmForCausalLM, keys=keys(rope__dimension_count=8),
        config=lambda: t.GlmConfig(**TINY, head_dim=16, attention_bias=True,
                                   rope_parameters=rope(partial_rotary_factor=0.5))),
    "glm4": dict(
        kind="GLM 4 (0414)", arch="glm4", model=t.Glm4ForCausalLM, keys=keys(rope__dimension_count=8),
        config=lambda: t.Glm4Config(**TINY, head_dim=16, attention_bias=False,
                                    rope_parameters=rope(partial_rotary_factor=0.5))),
    "seed-oss": dict(
        kind="Seed-OSS", arch="seed_oss", model=t.SeedOssForCausalLM, keys=keys(),
        config=lambda: t.SeedOssConfig(**TINY, head_dim=16, rope_parameters=rope(rope_theta=1e7))),
    "smollm3": dict(
        kind="SmolLM 3", arch="smollm3", model=t.SmolLM3ForCausalLM, gguf=llama_gguf, keys=keys(),
        config=lambda: t.SmolLM3Config(**TINY | dict(num_hidden_layers=4), rope_parameters=rope(rope_theta=2e6))),
    "ernie4.5": dict(
        kind="ERNIE 4.5", arch="ernie4_5", model=t.Ernie4_5ForCausalLM, keys=keys(),
        config=lambda: t.Ernie4_5Config(**TINY, head_dim=16, use_bias=True, rope_parameters=rope(rope_theta=5e5))),
    # Not of transformers either: Llama's arithmetic, other names and fused matrices.
    "internlm2": dict(
        kind="InternLM 2", arch="internlm2", model=t.LlamaForCausalLM, gguf=llama_gguf, hf=internlm2_hf, keys=keys(),
        config=lambda: t.LlamaConfig(**TINY, rope_parameters=rope(rope_theta=1e6)),
        drop=["head_dim", "rope_parameters", "attention_bias"],
        add=dict(model_type="internlm2", bias=False, rope_theta=1e6, rope_scaling=dict(type="dynamic", factor=2.0))),
    "internlm3": dict(
        kind="Llama", arch="llama", model=t.LlamaForCausalLM, gguf=llama_gguf, keys=keys(),
        config=lambda: t.LlamaConfig(**TINY, head_dim=12, attention_bias=True, rope_parameters=rope(rope_theta=5e7)),
        drop=["attention_bias"], add=dict(model_type="internlm3", qkv_bias=True, bias=True)),
    "baichuan": dict(
        kind="Baichuan 7B kind", arch="baichuan", model=t.LlamaForCausalLM, gguf=llama_gguf, hf=baichuan_hf, keys=keys(),
        config=lambda: t.LlamaConfig(**TINY | dict(num_key_value_heads=4), rope_parameters=rope()),
        drop=["head_dim", "rope_parameters", "num_key_value_heads"], add=dict(model_type="baichuan")),
    "baichuan-13b": dict(
        kind="Baichuan 13B kind: ALiBi", arch="baichuan", model=t.LlamaForCausalLM, hf=baichuan_hf, run=Alibi,
        keys=keys(), wide={"o_proj": 0.3, "down_proj": 0.3},
        config=lambda: t.LlamaConfig(**TINY | dict(num_key_value_heads=4, num_hidden_layers=40, hidden_size=16,
                                                   intermediate_size=16), rope_parameters=rope()),
        drop=["head_dim", "rope_parameters", "num_key_value_heads"], add=dict(model_type="baichuan")),
    # What tells the second from the first is the size of the vocabulary: the config says so, and the tensors are small.
    "baichuan2": dict(
        kind="Baichuan 2 7B kind: output of unit rows", arch="baichuan", model=t.LlamaForCausalLM,
        gguf=baichuan2_gguf(llama_gguf), hf=baichuan_hf, keys=keys(), run=unit_head,
        config=lambda: t.LlamaConfig(**TINY | dict(num_key_value_heads=4), rope_parameters=rope()),
        drop=["head_dim", "rope_parameters", "num_key_value_heads"], add=dict(model_type="baichuan", vocab_size=125696)),
    "baichuan2-13b": dict(
        kind="Baichuan 2 13B kind: ALiBi, output of unit rows", arch="baichuan", model=t.LlamaForCausalLM,
        gguf=baichuan2_gguf(), hf=baichuan_hf, keys=keys(), run=lambda m: Alibi(unit_head(m)),
        wide={"o_proj": 0.3, "down_proj": 0.3},
        config=lambda: t.LlamaConfig(**TINY | dict(num_key_value_heads=4, num_hidden_layers=40, hidden_size=16,
                                                   intermediate_size=16), rope_parameters=rope()),
        drop=["head_dim", "rope_parameters", "num_key_value_heads", "max_position_embeddings"],
        add=dict(model_type="baichuan", vocab_size=125696, model_max_length=CONTEXT)),
    "gemma": dict(
        kind="Gemma", arch="gemma", model=t.GemmaForCausalLM, norm_center=0, gguf=gemma_gguf, embed_scale=2, keys=keys(),
        config=lambda: t.GemmaConfig(**TINY, head_dim=16, rope_parameters=rope())),
    "gemma2": dict(
        kind="Gemma 2", arch="gemma2", model=t.Gemma2ForCausalLM, norm_center=0, gguf=gemma_gguf, embed_scale=6,
        keys=keys(attention__sliding_window=20, attn_logit_softcapping=5.0, final_logit_softcapping=8.0),
        config=lambda: t.Gemma2Config(**TINY, head_dim=16, query_pre_attn_scalar=16, sliding_window=20, rope_parameters=rope(),
                                      attn_logit_softcapping=5.0, final_logit_softcapping=8.0, attn_implementation="eager")),
    "gemma3": dict(
        kind="Gemma 3", arch="gemma3", model=t.Gemma3ForCausalLM, norm_center=0, gguf=gemma_gguf, embed_scale=6,
        keys=keys(attention__sliding_window=20, rope__freq_base=1e6, rope__scaling__type="linear", rope__scaling__factor=8.0),
        config=lambda: t.Gemma3TextConfig(**TINY | dict(num_hidden_layers=6), head_dim=16, query_pre_attn_scalar=16, sliding_window=20,
                                          rope_parameters={"sliding_attention": rope(), "full_attention": rope(
                                              rope_type="linear", rope_theta=1e6, factor=8.0)})),
    "gpt2": dict(
        kind="GPT-2", arch="gpt2", model=t.GPT2LMHeadModel, transposed=True, gguf=gpt2_gguf, keys=gpt2_keys,
        config=lambda: t.GPT2Config(vocab_size=VOCAB, n_positions=CONTEXT, n_embd=32, n_layer=2, n_head=4, n_inner=48,
                                    bos_token_id=None, eos_token_id=None)),
    "gpt-neox": dict(
        kind="GPT-NeoX", arch="gptneox", model=t.GPTNeoXForCausalLM, gguf=neox_gguf,
        keys=keys("layer_norm_epsilon", rope__dimension_count=4, use_parallel_residual=True),
        config=lambda: t.GPTNeoXConfig(**NO_KV, rope_parameters=rope(partial_rotary_factor=0.5)),
),
    "gpt-neox-serial": dict(
        kind="GPT-NeoX, serial", arch="gptneox", model=t.GPTNeoXForCausalLM, gguf=neox_gguf,
        keys=keys("layer_norm_epsilon", rope__dimension_count=2, use_parallel_residual=False),
        config=lambda: t.GPTNeoXConfig(**NO_KV, use_parallel_residual=False, rope_parameters=rope(partial_rotary_factor=0.25))),
    "phi2": dict(
        kind="Phi 1 and 2", arch="phi2", model=t.PhiForCausalLM, keys=keys("layer_norm_epsilon", rope__dimension_count=4),
        config=lambda: t.PhiConfig(**TINY, rope_parameters=rope(partial_rotary_factor=0.5))),
    "stablelm": dict(
        kind="StableLM", arch="stablelm", model=t.StableLmForCausalLM,
        keys=keys("layer_norm_epsilon", rope__dimension_count=2),
        config=lambda: t.StableLmConfig(**TINY, use_qkv_bias=True, rope_parameters=rope(partial_rotary_factor=0.25))),
    "stablelm-12b": dict(
        kind="StableLM 2 12B kind: parallel, norms of queries and keys", arch="stablelm", model=t.StableLmForCausalLM,
        keys=keys("layer_norm_epsilon", rope__dimension_count=2), gguf=stablelm_gguf,
        config=lambda: t.StableLmConfig(**TINY, use_parallel_residual=True, qk_layernorm=True,
                                        rope_parameters=rope(partial_rotary_factor=0.25))),
    "starcoder2": dict(
        kind="StarCoder 2", arch="starcoder2", model=t.Starcoder2ForCausalLM,
        keys=keys("layer_norm_epsilon", attention__sliding_window=20),
        config=lambda: t.Starcoder2Config(**TINY, sliding_window=20, rope_parameters=rope())),
    "nemotron": dict(
        kind="Nemotron", arch="nemotron", model=t.NemotronForCausalLM, norm_center=0, gguf=gemma_gguf,
        keys=keys("layer_norm_epsilon", rope__dimension_count=4),
        config=lambda: t.NemotronConfig(**TINY, rope_parameters=rope(partial_rotary_factor=0.5))),
    "command-r": dict(
        kind="Command-R", arch="command-r", model=t.CohereForCausalLM, keys=keys("layer_norm_epsilon", logit_scale=0.5),
        config=lambda: t.CohereConfig(**TINY, logit_scale=0.5, rope_parameters=rope(rope_theta=8e6))),
    "command-r+": dict(
        kind="Command-R+", arch="command-r", model=t.CohereForCausalLM, keys=keys("layer_norm_epsilon", logit_scale=0.5),
        config=lambda: t.CohereConfig(**TINY, logit_scale=0.5, use_qk_norm=True, rope_parameters=rope(rope_theta=8e6))),
    "cohere2": dict(
        kind="Command-R7B and Command A", arch="cohere2", model=t.Cohere2ForCausalLM,
        keys=keys("layer_norm_epsilon", logit_scale=0.5, attention__sliding_window=20),
        config=lambda: t.Cohere2Config(**TINY | dict(num_hidden_layers=4), sliding_window=20, logit_scale=0.5,
                                       rope_parameters=rope(rope_theta=5e4))),
}
