// Llama (Touvron et al., 2023) and similar models: RMSNorm before each branch, rotary positions, a gated MLP.
#include "model/families.h"

// llama.cpp's converter orders the rows of Llama's query and key matrices so that neighbours are rotated together.
#define LLAMA .norms.kind = NORM_RMS, .mlp.activation = ACT_SILU, .mlp.gated = true

static const struct rename phi3_names[] = {
    {ROLE_QKV, NULL, "model.layers.%u.self_attn.qkv_proj.weight"},
    {ROLE_GATE_UP, "blk.%u.ffn_up.weight", "model.layers.%u.mlp.gate_up_proj.weight"},
    {ROLE_GATE, "", ""},
    {0},
};

// Norms on the output of branches.
static const struct rename after_names[] = {
    {ROLE_ATTN_POST_NORM, NULL, "model.layers.%u.post_attention_layernorm.weight"},
    {ROLE_MLP_POST_NORM, NULL, "model.layers.%u.post_feedforward_layernorm.weight"},
    {0},
};

static const struct rename glm_names[] = {
    {ROLE_GATE_UP, "blk.%u.ffn_up.weight", "model.layers.%u.mlp.gate_up_proj.weight"},
    {ROLE_GATE, "", ""},
    {ROLE_ATTN_POST_NORM, NULL, "model.layers.%u.post_self_attn_layernorm.weight"},
    {ROLE_MLP_POST_NORM, NULL, "model.layers.%u.post_mlp_layernorm.weight"},
    {0},
};

static const struct rename seed_names[] = {{ROLE_MLP_NORM, "blk.%u.post_attention_norm.weight", NULL}, {0}};

static const struct rename internlm2_names[] = {
    {ROLE_EMBEDDING, NULL, "model.tok_embeddings.weight"},
    {ROLE_OUTPUT, NULL, "output.weight"},
    {ROLE_ATTN_NORM, NULL, "model.layers.%u.attention_norm.weight"},
    {ROLE_MLP_NORM, NULL, "model.layers.%u.ffn_norm.weight"},
    {ROLE_QKV, NULL, "model.layers.%u.attention.wqkv.weight"},
    {ROLE_Q, NULL, ""},
    {ROLE_ATTN_OUT, NULL, "model.layers.%u.attention.wo.weight"},
    {ROLE_GATE, NULL, "model.layers.%u.feed_forward.w1.weight"},
    {ROLE_UP, NULL, "model.layers.%u.feed_forward.w3.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.feed_forward.w2.weight"},
    {0},
};

static const struct rename baichuan_names[] = {
    {ROLE_QKV, NULL, "model.layers.%u.self_attn.W_pack.weight"}, {ROLE_Q, NULL, ""}, {0}};

// The second Baichuan has the first one's config.json but for the size of its vocabulary, by which everybody tells it.
// Of GGUF files nothing says whether the rows were made of length 1 before; they are taken to be.
#define BAICHUAN2                                                                                                      \
    LLAMA, .architecture = "baichuan", .hf_types = {"baichuan"}, .hf_only = true, .scale.hf_unit_output = true,        \
           .names = baichuan_names

