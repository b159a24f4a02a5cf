// Mixtures of experts, with the attention of Llama and similar models.
#include "model/families.h"

#define EXPERTS .norms.kind = NORM_RMS, .mlp.activation = ACT_SILU, .mlp.gated = true

// Latent attention, and experts of which some are shared (DeepSeek-V2 and V3, 2024). Biases that a config may ask for
// are in no model, and refused.
#define LATENT                                                                                                         \
    EXPERTS, .latent.attends = true, .latent.eps = 1e-6f, .names = deepseek_names, .rope.hf_pairs = PAIRS_ADJACENT,    \
             .rope.gguf_pairs = PAIRS_ADJACENT

// And the best experts of the best groups, by two of each.
#define LATENT3 LATENT, .experts.route = ROUTE_SIGMOID, .experts.normed = true, .experts.pairs = true

// Queries come straight from the input, or by way of a latent vector.
static const struct rename deepseek_names[] = {
    {ROLE_Q, "blk.%u.attn_q_b.weight|blk.%u.attn_q.weight",
     "model.layers.%u.self_attn.q_b_proj.weight|model.layers.%u.self_attn.q_proj.weight"},
    {0},
};

static const struct rename mixtral_names[] = {
    {ROLE_ROUTER, NULL, "model.layers.%u.block_sparse_moe.gate.weight"},
    {ROLE_EXPERT_GATE, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w1.weight"},
    {ROLE_EXPERT_UP, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w3.weight"},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w2.weight"},
    {0},
};

static const struct rename granite_names[] = {
    {ROLE_ROUTER, NULL, "model.layers.%u.block_sparse_moe.router.layer.weight"},
    {ROLE_EXPERT_GATE_UP, NULL, "model.layers.%u.block_sparse_moe.input_linear.weight"},
    {ROLE_EXPERT_GATE, NULL, ""},
    {ROLE_EXPERT_UP, NULL, ""},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.block_sparse_moe.output_linear.weight"},
    {ROLE_SHARED_GATE_UP, NULL, "model.layers.%u.shared_mlp.input_linear.weight"},
    {ROLE_SHARED_GATE, NULL, ""},
    {ROLE_SHARED_UP, NULL, ""},
    {ROLE_SHARED_DOWN, NULL, "model.layers.%u.shared_mlp.output_linear.weight"},
    {0},
};

static const struct rename qwen2_names[] = {
    {ROLE_SHARED_GATE, NULL, "model.layers.%u.mlp.shared_expert.gate_proj.weight"},
    {ROLE_SHARED_UP, NULL, "model.layers.%u.mlp.shared_expert.up_proj.weight"},
    {ROLE_SHARED_DOWN, NULL, "model.layers.%u.mlp.shared_expert.down_proj.weight"},
    {ROLE_SHARED_ROUTER, NULL, "model.layers.%u.mlp.shared_expert_gate.weight"},
    {0},
};

static const struct rename glm_names[] = {{ROLE_MLP_NORM, "blk.%u.post_attention_norm.weight", NULL}, {0}};

static const struct rename gpt_oss_names[] = {
    {ROLE_MLP_NORM, "blk.%u.post_attention_norm.weight", NULL},
    {ROLE_ROUTER, NULL, "model.layers.%u.mlp.router.weight"},
    {ROLE_EXPERT_GATE_UP, NULL, "model.layers.%u.mlp.experts.gate_up_proj"},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.mlp.experts.down_proj"},
    {0},
};

static const struct rename llama4_names[] = {
    {ROLE_GATE, NULL, "model.layers.%u.feed_forward.gate_proj.weight"},
    {ROLE_UP, NULL, "model.layers.%u.feed_forward.up_proj.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.feed_forward.down_proj.weight"},
    {ROLE_ROUTER, NULL, "model.layers.%u.feed_forward.router.weight"},
    {ROLE_EXPERT_GATE_UP, NULL, "model.layers.%u.feed_forward.experts.gate_up_proj"},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.feed_forward.experts.down_proj"},
    {ROLE_SHARED_GATE, NULL, "model.layers.%u.feed_forward.shared_expert.gate_proj.weight"},
    {ROLE_SHARED_UP, NULL, "model.layers.%u.feed_forward.shared_expert.up_proj.weight"},
    {ROLE_SHARED_DOWN, NULL, "model.layers.%u.feed_forward.shared_expert.down_proj.weight"},
    {0},
};

// The text part.
#define LLAMA4                                                                                                         \
    EXPERTS, .architecture = "llama4", .hf_types = {"llama4_text", "llama4"}, .rope.hf_pairs = PAIRS_ADJACENT,         \
             .rope.gguf_pairs = PAIRS_ADJACENT, .rope.skip = 4, .chunks.size = 8192, .chunks.temper_every = 8192,      \
             .chunks.temper = 0.1, .experts.route = ROUTE_SIGMOID, .experts.at_input = true,                           \
             .experts.hf_layout = EXPERTS_COLUMNS, .names = llama4_names, .may_bias = BIAS_QKV | BIAS_ATTN_OUT

const struct family expert_rows[] = {
    {
        EXPERTS,
        .kind = "Mixtral",
        .architecture = "llama",
        .hf_types = {"mixtral"},
        .hf_only = true, // its GGUF files are Llama's
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .experts.normed = true,
        .names = mixtral_names,
    },
    {
        EXPERTS,
        .kind = "Granite MoE",
        .architecture = "granitemoe",
        .hf_types = {"granitemoe", "granitemoeshared"},
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .scale.logits_divided = true,
        .experts.route = ROUTE_CHOSEN,
        .names = granite_names,
    },
    {
        EXPERTS,
        .kind = "Qwen 2 MoE",
        .architecture = "qwen2moe",
        .hf_types = {"qwen2_moe"},
        .window.hf_told = true,
        .window.layers = WINDOWS_BELOW,
        .may_bias = BIAS_QKV,
        .names = qwen2_names,
    },
    {
        EXPERTS,
        .kind = "Qwen 3 MoE",
        .architecture = "qwen3moe",
        .hf_types = {"qwen3_moe"},
        .window.hf_told = true,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .attention.qk_norm = QK_NORM_HEAD,
        .experts.normed = true,
    },
    {
        EXPERTS,
        .kind = "OLMoE",
        .architecture = "olmoe",
        .hf_types = {"olmoe"},
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .attention.qk_norm = QK_NORM_ROW,
    },
    {
        EXPERTS,
        .kind = "GLM 4.5",
        .architecture = "glm4moe",
        .hf_types = {"glm4_moe"},
        .hf = {{"use_qk_norm", 0, 0}},
        .gguf_not = {"blk.0.attn_q_norm.weight"},
        .rope.part = 0.5,
        .may_bias = BIAS_QKV,
        .experts.route = ROUTE_SIGMOID,
        .experts.normed = true,
        .experts.pairs = true,
        .names = glm_names,
    },
    {
        EXPERTS,
        .kind = "GLM 4.5, with norms of queries and keys",
        .architecture = "glm4moe",
        .hf_types = {"glm4_moe"},
        .hf = {{"use_qk_norm", 1, 0}},
        .gguf_has = {"blk.0.attn_q_norm.weight"},
        .rope.part = 0.5,
        .may_bias = BIAS_QKV,
        .attention.qk_norm = QK_NORM_HEAD,
        .experts.route = ROUTE_SIGMOID,
        .experts.normed = true,
        .experts.pairs = true,
        .names = glm_names,
    },
    {
        EXPERTS,
        .kind = "gpt-oss",
        .architecture = "gpt-oss",
        .hf_types = {"gpt_oss"},
        .window.every = 2,
        .attention.sinks = true,
        .rope.yarn_exact = true,
        .mlp.limit = 7,
        .mlp.alpha = 1.702f,
        .biases = BIAS_EXPERTS,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .experts.route = ROUTE_CHOSEN,
        .experts.hf_layout = EXPERTS_COLUMNS_PAIRED,
        .names = gpt_oss_names,
    },
    {
        LLAMA4, .kind = "Llama 4 Maverick", .hf = {{"use_qk_norm", 0, 1}},
        .gguf = {{"expert_count", 128, 0}}, // as in llama.cpp: nothing else tells them apart
    },
    {
        LLAMA4,
        .kind = "Llama 4 Scout: norms of queries and keys",
        .hf = {{"use_qk_norm", 1, 1}},
        .attention.qk_norm = QK_NORM_PLAIN,
    },
    {
        LATENT3,
        .architecture = "deepseek2",
        .kind = "DeepSeek V3, and Kimi K2",
        .hf_types = {"deepseek_v3", "kimi_k2"},
        .gguf = {{"expert_gating_func", 2, 0}},
    },
    {
        LATENT,
        .architecture = "deepseek2",
        .kind = "DeepSeek V2",
        .hf_types = {"deepseek_v2"},
    },
    {
        LATENT3,
        .kind = "DeepSeek V3.2",
        .architecture = "deepseek32",
        .hf_types = {"deepseek_v32"},
        .latent.indexed = true,
    },
    {
        LATENT3,
        .kind = "GLM 5",
        .architecture = "glm-dsa",
        .hf_types = {"glm_moe_dsa"},
        .latent.indexed = true,
        .latent.index_pairs = PAIRS_ADJACENT,
        .latent.indexers_shared = true,
    },
};
const size_t expert_rows_n = sizeof expert_rows / sizeof *expert_rows;
