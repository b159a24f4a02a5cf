// Falcon (Almazrouei et al., "The Falcon Series of Open Language Models", 2023). The GGUF names are those of
// llama.cpp's converter, which calls the norm in front of the 40B's MLP attn_norm and the one in front of its attention
// attn_norm_2.
#include "model/families.h"

#define FALCON_NAMES                                                                                                   \
    {ROLE_EMBEDDING, NULL, "transformer.word_embeddings.weight"}, {ROLE_FINAL_NORM, NULL, "transformer.ln_f.weight"},  \
        {ROLE_Q, "", ""}, {ROLE_QKV, NULL, "transformer.h.%u.self_attention.query_key_value.weight"},                  \
        {ROLE_ATTN_OUT, NULL, "transformer.h.%u.self_attention.dense.weight"},                                         \
        {ROLE_UP, NULL, "transformer.h.%u.mlp.dense_h_to_4h.weight"}, {                                                \
        ROLE_DOWN, NULL, "transformer.h.%u.mlp.dense_4h_to_h.weight"                                                   \
    }

static const struct rename one_norm[] = {
    FALCON_NAMES, {ROLE_ATTN_NORM, NULL, "transformer.h.%u.input_layernorm.weight"}, {0}};
static const struct rename two_norms[] = {
    FALCON_NAMES,
    {ROLE_ATTN_NORM, "blk.%u.attn_norm_2.weight", "transformer.h.%u.ln_attn.weight"},
    {ROLE_MLP_NORM, "blk.%u.attn_norm.weight", "transformer.h.%u.ln_mlp.weight"},
    {0}};
static const struct rename serial[] = {FALCON_NAMES,
                                       {ROLE_ATTN_NORM, NULL, "transformer.h.%u.input_layernorm.weight"},
                                       {ROLE_MLP_NORM, NULL, "transformer.h.%u.post_attention_layernorm.weight"},
                                       {0}};

#define FALCON                                                                                                         \
    .architecture = "falcon", .norms.kind = NORM_LAYER, .mlp.activation = ACT_GELU, .norms.biases = true,              \
    .attention.hf_grouped = true

const struct family falcon_rows[] = {
    {
        FALCON,
        .hf_types = {"falcon"},
        .kind = "Falcon-40B kind: grouped heads, parallel, two norms",
        .hf = {{"new_decoder_architecture", 1, 0}, {"alibi", 0, 0}, {"num_ln_in_parallel_attn", 2, 2}, {"bias", 0, 0}},
        .gguf_has = {"blk.0.attn_norm_2.weight"},
        .gguf_not = {"=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .attention.hf_kv_heads = KV_HEADS_KEY,
        .names = two_norms,
    },
    {
        FALCON,
        .hf_types = {"RefinedWeb"}, // the 40B as first published, before the architecture had its name
        .kind = "Falcon-40B kind: grouped heads, parallel, two norms",
        .hf = {{"alibi", 0, 0}, {"parallel_attn", 1, 1}, {"bias", 0, 0}},
        .hf_only = true,
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .attention.hf_kv_heads = KV_HEADS_KEY,
        .names = two_norms,
    },
    {
        FALCON,
        .hf_types = {"falcon"},
        .kind = "Falcon2-11B kind: grouped heads, parallel, one norm",
        .hf = {{"new_decoder_architecture", 1, 0}, {"alibi", 0, 0}, {"num_ln_in_parallel_attn", 1, 2}, {"bias", 0, 0}},
        .hf_only = true, // no GGUF file tells it from the 7B kind, and none has to
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .attention.hf_kv_heads = KV_HEADS_KEY,
        .norms.shared = true,
        .names = one_norm,
    },
    {
        FALCON,
        .hf_types = {"falcon", "RefinedWebModel"},
        .kind = "Falcon-7B kind: multi-query, parallel, one norm",
        .hf = {{"new_decoder_architecture", 0, 0},
               {"alibi", 0, 0},
               {"parallel_attn", 1, 1},
               {"multi_query", 1, 1},
               {"bias", 0, 0}},
        .gguf_not = {"blk.0.attn_norm_2.weight", "blk.0.ffn_norm.weight", "=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_PARALLEL,
        .positions = POSITIONS_ROTARY,
        .attention.hf_kv_heads = KV_HEADS_ONE,
        .norms.shared = true,
        .names = one_norm,
    },
    {
        FALCON,
        .hf_types = {"falcon", "RefinedWebModel"},
        .kind = "Falcon-RW kind: ALiBi, serial, biases",
        .hf = {{"new_decoder_architecture", 0, 0},
               {"alibi", 1, 0},
               {"parallel_attn", 0, 1},
               {"multi_query", 0, 1},
               {"bias", 1, 0}},
        .gguf_has = {"=falcon.attention.max_alibi_bias"},
        .residual = RESIDUAL_SERIAL,
        .positions = POSITIONS_ALIBI,
        .attention.hf_kv_heads = KV_HEADS_ALL,
        .biases = BIAS_ALL,
        .attention.alibi_bf16 = true,
        .names = serial,
    },
};

const size_t falcon_rows_n = sizeof falcon_rows / sizeof *falcon_rows;
