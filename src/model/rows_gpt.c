// Decoders with LayerNorm: GPT-2 (Radford et al., 2019) and those that came of it by way of GPT-NeoX (Black et al.,
// 2022).
#include "model/families.h"

static const struct rename gpt2_names[] = {
    {ROLE_EMBEDDING, NULL, "transformer.wte.weight"},
    {ROLE_POSITIONS, NULL, "transformer.wpe.weight"},
    {ROLE_FINAL_NORM, NULL, "transformer.ln_f.weight"},
    {ROLE_ATTN_NORM, NULL, "transformer.h.%u.ln_1.weight"},
    {ROLE_MLP_NORM, NULL, "transformer.h.%u.ln_2.weight"},
    {ROLE_QKV, NULL, "transformer.h.%u.attn.c_attn.weight"},
    {ROLE_Q, "", ""},
    {ROLE_ATTN_OUT, NULL, "transformer.h.%u.attn.c_proj.weight"},
    {ROLE_UP, NULL, "transformer.h.%u.mlp.c_fc.weight"},
    {ROLE_DOWN, NULL, "transformer.h.%u.mlp.c_proj.weight"},
    {0},
};

static const struct rename neox_names[] = {
    {ROLE_EMBEDDING, NULL, "gpt_neox.embed_in.weight"},
    {ROLE_FINAL_NORM, NULL, "gpt_neox.final_layer_norm.weight"},
    {ROLE_OUTPUT, NULL, "embed_out.weight|lm_head.weight"},
    {ROLE_ATTN_NORM, NULL, "gpt_neox.layers.%u.input_layernorm.weight"},
    {ROLE_MLP_NORM, NULL, "gpt_neox.layers.%u.post_attention_layernorm.weight"},
    {ROLE_QKV, NULL, "gpt_neox.layers.%u.attention.query_key_value.weight"},
    {ROLE_Q, "", ""},
    {ROLE_ATTN_OUT, NULL, "gpt_neox.layers.%u.attention.dense.weight"},
    {ROLE_UP, NULL, "gpt_neox.layers.%u.mlp.dense_h_to_4h.weight"},
    {ROLE_DOWN, NULL, "gpt_neox.layers.%u.mlp.dense_4h_to_h.weight"},
    {0},
};

static const struct rename phi_names[] = {
    {ROLE_FINAL_NORM, NULL, "model.final_layernorm.weight"},
    {ROLE_ATTN_OUT, NULL, "model.layers.%u.self_attn.dense.weight"},
    {ROLE_UP, NULL, "model.layers.%u.mlp.fc1.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.mlp.fc2.weight"},
    {0},
};

static const struct rename starcoder2_names[] = {
    {ROLE_UP, NULL, "model.layers.%u.mlp.c_fc.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.mlp.c_proj.weight"},
    {0},
};

static const struct rename stablelm_names[] = {
    {ROLE_Q_NORM, NULL, "model.layers.%u.self_attn.q_layernorm.norms.%u.weight"},
    {ROLE_K_NORM, NULL, "model.layers.%u.self_attn.k_layernorm.norms.%u.weight"},
    {0},
};

#define NEOX                                                                                                           \
    .architecture = "gptneox", .hf_types = {"gpt_neox"}, .norms.kind = NORM_LAYER, .norms.biases = true,               \
    .mlp.activation = ACT_GELU, .rope.part = 0.25, .attention.hf_grouped = true, .biases = BIAS_MLP,                   \
    .may_bias = BIAS_QKV | BIAS_ATTN_OUT, .names = neox_names

#define STABLELM                                                                                                       \
    .architecture = "stablelm", .hf_types = {"stablelm"}, .norms.kind = NORM_LAYER, .norms.biases = true,              \
    .mlp.activation = ACT_SILU, .mlp.gated = true, .rope.part = 0.25, .may_bias = BIAS_QKV, .names = stablelm_names

