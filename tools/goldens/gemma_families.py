"""The Gemma 4 family, as model_families.py has the others."""
import transformers as t

from model_families import TINY, keys, rope
from models import VOCAB, Piece

S, F = "sliding_attention", "full_attention"


def with_windows(types, make=t.Gemma4TextConfig, **more):
    """What all of them have: layers that see everything have wider heads, a quarter of which is rotated."""
    return make(
        **TINY | dict(num_hidden_layers=len(types), head_dim=8, global_head_dim=16, sliding_window=20, layer_types=types,
                      hidden_size_per_layer_input=0, final_logit_softcapping=8.0,
                      rope_parameters={S: rope(), F: rope(rope_type="proportional", rope_theta=1e6,
                                                          partial_rotary_factor=0.25)}) | more)


def gemma4_keys(**more):
    common = dict(
        attention__sliding_window=20, attention__key_length=16, attention__value_length=16, attention__key_length_swa=8,
        attention__value_length_swa=8, rope__dimension_count=16, rope__dimension_count_swa=8, rope__freq_base=1e6,
        rope__freq_base_swa=1e4, final_logit_softcapping=8.0,
        attention__sliding_window_pattern=lambda c: [x == S for x in c.layer_types],
        attention__shared_kv_layers=lambda c: c.num_kv_shared_layers,
        embedding_length_per_layer_input=lambda c: getattr(c, "hidden_size_per_layer_input", 0))
    usual = keys(**common | more)

    def of(c):
        c.allow_global_per_layer_attribute_access = True
        return usual(c)
    return of


def gemma4_gguf(f, c, name, p, usual):
    """What llama.cpp calls a weight, and transformers does not; and scales."""
    if name.endswith("layer_scalar") or ".experts." in name:
        name = usual(name) + ".weight"
    elif name.endswith("router.scale"):
        name = usual(name.replace("router.scale", "router.proj")) + ".scale"
    elif name.endswith("per_expert_scale"):
        name = usual(name.replace("router.per_expert_scale", "experts.down_proj")) + ".scale"
    else:
        return False
    f.put(name, p.shape, [Piece(p, p.index())])
    return True


def inside(f, drawn):
    """The hub's folders: the text part of a model that sees."""
    for name, p in drawn.items():
        f.put(name.replace("model.", "model.language_model.", 1), p.shape, [Piece(p, p.index())])


def unread(f, drawn):
    """With keys and values of layers that read those of others."""
    for name, p in drawn.items():
        f.put(name, p.shape, [Piece(p, p.index())])
    for layer, like in ((4, 3), (5, 2), (6, 3), (7, 2)):
        for part in ("k_proj", "v_proj", "k_norm"):
            p = drawn[f"model.layers.{like}.self_attn.{part}.weight"]
            f.put(f"model.layers.{layer}.self_attn.{part}.weight", p.shape, [Piece(p, p.index())])


def quarter(c):
    """llama.cpp's files say which pairs are not rotated by dividing their frequencies by a lot."""
    return {"rope_freqs.weight": [1.0] * 2 + [1e30] * 6}


GEMMA4 = dict(arch="gemma4", model=t.Gemma4ForCausalLM, embed_scale=6, gguf=gemma4_gguf, constants=quarter,
              centers={"layer_scalar": 1, "router.scale": 1, "per_expert_scale": 1})

FAMILIES = {
    # As the 31B: in layers that see everything keys are values too, and there are fewer.
    "gemma4": GEMMA4 | dict(
        kind="Gemma 4", hf=inside, nested="gemma4", drop=["per_layer_config"],
        add=dict(global_head_dim=16, num_global_key_value_heads=1),
        keys=gemma4_keys(attention__head_count_kv=[2, 2, 1, 2, 2, 1]),
        config=lambda: with_windows([S, S, F, S, S, F], attention_k_eq_v=True, num_global_key_value_heads=1)),
    # As the 26B-A4B, as transformers itself writes it.
    "gemma4-moe": GEMMA4 | dict(
        kind="Gemma 4 with experts",
        keys=gemma4_keys(expert_count=8, expert_used_count=3, expert_feed_forward_length=24,
                         attention__head_count_kv=[2, 2, 1, 1]),
        config=lambda: with_windows([S, S, F, F], attention_k_eq_v=True, num_global_key_value_heads=1, num_experts=8,
                                    enable_moe_block=True, top_k_experts=3, moe_intermediate_size=24)),
    # As the 12B, which sees and hears without towers. (No hub model has a factor.)
    "gemma4-unified": GEMMA4 | dict(
        kind="Gemma 4", model=t.Gemma4UnifiedForCausalLM, drop=["hidden_size_per_layer_input"],
        constants=lambda c: {"rope_freqs.weight": [2.0] * 2 + [1e30] * 6}, keys=gemma4_keys(),
        config=lambda: with_windows([S, S, S, F], t.Gemma4UnifiedTextConfig, final_logit_softcapping=8.0, rope_parameters={
            S: rope(), F: rope(rope_type="proportional", rope_theta=1e6, partial_rotary_factor=0.25, factor=2.0)})),
    # As the E2B: a vector of its own for each layer; the last layers read the keys and values of those before them, and
    # have wider MLPs. The hub's folders hold the matrices that those do not use.
    "gemma4-e2b": GEMMA4 | dict(
        kind="Gemma 4", hf=unread, keys=gemma4_keys(feed_forward_length=[48, 48, 48, 48, 96, 96, 96, 96]),
        config=lambda: with_windows([S, S, F, S, S, F, S, F], num_key_value_heads=1, num_kv_shared_layers=4,
                                    use_double_wide_mlp=True, hidden_size_per_layer_input=12,
                                    vocab_size_per_layer_input=VOCAB)),
}
