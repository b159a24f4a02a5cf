"""The families of tests/data/models that are mixtures of experts; entries as in model_families.py."""
import transformers as t

from model_families import GRANITE, GRANITE_KEYS, TINY, keys, llama_gguf, rope, rows_of
from models import Piece


def experts_hf(gate, up, down, inner=None):
    """The hub's files have each expert's matrices apart, [out][in]."""
    def write(f, drawn):
        for name, p in drawn.items():
            if inner:
                name = name.replace(*inner)
            if "experts." not in name or "shared" in name:
                f.put(name, p.shape, [Piece(p, p.index())])
                continue
            stem = name[:name.index("experts.") + len("experts.")]
            for e, i in enumerate(p.index()):
                if name.endswith("down_proj"):
                    f.put(f"{stem}{e}.{down}.weight", i.shape, [Piece(p, i)])
                else:
                    for part, rows in ((gate, i[:len(i) // 2]), (up, i[len(i) // 2:])):
                        f.put(f"{stem}{e}.{part}.weight", rows.shape, [Piece(p, rows)])
    return write


def experts_gguf(base=None, columns=False, paired=False):
    """One tensor for all experts' gates, and so on, [expert][out][in]."""
    def put(f, c, name, p, usual):
        if base and base(f, c, name, p, usual):
            return True
        if "e_score_correction_bias" in name:
            f.put(f"blk.{name.split('.')[2]}.exp_probs_b.bias", p.shape, [Piece(p, p.index())])
            return True
        if "experts." not in name or "shared" in name:
            return False
        i, bias = p.index(), name.endswith("_bias")
        if columns and not bias:
            i = i.swapaxes(1, 2)
        if "gate_up" in name:
            half = i.shape[1] // 2
            parts = {"gate": i[:, 0::2], "up": i[:, 1::2]} if paired else {"gate": i[:, :half], "up": i[:, half:]}
        else:
            parts = {"down": i}
        for part, rows in parts.items():
            f.put(f"blk.{name.split('.')[2]}.ffn_{part}_exps.{'bias' if bias else 'weight'}", rows.shape, [Piece(p, rows)])
        return True
    return put


HUB_GRANITE = {"experts.gate_up_proj": "input_linear.weight", "experts.down_proj": "output_linear.weight",
               "router.weight": "router.layer.weight"}


def granite_hf(f, drawn):
    """The hub's names, which transformers turns into its own as it loads (conversion_mapping.py)."""
    for name, p in drawn.items():
        for own, hub in HUB_GRANITE.items():
            name = name.replace(f"block_sparse_moe.{own}", f"block_sparse_moe.{hub}")
        f.put(name, p.shape, [Piece(p, p.index())])


def granite_gguf(f, c, name, p, usual):
    block = f"blk.{name.split('.')[2]}" if "layers." in name else ""
    if "shared_mlp.input_linear" in name:
        half = p.shape[0] // 2
        f.put(f"{block}.ffn_gate_shexp.weight", (half, p.shape[1]), [rows_of(p, 0, half)])
        f.put(f"{block}.ffn_up_shexp.weight", (half, p.shape[1]), [rows_of(p, half, half)])
        return True
    if "router.weight" in name:
        f.put(f"{block}.ffn_gate_inp.weight", p.shape, [Piece(p, p.index())])
        return True
    return experts_gguf(llama_gguf)(f, c, name, p, usual)


def qwen2moe_gguf(f, c, name, p, usual):
    if "shared_expert_gate" in name:
        f.put(usual(name), p.shape[1:], [Piece(p, p.index()[0])])
        return True
    return experts_gguf()(f, c, name, p, usual)


def oss_gguf(f, c, name, p, usual):
    if "sinks" in name:
        f.put(usual(name) + ".weight", p.shape, [Piece(p, p.index())])
        return True
    return experts_gguf(columns=True, paired=True)(f, c, name, p, usual)


MOE = dict(moe_intermediate_size=16, num_experts_per_tok=2)


def moe_keys(experts, used=2, wide=16, **more):
    return keys(expert_count=experts, expert_used_count=used, expert_feed_forward_length=wide, **more)


LATENT = dict(q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=8, qk_rope_head_dim=4, v_head_dim=12,
              first_k_dense_replace=1)


def latent_keys(experts, **more):
    """As llama.cpp has them: the cache's key and value first, those of a head behind them."""
    return moe_keys(experts, attention__head_count_kv=more.pop("kv", 1), attention__kv_lora_rank=16, attention__key_length=20,
                    attention__value_length=16, attention__key_length_mla=12, attention__value_length_mla=12,
                    rope__dimension_count=4, leading_dense_block_count=1,
                    **{"attention.q_lora_rank": 24} if more.pop("lora", True) else {}, **more)


def latent_gguf(f, c, name, p, usual):
    """A matrix for each head: keys to the latent vector, and the latent vector to values."""
    if "kv_b_proj" not in name:
        return False
    heads = p.index().reshape(c.num_attention_heads, -1, c.kv_lora_rank)
    k, v = heads[:, :c.qk_nope_head_dim].swapaxes(1, 2), heads[:, c.qk_nope_head_dim:]
    block = name.split(".")[2]
    f.put(f"blk.{block}.attn_k_b.weight", k.shape, [Piece(p, k)])
    f.put(f"blk.{block}.attn_v_b.weight", v.shape, [Piece(p, v)])
    return True


# An indexer that chooses a third of the text.
INDEX = dict(index_topk=24, index_n_heads=6, index_head_dim=12)
INDEX_KEYS = dict(attention__indexer__head_count=6, attention__indexer__key_length=12, attention__indexer__top_k=24)


def clear_choices(model, ids):
    """Whether no position is chosen, or not, by so little that rounding could decide: in no layer and at no position of
    the text does the least score chosen come near the greatest that is not."""
    import torch
    gaps = []

    def watch(module, args, kwargs, chosen):
        scores = args_scores.pop()
        n = scores.shape[-1]
        for t in range(module.index_topk, n):
            best = torch.topk(scores[0, t, :t + 1], module.index_topk + 1).values
            gaps.append((best[-2] - best[-1]).item())

    args_scores, topk = [], torch.Tensor.topk

    def keep(x, *a, **k):
        if x.dim() == 3 and x.shape[-1] == ids.shape[-1]:
            args_scores.append(x)
        return topk(x, *a, **k)

    indexers = [m for m in model.modules() if type(m).__name__.endswith("Indexer")]
    hooks = [m.register_forward_hook(watch, with_kwargs=True) for m in indexers]
    torch.Tensor.topk = keep
    try:
        model(ids)
    finally:
        torch.Tensor.topk = topk
        for hook in hooks:
            hook.remove()
    return min(gaps) > 1e-5


FAMILIES = {
    "mixtral": dict(
        kind="Mixtral", arch="llama", model=t.MixtralForCausalLM, gguf=experts_gguf(llama_gguf),
        hf=experts_hf("w1", "w3", "w2", (".mlp.", ".block_sparse_moe.")),
        keys=keys(expert_count=4, expert_used_count=2),
        config=lambda: t.MixtralConfig(**TINY, num_local_experts=4, head_dim=8, rope_parameters=rope(rope_theta=1e6))),
    "granite-moe": dict(
        kind="Granite MoE", arch="granitemoe", model=t.GraniteMoeForCausalLM, gguf=granite_gguf, hf=granite_hf,
        embed_scale=1.5, keys=keys(expert_count=6, expert_used_count=3, **GRANITE_KEYS),
        config=lambda: t.GraniteMoeConfig(**TINY, **GRANITE, num_local_experts=6, num_experts_per_tok=3, attention_bias=True,
                                          rope_parameters=rope())),
    "granite-moe-shared": dict(
        kind="Granite MoE", arch="granitemoe", model=t.GraniteMoeSharedForCausalLM, gguf=granite_gguf, hf=granite_hf,
        embed_scale=1.5, keys=keys(expert_count=4, expert_used_count=2, expert_shared_feed_forward_length=24, **GRANITE_KEYS),
        config=lambda: t.GraniteMoeSharedConfig(**TINY, **GRANITE, num_local_experts=4, num_experts_per_tok=2,
                                                shared_intermediate_size=24, rope_parameters=rope())),
    "qwen2-moe": dict(
        kind="Qwen 2 MoE", arch="qwen2moe", model=t.Qwen2MoeForCausalLM, gguf=qwen2moe_gguf,
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), keys=moe_keys(8, expert_shared_feed_forward_length=24),
        config=lambda: t.Qwen2MoeConfig(**TINY, **MOE, num_experts=8, shared_expert_intermediate_size=24,
                                        rope_parameters=rope(rope_theta=1e6))),
    "qwen3-moe": dict(
        kind="Qwen 3 MoE", arch="qwen3moe", model=t.Qwen3MoeForCausalLM, gguf=experts_gguf(),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), keys=moe_keys(8, used=3),
        config=lambda: t.Qwen3MoeConfig(**TINY, **MOE | dict(num_experts_per_tok=3), num_experts=8, norm_topk_prob=True,
                                        head_dim=16, rope_parameters=rope(rope_theta=1e6))),
    "olmoe": dict(
        kind="OLMoE", arch="olmoe", model=t.OlmoeForCausalLM, gguf=experts_gguf(),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), keys=keys(expert_count=4, expert_used_count=2),
        config=lambda: t.OlmoeConfig(**TINY, num_experts=4, num_experts_per_tok=2, rope_parameters=rope())),
    "glm4.5": dict(
        kind="GLM 4.5, with norms of queries and keys", arch="glm4moe", model=t.Glm4MoeForCausalLM, gguf=experts_gguf(),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"),
        keys=moe_keys(8, rope__dimension_count=4, expert_shared_count=1, leading_dense_block_count=1, expert_gating_func=2,
                      expert_weights_scale=1.5, expert_weights_norm=True, expert_group_count=4, expert_group_used_count=2),
        config=lambda: t.Glm4MoeConfig(**TINY | dict(num_hidden_layers=3), **MOE, head_dim=8, n_routed_experts=8, n_shared_experts=1,
                                       first_k_dense_replace=1, n_group=4, topk_group=2, routed_scaling_factor=1.5,
                                       use_qk_norm=True, attention_bias=True, num_nextn_predict_layers=0,
                                       rope_parameters=rope(partial_rotary_factor=0.5))),
    "gpt-oss": dict(
        kind="gpt-oss", arch="gpt-oss", model=t.GptOssForCausalLM, gguf=oss_gguf, columns=True,
        keys=moe_keys(4, wide=48, attention__sliding_window=20, rope__scaling__type="yarn", rope__scaling__factor=4.0,
                      rope__scaling__original_context_length=64),
        config=lambda: t.GptOssConfig(**TINY, head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=20,
                                      attn_implementation="eager", rope_parameters=rope(
                                          rope_type="yarn", rope_theta=15e4, factor=4.0, beta_fast=32.0, beta_slow=1.0,
                                          truncate=False, original_max_position_embeddings=64))),
    "deepseek-v2": dict(
        kind="DeepSeek V2", arch="deepseek2", model=t.DeepseekV2ForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"),
        keys=latent_keys(8, expert_shared_count=2, expert_weights_scale=2.0, expert_gating_func=1,
                         expert_group_count=4, expert_group_used_count=2),
        config=lambda: t.DeepseekV2Config(**TINY | dict(num_key_value_heads=4), **MOE, **LATENT, n_routed_experts=8,
                                          n_shared_experts=2, topk_method="group_limited_greedy", n_group=4,
                                          topk_group=2, routed_scaling_factor=2.0, rope_parameters=rope())),
    # Queries straight from the input, as in the Lite model.
    "deepseek-v2-lite": dict(
        kind="DeepSeek V2", arch="deepseek2", model=t.DeepseekV2ForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"),
        keys=latent_keys(4, lora=False, expert_shared_count=1, expert_gating_func=1, rope__scaling__type="yarn",
                         rope__scaling__factor=4.0, rope__scaling__original_context_length=64,
                         rope__scaling__yarn_log_multiplier=0.0707),
        config=lambda: t.DeepseekV2Config(**TINY | dict(num_key_value_heads=4), **MOE, **LATENT | dict(q_lora_rank=None),
                                          n_routed_experts=4, n_shared_experts=1, rope_parameters=rope(
                                              rope_type="yarn", factor=4.0, mscale=0.707, mscale_all_dim=0.707,
                                              original_max_position_embeddings=64))),
    "deepseek-v3": dict(
        kind="DeepSeek V3, and Kimi K2", arch="deepseek2", model=t.DeepseekV3ForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"),
        keys=latent_keys(8, expert_shared_count=1, expert_weights_scale=2.5, expert_weights_norm=True,
                         expert_gating_func=2, expert_group_count=4, expert_group_used_count=2, rope__scaling__type="yarn",
                         rope__scaling__factor=4.0, rope__scaling__original_context_length=64,
                         rope__scaling__yarn_log_multiplier=0.1),
        config=lambda: t.DeepseekV3Config(**TINY | dict(num_key_value_heads=4), **MOE, **LATENT, n_routed_experts=8,
                                          n_shared_experts=1, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                                          rope_parameters=rope(rope_type="yarn", factor=4.0, mscale=1.0, mscale_all_dim=1.0,
                                                               original_max_position_embeddings=64))),
    "kimi-k2": dict(
        kind="DeepSeek V3, and Kimi K2", arch="deepseek2", model=t.DeepseekV3ForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), drop=["rope_parameters", "rope_interleave"],
        add=dict(model_type="kimi_k2", rope_theta=5e4, rope_scaling=dict(
                     type="yarn", factor=32.0, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0,
                     original_max_position_embeddings=8), architectures=["DeepseekV3ForCausalLM"], n_group=1, topk_group=1,
                 topk_method="noaux_tc", scoring_func="sigmoid", num_nextn_predict_layers=0, aux_loss_alpha=0.001,
                 moe_layer_freq=1, seq_aux=True),
        keys=latent_keys(12, used=4, expert_shared_count=1, expert_weights_scale=2.827, expert_weights_norm=True,
                         expert_gating_func=2, rope__scaling__type="yarn", rope__scaling__factor=32.0,
                         rope__scaling__original_context_length=8, rope__scaling__yarn_log_multiplier=0.1,
                         rope__scaling__yarn_beta_fast=1.0, rope__scaling__yarn_beta_slow=1.0),
        config=lambda: t.DeepseekV3Config(**TINY | dict(num_key_value_heads=4), **MOE | dict(num_experts_per_tok=4), **LATENT,
                                          n_routed_experts=12, n_shared_experts=1, n_group=1, topk_group=1,
                                          routed_scaling_factor=2.827, rope_parameters=rope(
                                              rope_type="yarn", rope_theta=5e4, factor=32.0, mscale=1.0, mscale_all_dim=1.0,
                                              beta_fast=1.0, beta_slow=1.0, original_max_position_embeddings=8))),
    "deepseek-v3.2": dict(
        kind="DeepSeek V3.2", arch="deepseek32", names="glm-dsa", model=t.DeepseekV32ForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), clear=clear_choices,
        keys=latent_keys(8, **INDEX_KEYS, expert_shared_count=1, expert_weights_scale=2.5, expert_weights_norm=True,
                         expert_gating_func=2, expert_group_count=4, expert_group_used_count=2, rope__scaling__type="yarn",
                         rope__scaling__factor=4.0, rope__scaling__original_context_length=64,
                         rope__scaling__yarn_log_multiplier=0.1),
        config=lambda: t.DeepseekV32Config(**TINY | dict(num_key_value_heads=4), **MOE, **LATENT, **INDEX, n_routed_experts=8,
                                           n_shared_experts=1, n_group=4, topk_group=2, routed_scaling_factor=2.5,
                                           attn_implementation="eager", rope_parameters=rope(
                                               rope_type="yarn", factor=4.0, mscale=1.0, mscale_all_dim=1.0,
                                               original_max_position_embeddings=64))),
    "glm5": dict(
        kind="GLM 5", arch="glm-dsa", model=t.GlmMoeDsaForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), clear=clear_choices, drop=["indexer_types"],
        keys=latent_keys(8, **INDEX_KEYS, expert_shared_count=1, expert_weights_scale=2.5, expert_weights_norm=True,
                         expert_gating_func=2),
        config=lambda: t.GlmMoeDsaConfig(**TINY | dict(num_key_value_heads=4), **MOE, **LATENT, **INDEX, n_routed_experts=8,
                                         n_shared_experts=1, routed_scaling_factor=2.5, rms_norm_eps=1e-3,
                                         attn_implementation="eager", rope_parameters=rope(rope_theta=1e6))),
    # Layers that attend to what the one before chose.
    "glm5.2": dict(
        kind="GLM 5", arch="glm-dsa", model=t.GlmMoeDsaForCausalLM, gguf=experts_gguf(latent_gguf),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), clear=clear_choices,
        keys=latent_keys(8, **INDEX_KEYS, expert_shared_count=1, expert_weights_scale=2.5, expert_weights_norm=True,
                         expert_gating_func=2),
        config=lambda: t.GlmMoeDsaConfig(**TINY | dict(num_key_value_heads=4, num_hidden_layers=5), **MOE, **LATENT, **INDEX,
                                         n_routed_experts=8, n_shared_experts=1, routed_scaling_factor=2.5,
                                         index_topk_freq=2, index_skip_topk_offset=2, attn_implementation="eager",
                                         rope_parameters=rope(rope_theta=1e6))),
    "llama4": dict(
        kind="Llama 4 Scout: norms of queries and keys", arch="llama4", model=t.Llama4ForCausalLM, columns=True,
        gguf=experts_gguf(columns=True), cache=False,
        keys=moe_keys(4, used=1, wide=48, feed_forward_length=40, interleave_moe_layer_step=2),
        config=lambda: t.Llama4TextConfig(**TINY | dict(num_hidden_layers=4), intermediate_size_mlp=40, head_dim=8,
                                          num_local_experts=4, interleave_moe_layer_step=2,
                                          rope_parameters=rope(rope_theta=5e5))),
    # Three chunks, and nine steps of the temperature: what the real ones begin at position 8191.
    "llama4-chunks": dict(
        kind="Llama 4 Scout: norms of queries and keys", arch="llama4", model=t.Llama4ForCausalLM, columns=True,
        gguf=experts_gguf(columns=True), cache=False,
        keys=moe_keys(4, used=1, wide=48, feed_forward_length=40, interleave_moe_layer_step=2,
                      attention__sliding_window=32, attention__temperature_length=8, attention__temperature_scale=0.5),
        config=lambda: t.Llama4TextConfig(**TINY | dict(num_hidden_layers=4), intermediate_size_mlp=40, head_dim=8,
                                          num_local_experts=4, interleave_moe_layer_step=2, attention_chunk_size=32,
                                          floor_scale=8, attn_scale=0.5, rope_parameters=rope(rope_theta=5e5))),
    "llama4-whole": dict(
        kind="Llama 4 Scout: norms of queries and keys", arch="llama4", model=t.Llama4ForCausalLM, columns=True,
        gguf=experts_gguf(columns=True), cache=False,
        keys=moe_keys(4, used=1, wide=48, feed_forward_length=40, interleave_moe_layer_step=2, attention__sliding_window=0),
        config=lambda: t.Llama4TextConfig(**TINY | dict(num_hidden_layers=4), intermediate_size_mlp=40, head_dim=8,
                                          num_local_experts=4, interleave_moe_layer_step=2, no_rope_layers=[1] * 4,
                                          layer_types=["full_attention"] * 4, rope_parameters=rope(rope_theta=5e5))),
    "llama4-maverick": dict(
        kind="Llama 4 Maverick", arch="llama4", model=t.Llama4ForCausalLM, columns=True,
        gguf=experts_gguf(columns=True), cache=False,
        keys=moe_keys(128, used=1, wide=8, feed_forward_length=40, interleave_moe_layer_step=2),
        config=lambda: t.Llama4TextConfig(**TINY | dict(intermediate_size=8), intermediate_size_mlp=40, head_dim=8,
                                          num_local_experts=128, interleave_moe_layer_step=2, use_qk_norm=False,
                                          rope_parameters=rope(rope_theta=5e5))),
    "glm4.5-air": dict(
        kind="GLM 4.5", arch="glm4moe", model=t.Glm4MoeForCausalLM, gguf=experts_gguf(), constants=lambda c: {"blk.2.nextn.enorm.weight": [1.0] * 32},
        hf=experts_hf("gate_proj", "up_proj", "down_proj"),
        keys=moe_keys(8, rope__dimension_count=4, expert_shared_count=1, leading_dense_block_count=1,
                      nextn_predict_layers=1, block_count=3, expert_gating_func=2, expert_weights_scale=1.0, expert_weights_norm=True),
        config=lambda: t.Glm4MoeConfig(**TINY, **MOE, head_dim=8, n_routed_experts=8, n_shared_experts=1,
                                       first_k_dense_replace=1, n_group=1, topk_group=1, attention_bias=True,
                                       num_nextn_predict_layers=0, rope_parameters=rope(partial_rotary_factor=0.5))),
}
