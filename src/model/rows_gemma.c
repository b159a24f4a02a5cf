// Gemma (Google DeepMind, 2024 to 2026): embeddings scaled, norms stored less 1, from the second on norms around each
// branch, windows and soft caps.
#include "model/families.h"

#define GEMMA                                                                                                          \
    .norms.kind = NORM_RMS, .norms.hf_offset = true, .mlp.activation = ACT_GELU_TANH, .mlp.gated = true,               \
    .scale.embed_root = true, .may_bias = BIAS_QKV | BIAS_ATTN_OUT

#define AROUND                                                                                                         \
    {ROLE_ATTN_POST_NORM, NULL, "model.layers.%u.post_attention_layernorm.weight"},                                    \
        {ROLE_MLP_NORM, NULL, "model.layers.%u.pre_feedforward_layernorm.weight"}, {                                   \
        ROLE_MLP_POST_NORM, NULL, "model.layers.%u.post_feedforward_layernorm.weight"                                  \
    }

static const struct rename around[] = {AROUND, {0}};

static const struct rename gemma4_names[] = {
    AROUND,
    {ROLE_ROUTER, NULL, "model.layers.%u.router.proj.weight"},
    {ROLE_EXPERT_GATE_UP, "blk.%u.ffn_gate_up_exps.weight", "model.layers.%u.experts.gate_up_proj"},
    {ROLE_EXPERT_GATE, "", ""},
    {ROLE_EXPERT_UP, "", ""},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.experts.down_proj"},
    {0},
};

// The fourth (2026): norms as they are, queries, keys and values normed in place of scaled scores.
#define GEMMA4                                                                                                         \
    .architecture = "gemma4", .hf_types = {"gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"},          \
    .norms.kind = NORM_RMS, .norms.place = NORM_AROUND, .attention.qk_norm = QK_NORM_HEAD,                             \
    .attention.value_norm = true, .attention.scale = 1, .window.every = 6, .window.own_heads = true,                   \
    .layer_inputs = true, .rope.local = true, .rope.local_base = 10000, .mlp.activation = ACT_GELU_TANH,               \
    .mlp.gated = true, .scale.embed_root = true, .gguf_merges = true

const struct family gemma_rows[] = {
    {
        GEMMA, .kind = "Gemma", .architecture = "gemma", .hf_types = {"gemma"},
        .mlp.gelu_is_tanh = true, // as its makers say of their first configs
    },
    {
        GEMMA,
        .kind = "Gemma 2",
        .architecture = "gemma2",
        .hf_types = {"gemma2"},
        .norms.place = NORM_AROUND,
        .window.every = 2,
        .attention.wide_layers = 46, // the 27B
        .names = around,
    },
    {
        GEMMA,
        .kind = "Gemma 3",
        .architecture = "gemma3",
        .hf_types = {"gemma3_text", "gemma3"},
        .norms.place = NORM_AROUND,
        .attention.qk_norm = QK_NORM_HEAD,
        .window.every = 6,
        .rope.local = true,
        .rope.local_base = 10000,
        .attention.wide_layers = 62, // the 27B
        .names = around,
    },
    {
        GEMMA,
        .kind = "EmbeddingGemma",
        .architecture = "gemma-embedding", // its folders say that they are of Gemma 3
        .bidirectional = true,
        .norms.place = NORM_AROUND,
        .attention.qk_norm = QK_NORM_HEAD,
        .window.every = 6,
        .rope.local = true,
        .rope.local_base = 10000,
        .names = around,
    },
    {
        GEMMA4,
        .kind = "Gemma 4",
        .hf = {{"enable_moe_block", 0, 0}},
        .gguf_not = {"blk.0.ffn_gate_inp.weight"},
        .names = around,
    },
    {
        GEMMA4,
        .kind = "Gemma 4 with experts",
        .hf = {{"enable_moe_block", 1, 0}},
        .gguf_has = {"blk.0.ffn_gate_inp.weight"},
        .experts.beside = true,
        .experts.normed = true,
        .names = gemma4_names,
    },
};
const size_t gemma_rows_n = sizeof gemma_rows / sizeof *gemma_rows;