#define COHERE                                                                                                         \
    .norms.kind = NORM_LAYER, .norms.shared = true, .residual = RESIDUAL_PARALLEL, .rope.hf_pairs = PAIRS_ADJACENT,    \
    .rope.gguf_pairs = PAIRS_ADJACENT, .mlp.activation = ACT_SILU, .mlp.gated = true,                                  \
    .may_bias = BIAS_QKV | BIAS_ATTN_OUT

const struct family gpt_rows[] = {
    {
        .kind = "GPT-2",
        .architecture = "gpt2",
        .hf_types = {"gpt2"},
        .norms.kind = NORM_LAYER,
        .norms.biases = true,
        .positions = POSITIONS_LEARNED,
        .mlp.activation = ACT_GELU_TANH,
        .hf_transposed = true,
        .biases = BIAS_ALL,
        .names = gpt2_names,
    },
    {
        NEOX,
        .kind = "GPT-NeoX",
        .hf = {{"use_parallel_residual", 1, 1}},
        .gguf = {{"use_parallel_residual", 1, 1}},
        .residual = RESIDUAL_PARALLEL,
    },
    {
        NEOX,
        .kind = "GPT-NeoX, serial",
        .hf = {{"use_parallel_residual", 0, 1}},
        .gguf = {{"use_parallel_residual", 0, 1}},
    },
    {
        .kind = "Phi 1 and 2",
        .architecture = "phi2",
        .hf_types = {"phi"},
        .norms.kind = NORM_LAYER,
        .norms.biases = true,
        .norms.shared = true,
        .residual = RESIDUAL_PARALLEL,
        .rope.part = 0.5,
        .mlp.activation = ACT_GELU_TANH,
        .biases = BIAS_ALL | BIAS_OUTPUT,
        .names = phi_names,
    },
    {
        STABLELM,
        .kind = "StableLM",
        .hf = {{"use_parallel_residual", 0, 0}, {"qk_layernorm", 0, 0}},
        .gguf_not = {"blk.0.attn_q_norm.weight"},
    },
    {
        STABLELM,
        .kind = "StableLM 2 12B kind: parallel, norms of queries and keys",
        .hf = {{"use_parallel_residual", 1, 0}, {"qk_layernorm", 1, 0}},
        .gguf_has = {"blk.0.attn_q_norm.weight"},
        .residual = RESIDUAL_PARALLEL,
        .norms.shared = true,
        .attention.qk_norm = QK_NORM_EACH,
    },
    {
        .kind = "StarCoder 2",
        .architecture = "starcoder2",
        .hf_types = {"starcoder2"},
        .norms.kind = NORM_LAYER,
        .norms.biases = true,
        .mlp.activation = ACT_GELU_TANH,
        .may_bias = BIAS_ALL,
        .names = starcoder2_names,
    },
    {
        .kind = "Nemotron",
        .architecture = "nemotron",
        .hf_types = {"nemotron"},
        .norms.kind = NORM_LAYER,
        .norms.biases = true,
        .norms.hf_offset = true,
        .rope.part = 0.5,
        .mlp.activation = ACT_RELU2,
        .may_bias = BIAS_ALL,
    },
    {
        COHERE,
        .kind = "Command-R",
        .architecture = "command-r",
        .hf_types = {"cohere"},
        .hf = {{"use_qk_norm", 0, 0}},
        .gguf_not = {"blk.0.attn_q_norm.weight"},
    },
    {
        COHERE,
        .kind = "Command-R+",
        .architecture = "command-r",
        .hf_types = {"cohere"},
        .hf = {{"use_qk_norm", 1, 0}},
        .gguf_has = {"blk.0.attn_q_norm.weight"},
        .attention.qk_norm = QK_NORM_EACH,
    },
    {
        COHERE,
        .kind = "Command-R7B and Command A",
        .architecture = "cohere2",
        .hf_types = {"cohere2"},
        .window.every = 4,
        .rope.windows_only = true,
    },
};
const size_t gpt_rows_n = sizeof gpt_rows / sizeof *gpt_rows;
