// Models with layers that keep a state: Mamba (Gu and Dao, 2023; 2024), Falcon-Mamba (Zuo et al., 2024), Falcon-H1
// (Zuo et al., 2025), gated delta nets (Yang et al., 2025), and Kimi Linear (Kimi Team, 2025).
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
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.mlp.experts.down_proj|model.layers.%u.mlp.experts.%u.down_proj.weight"},
    {0},
};

#define QWEN                                                                                                           \
    .norms.kind = NORM_RMS, .mlp.activation = ACT_SILU, .mlp.gated = true, .norms.hf_offset = true, .rope.part = 0.25, \
    .attention.qk_norm = QK_NORM_HEAD, .mixers = MIXERS_TURNS, .state.kind = RECUR_DELTA, .attention.gated = true,     \
    .experts.normed = true, .may_bias = BIAS_QKV | BIAS_ATTN_OUT

#define MAMBA .norms.kind = NORM_RMS, .mlp.activation = ACT_SILU, .positions = POSITIONS_NONE, .mixers = MIXERS_STATE

// transformers calls the matrices of a layer without experts like those of layers that have some.
static const struct rename kimi_names[] = {
    {ROLE_Q, "blk.%u.attn_q_b.weight|blk.%u.attn_q.weight",
     "model.layers.%u.self_attn.q_b_proj.weight|model.layers.%u.self_attn.q_proj.weight"},
    {ROLE_STATE_Q, "blk.%u.attn_q.weight", "model.layers.%u.self_attn.q_proj.weight"},
    {ROLE_STATE_K, "blk.%u.attn_k.weight", "model.layers.%u.self_attn.k_proj.weight"},
    {ROLE_STATE_IN, "blk.%u.attn_v.weight", "model.layers.%u.self_attn.v_proj.weight"},
    {ROLE_STATE_CONV_Q, "blk.%u.ssm_conv1d_q.weight", "model.layers.%u.self_attn.q_conv1d.weight"},
    {ROLE_STATE_CONV_K, "blk.%u.ssm_conv1d_k.weight", "model.layers.%u.self_attn.k_conv1d.weight"},
    {ROLE_STATE_CONV, "blk.%u.ssm_conv1d_v.weight", "model.layers.%u.self_attn.v_conv1d.weight"},
    {ROLE_STATE_LOW, "blk.%u.ssm_f_a.weight", "model.layers.%u.self_attn.f_a_proj.weight"},
    {ROLE_STATE_ALPHA, "blk.%u.ssm_f_b.weight", "model.layers.%u.self_attn.f_b_proj.weight"},
    {ROLE_STATE_GATE_LOW, "blk.%u.ssm_g_a.weight", "model.layers.%u.self_attn.g_a_proj.weight"},
    {ROLE_STATE_GATE, "blk.%u.ssm_g_b.weight", "model.layers.%u.self_attn.g_b_proj.weight"},
    {ROLE_STATE_BETA, "blk.%u.ssm_beta.weight", "model.layers.%u.self_attn.b_proj.weight"},
    {ROLE_STATE_DT, NULL, "model.layers.%u.self_attn.dt"},
    {ROLE_STATE_A, NULL, "model.layers.%u.self_attn.A_log"},
    {ROLE_STATE_NORM, NULL, "model.layers.%u.self_attn.o_norm.weight"},
    {ROLE_STATE_OUT, "blk.%u.attn_output.weight", "model.layers.%u.self_attn.o_proj.weight"},
    {ROLE_GATE, NULL, "model.layers.%u.mlp.gate_proj.weight|model.layers.%u.block_sparse_moe.gate_proj.weight"},
    {ROLE_UP, NULL, "model.layers.%u.mlp.up_proj.weight|model.layers.%u.block_sparse_moe.up_proj.weight"},
    {ROLE_DOWN, NULL, "model.layers.%u.mlp.down_proj.weight|model.layers.%u.block_sparse_moe.down_proj.weight"},
    {ROLE_ROUTER, NULL, "model.layers.%u.block_sparse_moe.gate.weight"},
    {ROLE_ROUTER_SHIFT, NULL, "model.layers.%u.block_sparse_moe.gate.e_score_correction_bias"},
    {ROLE_EXPERT_GATE, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w1.weight"},
    {ROLE_EXPERT_UP, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w3.weight"},
    {ROLE_EXPERT_DOWN, NULL, "model.layers.%u.block_sparse_moe.experts.%u.w2.weight"},
    {ROLE_SHARED_GATE, NULL, "model.layers.%u.block_sparse_moe.shared_experts.gate_proj.weight"},
    {ROLE_SHARED_UP, NULL, "model.layers.%u.block_sparse_moe.shared_experts.up_proj.weight"},
    {ROLE_SHARED_DOWN, NULL, "model.layers.%u.block_sparse_moe.shared_experts.down_proj.weight"},
    {0},
};

const struct family state_rows[] = {
    {
        MAMBA,
        .kind = "Falcon-Mamba",
        .architecture = "mamba",
        .hf_types = {"falcon_mamba"},
        .gguf = {{"ssm.dt_b_c_rms", 1, 0}},
        .state.kind = RECUR_CHANNELS,
        .state.norms = true,
        .names = mamba_names,
    },
    {
        MAMBA,
        .kind = "Mamba",
        .architecture = "mamba",
        .hf_types = {"mamba"},
        .gguf = {{"ssm.dt_b_c_rms", 0, 0}},
        .state.kind = RECUR_CHANNELS,
        .names = mamba_names,
    },
    {
        MAMBA,
        .kind = "Mamba 2",
        .architecture = "mamba2",
        .hf_types = {"mamba2"},
        .state.kind = RECUR_HEADS,
        .names = mamba2_names,
    },
    {
        .kind = "Falcon-H1",
        .architecture = "falcon-h1",
        .hf_types = {"falcon_h1"},
        .norms.kind = NORM_RMS,
        .mlp.activation = ACT_SILU,
        .mlp.gated = true,
        .mixers = MIXERS_BOTH,
        .scale.gguf_multiplied = true,
        .state.kind = RECUR_HEADS,
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
        .state.gguf_turns = true,
        .rope.gguf_sections = true,
        .names = qwen35_names,
    },
    {
        QWEN,
        .kind = "Qwen 3.5 and 3.6, experts",
        .architecture = "qwen35moe",
        .hf_types = {"qwen3_5_moe_text", "qwen3_5_moe"},
        .state.gguf_turns = true,
        .rope.gguf_sections = true,
        .names = qwen35moe_names,
    },
    {
        .kind = "Kimi Linear",
        .architecture = "kimi-linear",
        .hf_types = {"kimi_linear"},
        .norms.kind = NORM_RMS,
        .mlp.activation = ACT_SILU,
        .mlp.gated = true,
        .positions = POSITIONS_NONE,
        .latent.attends = true,
        .latent.eps = 1e-6f,
        .mixers = MIXERS_TURNS,
        .state.kind = RECUR_DELTA,
        .state.each = true,
        .experts.route = ROUTE_SIGMOID,
        .experts.normed = true,
        .experts.pairs = true,
        .names = kimi_names,
    },
};
const size_t state_rows_n = sizeof state_rows / sizeof *state_rows;
