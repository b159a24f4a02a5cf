// Gemma (Google DeepMind, 2024 and 2025): embeddings scaled, norms stored less 1, from the second on norms around each
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
};
const size_t gemma_rows_n = sizeof gemma_rows / sizeof *gemma_rows;
