// Models with layers that keep a state: Mamba (Gu and Dao, 2023; 2024), Falcon-Mamba (Zuo et al., 2024), Falcon-H1
// (Zuo et al., 2025), and gated delta nets (Yang et al., 2025).
#include "model/families.h"

#define MAMBA_NAMES                                                                                                    \
    {ROLE_EMBEDDING, NULL, "backbone.embeddings.weight"}, {ROLE_FINAL_NORM, NULL, "backbone.norm_f.weight"},           \
        {ROLE_ATTN_NORM, NULL, "backbone.layers.%u.norm.weight"},                                                      \
        {ROLE_STATE_IN, NULL, "backbone.layers.%u.mixer.in_proj.weight"},                                              \
        {ROLE_STATE_CONV, NULL, "backbone.layers.%u.mixer.conv1d.weight"},                                             \
        {ROLE_STATE_A, NULL, "backbone.layers.%u.mixer.A_log"}, {ROLE_STATE_D, NULL, "backbone.layers.%u.mixer.D"}, {  \
        ROLE_STATE_OUT, NULL, "backbone.layers.%u.mixer.out_proj.weight"                                               \
    }

static const struct rename mamba_names[] = {
    MAMBA_NAMES,
    {ROLE_STATE_X, NULL, "backbone.layers.%u.mixer.x_proj.weight"},
    {ROLE_STATE_DT, NULL, "backbone.layers.%u.mixer.dt_proj.weight"},
    {0},
};

static const struct rename mamba2_names[] = {
    MAMBA_NAMES,
    {ROLE_STATE_DT, NULL, "backbone.layers.%u.mixer.dt"},
    {ROLE_STATE_NORM, NULL, "backbone.layers.%u.mixer.norm.weight"},
    {0},
};

static const struct rename falcon_h1_names[] = {
    {ROLE_FINAL_NORM, NULL, "model.final_layernorm.weight"},
    {ROLE_MLP_NORM, "blk.%u.ffn_norm|blk.%u.ffn_norm.weight", "model.layers.%u.pre_ff_layernorm.weight"},
    {ROLE_GATE, NULL, "model.layers.%u.feed_forward.gate_proj.weight"},
    {ROLE_UP, NULL, "model.layers.%u.feed_forward.up_proj.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.feed_forward.down_proj.weight"},
    {0},
};

#define DELTA_NAMES                                                                                                    \
    {ROLE_STATE_GATE, "blk.%u.attn_gate.weight", "model.layers.%u.linear_attn.in_proj_z.weight"},                      \
        {ROLE_STATE_CONV, NULL, "model.layers.%u.linear_attn.conv1d.weight"},                                          \
        {ROLE_STATE_DT, NULL, "model.layers.%u.linear_attn.dt"},                                                       \
        {ROLE_STATE_A, NULL, "model.layers.%u.linear_attn.A_log"},                                                     \
        {ROLE_STATE_NORM, NULL, "model.layers.%u.linear_attn.norm.weight"},                                            \
        {ROLE_STATE_OUT, NULL, "model.layers.%u.linear_attn.out_proj.weight"},                                         \
        {ROLE_STATE_IN, "blk.%u.attn_qkv.weight", "model.layers.%u.linear_attn.in_proj_qkv.weight"},                   \
        {ROLE_QKV, "", ""}, {ROLE_MLP_NORM, "blk.%u.post_attention_norm.weight", NULL},                                \
        {ROLE_SHARED_GATE, NULL, "model.layers.%u.mlp.shared_expert.gate_proj.weight"},                                \
        {ROLE_SHARED_UP, NULL, "model.layers.%u.mlp.shared_expert.up_proj.weight"},                                    \
        {ROLE_SHARED_DOWN, NULL, "model.layers.%u.mlp.shared_expert.down_proj.weight"}, {                              \
        ROLE_SHARED_ROUTER, NULL, "model.layers.%u.mlp.shared_expert_gate.weight"                                      \
    }

