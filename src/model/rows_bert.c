// Encoders: BERT (Devlin et al., 2018) and what came of it. Tokens see each other all, and no output matrix makes words
// of what the layers give.
#include "model/families.h"

#define ENCODER .norms.kind = NORM_LAYER, .norms.embedding = true, .bidirectional = true, .encoder = true

// Norms of the stream once a branch has joined it, and none behind the last layer.
#define POST .norms.place = NORM_JOINED, .norms.no_final = true, .norms.biases = true, .types = true

// The first word is that of the model's class, and left out where there is no head.
#define BERT_NAMES(front)                                                                                              \
    {ROLE_EMBEDDING, NULL, front "embeddings.word_embeddings.weight"},                                                 \
        {ROLE_POSITIONS, NULL, front "embeddings.position_embeddings.weight"},                                         \
        {ROLE_TYPES, NULL, front "embeddings.token_type_embeddings.weight"},                                           \
        {ROLE_EMBED_NORM, NULL, front "embeddings.LayerNorm.weight"},                                                  \
        {ROLE_Q, NULL, front "encoder.layer.%u.attention.self.query.weight"},                                          \
        {ROLE_K, NULL, front "encoder.layer.%u.attention.self.key.weight"},                                            \
        {ROLE_V, NULL, front "encoder.layer.%u.attention.self.value.weight"},                                          \
        {ROLE_ATTN_OUT, NULL, front "encoder.layer.%u.attention.output.dense.weight"},                                 \
        {ROLE_ATTN_POST_NORM, "blk.%u.attn_output_norm.weight",                                                        \
         front "encoder.layer.%u.attention.output.LayerNorm.weight"},                                                  \
        {ROLE_UP, NULL, front "encoder.layer.%u.intermediate.dense.weight"},                                           \
        {ROLE_DOWN, NULL, front "encoder.layer.%u.output.dense.weight"}, {                                             \
        ROLE_MLP_POST_NORM, "blk.%u.layer_output_norm.weight", front "encoder.layer.%u.output.LayerNorm.weight"        \
    }

static const struct rename bert_names[] = {BERT_NAMES("bert."), {0}};
static const struct rename roberta_names[] = {BERT_NAMES("roberta."), {0}};

static const struct rename nomic_names[] = {
    {ROLE_EMBEDDING, NULL, "nomic_bert.embeddings.word_embeddings.weight"},
    {ROLE_TYPES, NULL, "nomic_bert.embeddings.token_type_embeddings.weight"},
    {ROLE_EMBED_NORM, NULL, "nomic_bert.emb_ln.weight|nomic_bert.embeddings.LayerNorm.weight"},
    {ROLE_QKV, NULL, "nomic_bert.encoder.layers.%u.attn.Wqkv.weight"},
    {ROLE_Q, NULL, "nomic_bert.layers.%u.self_attn.q_proj.weight"},
    {ROLE_K, NULL, "nomic_bert.layers.%u.self_attn.k_proj.weight"},
    {ROLE_V, NULL, "nomic_bert.layers.%u.self_attn.v_proj.weight"},
    {ROLE_ATTN_OUT, NULL,
     "nomic_bert.encoder.layers.%u.attn.out_proj.weight|nomic_bert.layers.%u.self_attn.o_proj.weight"},
    {ROLE_ATTN_POST_NORM, "blk.%u.attn_output_norm.weight",
     "nomic_bert.encoder.layers.%u.norm1.weight|nomic_bert.layers.%u.post_attention_layernorm.weight"},
    {ROLE_GATE, NULL, "nomic_bert.encoder.layers.%u.mlp.fc12.weight|nomic_bert.layers.%u.mlp.gate_proj.weight"},
    {ROLE_UP, NULL, "nomic_bert.encoder.layers.%u.mlp.fc11.weight|nomic_bert.layers.%u.mlp.up_proj.weight"},
    {ROLE_DOWN, NULL, "nomic_bert.encoder.layers.%u.mlp.fc2.weight|nomic_bert.layers.%u.mlp.down_proj.weight"},
    {ROLE_MLP_POST_NORM, "blk.%u.layer_output_norm.weight",
     "nomic_bert.encoder.layers.%u.norm2.weight|nomic_bert.layers.%u.post_mlp_layernorm.weight"},
    {0},
};

static const struct rename modern_names[] = {
    {ROLE_EMBEDDING, NULL, "model.embeddings.tok_embeddings.weight"},
    {ROLE_EMBED_NORM, NULL, "model.embeddings.norm.weight"},
    {ROLE_FINAL_NORM, NULL, "model.final_norm.weight"},
    {ROLE_ATTN_NORM, NULL, "model.layers.%u.attn_norm.weight"},
    {ROLE_MLP_NORM, NULL, "model.layers.%u.mlp_norm.weight"},
    {ROLE_QKV, NULL, "model.layers.%u.attn.Wqkv.weight"},
    {ROLE_Q, "", ""},
    {ROLE_ATTN_OUT, NULL, "model.layers.%u.attn.Wo.weight"},
    {ROLE_GATE_UP, "blk.%u.ffn_up.weight", "model.layers.%u.mlp.Wi.weight"},
    {ROLE_GATE, "", ""},
    {ROLE_DOWN, NULL, "model.layers.%u.mlp.Wo.weight"},
    {0},
};

const struct family bert_rows[] = {
    {
        ENCODER,
        POST,
        .kind = "BERT",
        .architecture = "bert",
        .hf_types = {"bert"},
        .positions = POSITIONS_LEARNED,
        .mlp.activation = ACT_GELU,
        .biases = BIAS_ALL,
        .names = bert_names,
    },
    {
        ENCODER,
        POST,
        .kind = "RoBERTa and XLM-RoBERTa",
        .architecture = "bert",
        .hf_types = {"roberta", "xlm-roberta"},
        .hf_only = true, // llama.cpp's files of them say that they are BERTs, and have no rows for padding
        .hf_positions_padded = true,
        .positions = POSITIONS_LEARNED,
        .mlp.activation = ACT_GELU,
        .biases = BIAS_ALL,
        .names = roberta_names,
    },
    {
        ENCODER,
        POST,
        .kind = "Nomic BERT",
        .architecture = "nomic-bert",
        .hf_types = {"nomic_bert"},
        .mlp.activation = ACT_SILU,
        .mlp.gated = true,
        .names = nomic_names,
    },
    {
        ENCODER,
        .kind = "ModernBERT",
        .architecture = "modern-bert",
        .hf_types = {"modernbert"},
        .norms.first_bare = true,
        .window.every = 3,
        .window.dense_first = true,
        .rope.local = true,
        .rope.local_base = 10000,
        .mlp.activation = ACT_GELU,
        .mlp.gated = true,
        .may_bias = BIAS_ALL,
        .names = modern_names,
    },
};
const size_t bert_rows_n = sizeof bert_rows / sizeof *bert_rows;
