"""The families of tests/data/models whose layers keep a state; entries as in model_families.py."""
import transformers as t

from expert_families import LATENT, experts_gguf, experts_hf, latent_gguf, latent_keys, qwen2moe_gguf
from model_families import TINY, keys, rope
from models import CONTEXT, VOCAB, Piece


class CacheParams:
    """Mamba calls its cache otherwise."""

    def __init__(self, model):
        self.model = model

    def __call__(self, ids, past_key_values=None, use_cache=False):
        out = self.model(ids, cache_params=past_key_values, use_cache=use_cache)
        out.past_key_values = out.cache_params
        return out


def state_gguf(column=False, multipliers=None):
    """Decays instead of their logarithms; the convolution without the axis that is 1; Mamba-2's numbers for each head as
    columns; multipliers, of whole tensors or (rows, factor) of some, in the weights."""
    def put(f, c, name, p, usual):
        i, layer = p.index(), (name + "..").split(".")[2]
        axis = [1] if column else []
        for part, by in (multipliers(c) if multipliers else {}).items():
            if f"{part}.weight" in name:
                pieces, first = [], 0
                for rows, factor in by if isinstance(by, list) else [(len(i), by)]:
                    pieces.append(Piece(p, i[first:first + rows], 0, f"times {float(factor)!r}"))
                    first += rows
                f.put(usual(name), p.shape, pieces)
                return True
        if name.endswith("A_log"):
            f.put(f"blk.{layer}.ssm_a", [*p.shape, *axis], [Piece(p, i, 0, "decay")])
        elif name.endswith(".D"):
            f.put(f"blk.{layer}.ssm_d", [*p.shape, *axis], [Piece(p, i)])
        elif name.endswith("dt_bias"):
            f.put(f"blk.{layer}.ssm_dt.bias", p.shape, [Piece(p, i)])
        elif name.endswith("conv1d.weight"):
            f.put(usual(name), (p.shape[0], p.shape[2]), [Piece(p, i)])
        elif name.endswith(("mixer.norm.weight", "mamba.norm.weight")):
            groups = getattr(c, "n_groups", None) or c.mamba_n_groups
            f.put(usual(name), (groups, p.shape[0] // groups), [Piece(p, i)])
        else:
            return False
        return True
    return put


def mamba_keys(inner, steps, groups=None, **more):
    def of(c):
        k = {"block_count": c.num_hidden_layers, "context_length": 1 << 20, "embedding_length": c.hidden_size,
             "feed_forward_length": 0, "attention.head_count": 0, "ssm.conv_kernel": c.conv_kernel, "ssm.inner_size": inner,
             "ssm.state_size": c.state_size, "ssm.time_step_rank": steps,
             "attention.layer_norm_rms_epsilon": float(c.layer_norm_epsilon)}
        return k | ({"ssm.group_count": groups} if groups else {}) | {n.replace("__", "."): v for n, v in more.items()}
    return of


MAMBA = dict(vocab_size=VOCAB, num_hidden_layers=2, hidden_size=32, conv_kernel=4, layer_norm_epsilon=1e-5, bos_token_id=None,
             eos_token_id=None, pad_token_id=None)
STATE = dict(run=CacheParams, gguf=state_gguf(), centers={"dt_proj.bias": -2, "dt_bias": -2, ".D": 1})


def h1_multipliers(c):
    inner, keys, s = c.mamba_d_ssm, c.mamba_n_groups * c.mamba_d_state, c.ssm_multipliers
    parts = zip([inner, inner, keys, keys, c.mamba_n_heads], s)
    return {"embed_tokens": c.embedding_multiplier, "lm_head": c.lm_head_multiplier, "gate_proj": c.mlp_multipliers[0],
            "down_proj": c.mlp_multipliers[1], "q_proj": c.attention_in_multiplier, "v_proj": c.attention_in_multiplier,
            "k_proj": c.attention_in_multiplier * c.key_multiplier, "o_proj": c.attention_out_multiplier,
            "out_proj": c.ssm_out_multiplier, "in_proj": [(n, by * c.ssm_in_multiplier) for n, by in parts]}


def tiled(p, index, c, width=1):
    """Value heads that share a key head lie apart: the first of each key head, then the second."""
    keys, values = c.linear_num_key_heads, c.linear_num_value_heads
    return index.reshape(keys, values // keys, width, *index.shape[1:]).swapaxes(0, 1).reshape(index.shape)


def delta_gguf(turns):
    def put(f, c, name, p, usual):
        i, layer = p.index(), (name + "..").split(".")[2]
        keys, width = c.linear_num_key_heads * c.linear_key_head_dim, c.linear_value_head_dim

        def values(index, width=1):
            return tiled(p, index, c, width) if turns else index

        def split(index):
            return [Piece(p, index[:keys]), Piece(p, index[keys:2 * keys]), Piece(p, values(index[2 * keys:], width))]

        if name.endswith("A_log"):
            f.put(f"blk.{layer}.ssm_a", p.shape, [Piece(p, values(i), 0, "decay")])
        elif name.endswith("dt_bias"):
            f.put(f"blk.{layer}.ssm_dt.bias", p.shape, [Piece(p, values(i))])
        elif name.endswith("conv1d.weight"):
            f.put(usual(name), (p.shape[0], p.shape[2]), split(i))
        elif "in_proj_qkvz" in name:
            group = i.reshape(c.linear_num_key_heads, -1, i.shape[1])
            k, v = c.linear_key_head_dim, width * c.linear_num_value_heads // c.linear_num_key_heads
            cuts = [group[:, :k], group[:, k:2 * k], group[:, 2 * k:2 * k + v], group[:, 2 * k + v:]]
            rows = sum(x.shape[0] * x.shape[1] for x in cuts[:3])
            f.put(f"blk.{layer}.attn_qkv.weight", (rows, i.shape[1]), [Piece(p, x) for x in cuts[:3]])
            f.put(f"blk.{layer}.attn_gate.weight", (cuts[3].shape[0] * v, i.shape[1]), [Piece(p, cuts[3])])
        elif "in_proj_qkv." in name:
            f.put(usual(name), p.shape, split(i))
        elif "in_proj_z" in name:
            f.put(usual(name), p.shape, [Piece(p, values(i, width))])
        elif "in_proj_a." in name or "in_proj_b." in name:
            f.put(usual(name), p.shape, [Piece(p, values(i))])
        elif "linear_attn.out_proj" in name:
            f.put(usual(name), p.shape, [Piece(p, values(i.T, width).T)])
        elif name.endswith("norm.weight") and "linear_attn" not in name:
            f.put(usual(name), p.shape, [Piece(p, i, 1)])
        else:
            return qwen2moe_gguf(f, c, name, p, usual)
        return True
    return put


def delta_keys(**more):
    return keys(ssm__conv_kernel=4, ssm__state_size=8, ssm__group_count=2, ssm__time_step_rank=6, ssm__inner_size=72,
                full_attention_interval=4, rope__dimension_count=8, **more)


DELTA = dict(head_dim=16, linear_conv_kernel_dim=4, linear_key_head_dim=8, linear_value_head_dim=12, linear_num_key_heads=2,
             linear_num_value_heads=6, rope_parameters=rope(rope_theta=1e6, partial_rotary_factor=0.5))
FOUR = TINY | dict(num_hidden_layers=4)
MOE = dict(moe_intermediate_size=16, num_experts_per_tok=3, num_experts=8, shared_expert_intermediate_size=24)
MOE_KEYS = dict(expert_count=8, expert_used_count=3, expert_feed_forward_length=16, expert_shared_feed_forward_length=24)
KIMI_HUB = dict(num_experts=8, num_experts_per_token=3, num_expert_group=1, topk_group=1, num_shared_experts=1,
                moe_renormalize=True, model_max_length=CONTEXT, moe_router_activation_func="sigmoid", first_k_dense_replace=1,
                head_dim=8, mla_use_nope=True, rope_theta=10000.0, rope_scaling=None, use_grouped_topk=True,
                linear_attn_config=dict(full_attn_layers=[3, 5], kda_layers=[1, 2, 4], head_dim=8, num_heads=4,
                                        short_conv_kernel_size=4))
KIMI_DROP = ["max_position_embeddings", "norm_topk_prob", "n_group", "num_local_experts", "num_experts_per_tok",
             "n_shared_experts", "layer_types", "mlp_layer_types", "linear_head_dim", "linear_num_heads",
             "linear_conv_kernel_dim", "qk_head_dim"]
QWEN = dict(norm_center=0, centers={"dt_bias": -2, "linear_attn.norm": 1})


def kimi_names(name):
    """The hub's."""
    for old, new in ((".forget_gate.", "."), (".mlp.gate.", ".block_sparse_moe.gate."), (".mlp.experts.", ".block_sparse_moe.experts."),
                     (".mlp.shared_experts.", ".block_sparse_moe.shared_experts.")):
        name = name.replace(old, new)
    return name


def kimi_parts(p, name):
    """The convolutions of queries, keys and values."""
    i = p.index()
    third = len(i) // 3
    return [(name.replace("conv1d", f"{part}_conv1d"), i[k * third:(k + 1) * third]) for k, part in enumerate("qkv")]


def kimi_hf(f, drawn):
    rest = {}
    for name, p in drawn.items():
        if "conv1d" in name:
            for part, i in kimi_parts(p, name):
                f.put(part, i.shape, [Piece(p, i)])
        else:
            rest[kimi_names(name)] = p
    experts_hf("w1", "w3", "w2")(f, rest)


def kimi_gguf(f, c, name, p, usual):
    """llama.cpp's convolutions have four axes, and so have its decays."""
    i, layer = p.index(), (name + "..").split(".")[2]
    if "conv1d" in name:
        for part, rows in kimi_parts(p, name):
            f.put(usual(part), (1, rows.shape[0], 1, rows.shape[2]), [Piece(p, rows)])
    elif name.endswith("A_log"):
        f.put(f"blk.{layer}.ssm_a", p.shape, [Piece(p, i, 0, "decay")])
    elif name.endswith("dt_bias"):
        f.put(f"blk.{layer}.ssm_dt.bias", p.shape, [Piece(p, i)])
    elif "experts.gate_up" in name or "experts.down" in name or "kv_b_proj" in name or "e_score" in name:
        return experts_gguf(latent_gguf)(f, c, name, p, usual)
    else:
        f.put(usual(kimi_names(name)), p.shape, [Piece(p, i)])
    return True


FAMILIES = {
    "falcon-mamba": dict(
        STATE, kind="Falcon-Mamba", arch="mamba", model=t.FalconMambaForCausalLM, keys=mamba_keys(96, 5, ssm__dt_b_c_rms=True),
        config=lambda: t.FalconMambaConfig(**MAMBA, expand=3, state_size=8, time_step_rank=5, mixer_rms_eps=1e-5,
                                           tie_word_embeddings=False)),
    "mamba": dict(
        STATE, kind="Mamba", arch="mamba", model=t.MambaForCausalLM, keys=mamba_keys(64, 2),
        config=lambda: t.MambaConfig(**MAMBA, state_size=8)),
    "mamba2": dict(
        STATE | dict(gguf=state_gguf(True)), kind="Mamba 2", arch="mamba2", model=t.Mamba2ForCausalLM, keys=mamba_keys(64, 4, 1),
        config=lambda: t.Mamba2Config(**MAMBA, state_size=12, num_heads=4, head_dim=16, n_groups=1, chunk_size=16)),
    "mamba2-groups": dict(
        STATE | dict(gguf=state_gguf(True)), kind="Mamba 2", arch="mamba2", model=t.Mamba2ForCausalLM, keys=mamba_keys(64, 8, 2),
        config=lambda: t.Mamba2Config(**MAMBA, state_size=12, num_heads=8, head_dim=8, n_groups=2, chunk_size=16)),
    "falcon-h1": dict(
        kind="Falcon-H1", arch="falcon-h1", model=t.FalconH1ForCausalLM, gguf=state_gguf(True, h1_multipliers),
        centers=STATE["centers"],
        keys=keys(ssm__conv_kernel=4, ssm__inner_size=48, ssm__state_size=8, ssm__time_step_rank=4, ssm__group_count=2),
        config=lambda: t.FalconH1Config(
            **TINY, head_dim=12, mamba_d_ssm=48, mamba_n_heads=4, mamba_d_head=12, mamba_n_groups=2, mamba_d_state=8,
            mamba_chunk_size=16, mamba_rms_norm=True, mamba_norm_before_gate=False, rope_parameters=rope(rope_theta=1e5),
            embedding_multiplier=1.5, lm_head_multiplier=0.75, key_multiplier=0.5, attention_in_multiplier=1.25,
            attention_out_multiplier=0.8, ssm_in_multiplier=1.25, ssm_out_multiplier=0.7, mlp_multipliers=[0.6, 1.2],
            ssm_multipliers=[0.9, 1.1, 0.8, 1.2, 0.7])),
    "qwen3-next": dict(
        QWEN, kind="Qwen 3 Next", arch="qwen3next", model=t.Qwen3NextForCausalLM, gguf=delta_gguf(False),
        hf=experts_hf("gate_proj", "up_proj", "down_proj"), keys=delta_keys(**MOE_KEYS),
        config=lambda: t.Qwen3NextConfig(**FOUR, **DELTA, **MOE)),
    "qwen3.5": dict(
        QWEN, kind="Qwen 3.5 and 3.6", arch="qwen35", model=t.Qwen3_5ForCausalLM, gguf=delta_gguf(True), keys=delta_keys(),
        config=lambda: t.Qwen3_5TextConfig(**FOUR, **DELTA)),
    "kimi-linear": dict(
        kind="Kimi Linear", arch="kimi-linear", model=t.KimiLinearForCausalLM, hf=kimi_hf, gguf=kimi_gguf,
        centers={"dt_bias": -2}, drop=KIMI_DROP, add=KIMI_HUB,
        keys=latent_keys(8, lora=False, kv=[0, 0, 1, 0, 1], ssm__conv_kernel=4, kda__head_dim=8,
                         expert_shared_count=1, expert_weights_scale=2.446, expert_gating_func=2, used=3),
        config=lambda: t.KimiLinearConfig(
            **{k: v for k, v in TINY.items() if k not in ("max_position_embeddings", "num_hidden_layers", "num_key_value_heads")},
            num_hidden_layers=5, num_key_value_heads=4, n_group=1, num_experts_per_tok=3, num_local_experts=8,
            moe_intermediate_size=16, max_position_embeddings=CONTEXT, **{k: v for k, v in LATENT.items() if k not in ("q_lora_rank", "first_k_dense_replace")},
            linear_attn_config=KIMI_HUB["linear_attn_config"], first_k_dense_replace=1)),
    "qwen3.5-moe": dict(
        QWEN, kind="Qwen 3.5 and 3.6, experts", arch="qwen35moe", model=t.Qwen3_5MoeForCausalLM, gguf=delta_gguf(True),
        keys=delta_keys(**MOE_KEYS),
        config=lambda: t.Qwen3_5MoeTextConfig(**{k: v for k, v in FOUR.items() if k != "intermediate_size"}, **DELTA, **MOE)),
}
