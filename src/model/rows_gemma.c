// Gemma (Google DeepMind, 2024 to 2026): embeddings scaled, norms stored less 1, from the second on norms around each
// branch, windows and soft caps.
#include "model/families.h"

#define GEMMA .norm = NORM_RMS, .hf_norm_offset = true, .activation = ACT_GELU_TANH, .gated = true, .embed_root = true

static const struct rename around[] = {
    {ROLE_ATTN_POST_NORM, NULL, "model.layers.%u.post_attention_layernorm.weight"},
    {ROLE_MLP_NORM, NULL, "model.layers.%u.pre_feedforward_layernorm.weight"},
    {ROLE_MLP_POST_NORM, NULL, "model.layers.%u.post_feedforward_layernorm.weight"},
    {0},
};

const struct family gemma_rows[] = {
    {
        GEMMA,
        .kind = "Gemma",
        .architecture = "gemma",
        .hf_types = {"gemma"},
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
        .kind = "Gemma 4",
        .architecture = "gemma4",
        .hf_types = {"gemma4_text", "gemma4", "gemma4_unified_text", "gemma4_unified"},
        .hf = {{"enable_moe_block", 0, 0}, {"hidden_size_per_layer_input", 0, 0}, {"attention_bias", 0, 0}},
        .names = around,
        .norm = NORM_RMS,
        .norm_place = NORM_AROUND,
        .qk_norm = QK_NORM_HEAD,
        .value_norm = true,
        .attn_scale = 1,
        .window_every = 6,
        .local_heads = true,
        .local_rope = true,
        .local_base = 10000,
        .activation = ACT_GELU_TANH,
        .gated = true,
        .embed_root = true,
    },
};
const size_t gemma_rows_n = sizeof gemma_rows / sizeof *gemma_rows;