// Fused by key head.
static const struct rename qwen3_next_names[] = {
    DELTA_NAMES,
    {ROLE_STATE_QKVZ, "blk.%u.ssm_in.weight", "model.layers.%u.linear_attn.in_proj_qkvz.weight"},
    {ROLE_STATE_BA, "blk.%u.ssm_ba.weight", "model.layers.%u.linear_attn.in_proj_ba.weight"},
    {0},
};

static const struct rename qwen35_names[] = {
    DELTA_NAMES,
    {ROLE_STATE_BETA, "blk.%u.ssm_beta.weight", "model.layers.%u.linear_attn.in_proj_b.weight"},
    {ROLE_STATE_ALPHA, "blk.%u.ssm_alpha.weight", "model.layers.%u.linear_attn.in_proj_a.weight"},
    {0},
};

static const struct rename qwen35moe_names[] = {
    DELTA_NAMES,
    {ROLE_STATE_BETA, "blk.%u.ssm_beta.weight", "model.layers.%u.linear_attn.in_proj_b.weight"},
    {ROLE_STATE_ALPHA, "blk.%u.ssm_alpha.weight", "model.layers.%u.linear_attn.in_proj_a.weight"},
    {ROLE_EXPERT_GATE_UP, "blk.%u.ffn_gate_up_exps.weight", "model.layers.%u.mlp.experts.gate_up_proj"},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.mlp.experts.down_proj"},
    {0},
};

#define QWEN                                                                                                           \
    .norm = NORM_RMS, .activation = ACT_SILU, .gated = true, .hf_norm_offset = true, .rotary_part = 0.25,              \
    .qk_norm = QK_NORM_HEAD, .mixers = MIXERS_TURNS, .recur = RECUR_DELTA, .attention_gate = true,                     \
    .route_normed = true

#define MAMBA .norm = NORM_RMS, .activation = ACT_SILU, .positions = POSITIONS_NONE, .mixers = MIXERS_STATE

const struct family state_rows[] = {
    {
        MAMBA,
        .kind = "Falcon-Mamba",
        .architecture = "mamba",
        .hf_types = {"falcon_mamba"},
        .hf = {{"use_bias", 0, 0}},
        .gguf = {{"ssm.dt_b_c_rms", 1, 0}},
        .recur = RECUR_CHANNELS,
        .recur_norms = true,
        .names = mamba_names,
    },
    {
        MAMBA,
        .kind = "Mamba",
        .architecture = "mamba",
        .hf_types = {"mamba"},
        .hf = {{"use_bias", 0, 0}},
        .gguf = {{"ssm.dt_b_c_rms", 0, 0}},
        .recur = RECUR_CHANNELS,
        .names = mamba_names,
    },
    {
        MAMBA,
        .kind = "Mamba 2",
        .architecture = "mamba2",
        .hf_types = {"mamba2"},
        .hf = {{"use_bias", 0, 0}},
        .recur = RECUR_HEADS,
        .names = mamba2_names,
    },
    {
        .kind = "Falcon-H1",
        .architecture = "falcon-h1",
        .hf_types = {"falcon_h1"},
        .hf = {{"mamba_proj_bias", 0, 0}, {"projectors_bias", 0, 0}},
        .norm = NORM_RMS,
        .activation = ACT_SILU,
        .gated = true,
        .mixers = MIXERS_BOTH,
        .recur = RECUR_HEADS,
        .may_bias = BIAS_ALL,
        .names = falcon_h1_names,
    },
    {
        QWEN,
        .kind = "Qwen 3 Next",
        .architecture = "qwen3next",
        .hf_types = {"qwen3_next"},
        .names = qwen3_next_names,
    },
    {
        QWEN,
        .kind = "Qwen 3.5 and 3.6",
        .architecture = "qwen35",
        .hf_types = {"qwen3_5_text", "qwen3_5"},
        .gguf_turns = true,
        .names = qwen35_names,
    },
    {
        QWEN,
        .kind = "Qwen 3.5 and 3.6, experts",
        .architecture = "qwen35moe",
        .hf_types = {"qwen3_5_moe_text", "qwen3_5_moe"},
        .gguf_turns = true,
        .names = qwen35moe_names,
    },
};
const size_t state_rows_n = sizeof state_rows / sizeof *state_rows;
