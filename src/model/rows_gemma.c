// Gemma (Google DeepMind, 2024 to 2026): embeddings scaled, norms stored less 1, from the second on norms around each
// branch, windows and soft caps.
#include "model/families.h"

#define GEMMA                                                                                                          \
    .norm = NORM_RMS, .hf_norm_offset = true, .activation = ACT_GELU_TANH, .gated = true, .embed_root = true,          \
    .may_bias = BIAS_QKV | BIAS_ATTN_OUT

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
    .norm = NORM_RMS, .norm_place = NORM_AROUND, .qk_norm = QK_NORM_HEAD, .value_norm = true, .attn_scale = 1,         \
    .window_every = 6, .local_heads = true, .layer_inputs = true, .local_rope = true, .local_base = 10000,             \
    .activation = ACT_GELU_TANH, .gated = true, .embed_root = true, .gguf_merges = true

const struct family gemma_rows[] = {
    {
        GEMMA, .kind = "Gemma", .architecture = "gemma", .hf_types = {"gemma"},
        .gelu_is_tanh = true, // as its makers say of their first configs
    },
    {
        GEMMA,
        .kind = "Gemma 2",
        .architecture = "gemma2",
        .hf_types = {"gemma2"},
        .norm_place = NORM_AROUND,
        .window_every = 2,
        .wide_layers = 46, // the 27B
        .names = around,
    },
    {
        GEMMA,
        .kind = "Gemma 3",
        .architecture = "gemma3",
        .hf_types = {"gemma3_text", "gemma3"},
        .norm_place = NORM_AROUND,
        .qk_norm = QK_NORM_HEAD,
        .window_every = 6,
        .local_rope = true,
        .local_base = 10000,
        .wide_layers = 62, // the 27B
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
        .experts_beside = true,
        .route_normed = true,
        .names = gemma4_names,
    },
};
const size_t gemma_rows_n = sizeof gemma_rows / sizeof *gemma_rows;