const struct family llama_rows[] = {
    {
        LLAMA, .kind = "Llama", .architecture = "llama", .hf_types = {"llama", "mistral", "internlm3"},
        .rope.gguf_pairs = PAIRS_ADJACENT, .may_bias = BIAS_ALL,
        .experts.normed = true, // Mixtral's files say that they are Llama's
    },
    {
        LLAMA,
        .kind = "Qwen 2",
        .architecture = "qwen2",
        .hf_types = {"qwen2"},
        .biases = BIAS_QKV,
        .window.hf_told = true,
        .window.layers = WINDOWS_FROM,
    },
    {
        LLAMA,
        .kind = "Qwen 3",
        .architecture = "qwen3",
        .hf_types = {"qwen3"},
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .attention.qk_norm = QK_NORM_HEAD,
        .window.hf_told = true,
        .window.layers = WINDOWS_FROM,
    },
    {
        LLAMA,
        .kind = "Phi 3 and 4",
        .architecture = "phi3",
        .hf_types = {"phi3"},
        .names = phi3_names,
    },
    {
        LLAMA,
        .kind = "Granite",
        .architecture = "granite",
        .hf_types = {"granite"},
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_ALL,
        .scale.logits_divided = true,
    },
    {
        LLAMA,
        .kind = "MiniCPM",
        .architecture = "minicpm",
        .hf_types = {"minicpm"},
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .scale.logits_divided = true,
    },
    {
        LLAMA,
        .kind = "OLMo 2",
        .architecture = "olmo2",
        .hf_types = {"olmo2"},
        .norms.place = NORM_AFTER,
        .attention.qk_norm = QK_NORM_ROW,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .gguf_not = {"=olmo2.attention.sliding_window"},
        .names = after_names,
    },
    {
        LLAMA,
        .kind = "OLMo 3",
        .architecture = "olmo2",
        .hf_types = {"olmo3"},
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .norms.place = NORM_AFTER,
        .attention.qk_norm = QK_NORM_ROW,
        .window.every = 4,
        .rope.local = true,
        .gguf_has = {"=olmo2.attention.sliding_window"},
        .names = after_names,
    },
    {
        LLAMA,
        .kind = "EXAONE 4",
        .architecture = "exaone4",
        .hf_types = {"exaone4"},
        .norms.place = NORM_AFTER,
        .attention.qk_norm = QK_NORM_HEAD,
        .window.every = 4,
        .rope.windows_only = true,
        .names = after_names,
    },
    {
        LLAMA,
        .kind = "GLM 4",
        .architecture = "chatglm",
        .hf_types = {"glm"},
        .rope.hf_pairs = PAIRS_ADJACENT,
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .rope.part = 0.5,
        .may_bias = BIAS_QKV,
        .names = glm_names,
    },
    {
        LLAMA,
        .kind = "GLM 4 (0414)",
        .architecture = "glm4",
        .hf_types = {"glm4"},
        .norms.place = NORM_AROUND,
        .rope.hf_pairs = PAIRS_ADJACENT,
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .rope.part = 0.5,
        .may_bias = BIAS_QKV,
        .names = glm_names,
    },
    {
        LLAMA,
        .kind = "Seed-OSS",
        .architecture = "seed_oss",
        .hf_types = {"seed_oss"},
        .may_bias = BIAS_ALL,
        .names = seed_names,
    },
    {
        LLAMA,
        .kind = "SmolLM 3",
        .architecture = "smollm3",
        .hf_types = {"smollm3"},
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .rope.skip = 4,
        .window.hf_told = true,
        .window.layers = WINDOWS_UNROTATED,
        .may_bias = BIAS_ALL,
    },
    {
        LLAMA,
        .kind = "ERNIE 4.5",
        .architecture = "ernie4_5",
        .hf_types = {"ernie4_5"},
        .rope.hf_pairs = PAIRS_ADJACENT,
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_ALL,
    },
    {
        LLAMA,
        .kind = "InternLM 2",
        .architecture = "internlm2",
        .hf_types = {"internlm2"},
        .attention.hf_grouped = true,
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .may_bias = BIAS_QKV | BIAS_ATTN_OUT,
        .names = internlm2_names,
    },
    {
        BAICHUAN2,
        .kind = "Baichuan 2 13B kind: ALiBi, output of unit rows",
        .hf = {{"vocab_size", 125696, 0}, {"num_hidden_layers", 40, 0}},
        .positions = POSITIONS_ALIBI,
    },
    {
        BAICHUAN2,
        .kind = "Baichuan 2 7B kind: output of unit rows",
        .hf = {{"vocab_size", 125696, 0}},
        .rope.gguf_pairs = PAIRS_ADJACENT,
    },
    {
        LLAMA,
        .kind = "Baichuan 13B kind: ALiBi",
        .architecture = "baichuan",
        .hf_types = {"baichuan"},
        .hf = {{"num_hidden_layers", 40, 0}}, // as in llama.cpp: nothing else tells them apart
        .gguf = {{"block_count", 40, 0}},
        .positions = POSITIONS_ALIBI,
        .names = baichuan_names,
    },
    {
        LLAMA,
        .kind = "Baichuan 7B kind",
        .architecture = "baichuan",
        .hf_types = {"baichuan"},
        .rope.gguf_pairs = PAIRS_ADJACENT,
        .names = baichuan_names,
    },
};
const size_t llama_rows_n = sizeof llama_rows / sizeof *llama_rows;
