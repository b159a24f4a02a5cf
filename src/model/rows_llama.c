// Llama (Touvron et al., 2023) and its kin: RMSNorm before each branch, rotary positions, a gated MLP.
#include "model/families.h"

// llama.cpp's converter orders the rows of Llama's query and key matrices so that neighbours are rotated together.
#define LLAMA .norm = NORM_RMS, .activation = ACT_SILU, .gated = true

const struct family llama_rows[] = {
    {
        LLAMA,
        .kind = "Llama",
        .architecture = "llama",
        .hf_types = {"llama", "mistral"},
        .gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_ALL,
    },
    {
        LLAMA,
        .kind = "Qwen 2",
        .architecture = "qwen2",
        .hf_types = {"qwen2"},
        .biases = BIAS_QKV,
        .window_told = true,
    },
    {
        LLAMA,
        .kind = "Qwen 3",
        .architecture = "qwen3",
        .hf_types = {"qwen3"},
        .may_bias = BIAS_QKV,
        .qk_norm = QK_NORM_HEAD,
        .window_told = true,
    },
};
const size_t llama_rows_n = sizeof llama_rows / sizeof *llama_rows;
