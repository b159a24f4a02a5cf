// The classes are those of transformers 5.24 (models/*/configuration_*.py); those of models that bring their own code
// (Baichuan, InternLM 2, Kimi K2, MiniCPM, the first Falcons) are those of that code. tools/check/config_keys compares
// the table with transformers.
#include "format/hf_class.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char hf_common_keys[] =
    "vocab_size -initializer_range -use_cache -pad_token_id -bos_token_id -eos_token_id -sep_token_id "
    "-attention_dropout "
    "-hidden_dropout -resid_pdrop -embd_pdrop -attn_pdrop -residual_dropout -embedding_dropout -classifier_dropout "
    "-pretraining_tp -output_router_logits -router_aux_loss_coef -router_jitter_noise -architectures -dtype "
    "-torch_dtype "
    "-transformers_version -_name_or_path -name_or_path -return_dict -output_hidden_states -output_attentions "
    "-chunk_size_feed_forward -id2label -label2id -problem_type -model_type -auto_map -is_decoder -rope_parameters "
    "-rope_scaling -rope_theta -partial_rotary_factor is_encoder_decoder!false|null";

#define SPAN(layers, hidden, heads)                                                                                    \
    "num_hidden_layers=" #layers " hidden_size=" #hidden " num_attention_heads=" #heads " "
#define GQA(heads) "num_key_value_heads=" #heads " "
#define WIDE(n)    "intermediate_size=" #n " "
#define CONTEXT(n) "max_position_embeddings=" #n " "
#define RMS(eps)   "rms_norm_eps=" #eps " "
#define TIED       "tie_word_embeddings=true "
#define UNTIED     "tie_word_embeddings=false "
#define SILU       "hidden_act=silu "
#define GEMMA_ACT  "hidden_activation=gelu_pytorch_tanh "
#define BERT                                                                                                           \
    "hidden_act=gelu layer_norm_eps=1e-12 position_embedding_type!absolute|null add_cross_attention!false "            \
    "is_decoder!false|null -type_vocab_size -attention_probs_dropout_prob -hidden_dropout_prob "
#define SWITCHED    "use_sliding_window=false sliding_window=4096 "
#define MULTIPLIERS "embedding_multiplier=1.0 logits_scaling=1.0 residual_multiplier=1.0 attention_multiplier=1.0 "
#define MAMBA                                                                                                          \
    "layer_norm_epsilon=1e-5 expand=2 conv_kernel=4 use_bias!false use_conv_bias:c=true hidden_act!silu|swish "        \
    "intermediate_size -residual_in_fp32 -time_step_min -time_step_max -time_step_floor -rescale_prenorm_residual "    \
    "time_step_rank=auto max_position_embeddings -layer_types "
#define MAMBA1                                                                                                         \
    MAMBA "num_hidden_layers=32 hidden_size=768 state_size=16 tie_word_embeddings=true -time_step_scale "              \
          "-time_step_init_scheme -use_mambapy -use_falcon_mambapy -use_associative_scan "
#define FALCON                                                                                                         \
    "num_hidden_layers,n_layer=32 hidden_size,n_embed=4544 num_attention_heads,n_head=71 num_kv_heads,n_head_kv "      \
    "layer_norm_epsilon=1e-5 alibi=false bias=false ffn_hidden_size activation=gelu max_position_embeddings=2048 "     \
    "tie_word_embeddings=true "
#define DELTA                                                                                                          \
    "linear_conv_kernel_dim=4 linear_key_head_dim=128 linear_value_head_dim=128 linear_num_key_heads=16 "              \
    "linear_num_value_heads=32 layer_types full_attention_interval=4 attention_bias:qo=false head_dim=256 "            \
    "attn_output_gate!true|null rms_norm_eps=1e-6 hidden_act!silu|swish max_position_embeddings=32768 "                \
    "tie_word_embeddings=false "
#define SPARSE "-decoder_sparse_step -mlp_only_layers -shared_expert_intermediate_size "
#define LATENT                                                                                                         \
    "kv_lora_rank=512 qk_rope_head_dim=64 qk_nope_head_dim=128 attention_bias!false -head_dim -qk_head_dim "           \
    "-num_key_value_heads -moe_layer_freq -mlp_layer_types -aux_loss_alpha -seq_aux -ep_size "                         \
    "tie_word_embeddings=false hidden_act=silu num_nextn_predict_layers,num_mtp_layers=1 "
#define DEEPSEEK3                                                                                                      \
    SPAN(61, 7168, 128)                                                                                                \
    WIDE(18432)                                                                                                        \
    RMS(1e-6)                                                                                                          \
    LATENT "moe_intermediate_size=2048 n_routed_experts,num_local_experts,num_experts=256 "                            \
           "routed_scaling_factor=2.5 q_lora_rank=1536 v_head_dim=128 n_group=8 topk_group=4 "                         \
           "num_experts_per_tok=8 norm_topk_prob=true first_k_dense_replace=3 "
#define GEMMA4                                                                                                         \
    SPAN(30, 2304, 8)                                                                                                  \
    GQA(4)                                                                                                             \
    WIDE(9216)                                                                                                         \
    RMS(1e-6)                                                                                                          \
    TIED GEMMA_ACT "head_dim=256 attention_bias!false layer_types final_logit_softcapping "                            \
                   "attention_k_eq_v=false num_kv_shared_layers=0 "                                                    \
                   "use_double_wide_mlp=false global_head_dim=512 num_global_key_value_heads per_layer_config.* "

const struct hf_class hf_classes[] = {
    {"falcon", FALCON "new_decoder_architecture=false num_ln_in_parallel_attn parallel_attn=true multi_query=true",
     HF_ROPE_FLAT, 1e4},
    {"RefinedWeb RefinedWebModel",
     FALCON "new_decoder_architecture=false parallel_attn=false multi_query=false "
            "apply_residual_connection_post_layernorm!false|null",
     HF_ROPE_FLAT, 1e4},
    {"llama",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) UNTIED SILU
     "num_key_value_heads attention_bias:qo=false mlp_bias:m=false head_dim",
     HF_ROPE_FLAT, 1e4},
    {"mistral",
     SPAN(32, 4096, 32) GQA(8) WIDE(14336) CONTEXT(131072) RMS(1e-6) UNTIED SILU "head_dim sliding_window=4096",
     HF_ROPE_FLAT, 1e4},
    {"internlm3",
     SPAN(48, 4096, 32) GQA(2) WIDE(10240) CONTEXT(32768) RMS(1e-5) UNTIED SILU
     "attention_bias,qkv_bias:qo=false mlp_bias,bias:m=false head_dim=128",
     HF_ROPE_FLAT, 1e4},
    {"internlm2",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) UNTIED SILU
     "num_key_value_heads head_dim attention_bias,bias:qo=true",
     HF_ROPE_FLAT, 1e4},
    {"minicpm",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) TIED SILU
     "num_key_value_heads head_dim attention_bias:q=false scale_emb=1 scale_depth=1 dim_model_base=1",
     HF_ROPE_FLAT, 1e4},
    {"baichuan",
     SPAN(32, 4096, 32) WIDE(11008) "max_position_embeddings,model_max_length=4096 " RMS(1e-6) UNTIED SILU
     "-z_loss_weight -gradient_checkpointing",
     HF_ROPE_FLAT, 1e4},
    {"qwen2",
     SPAN(32, 4096, 32) GQA(32) WIDE(22016) CONTEXT(32768) RMS(1e-6) UNTIED SILU SWITCHED
     "max_window_layers=28 layer_types head_dim",
     HF_ROPE_FLAT, 1e4},
    {"qwen3",
     SPAN(32, 4096, 32) GQA(32) WIDE(22016) CONTEXT(32768) RMS(1e-6) UNTIED SILU SWITCHED
     "max_window_layers=28 layer_types head_dim=128 attention_bias:qo=false",
     HF_ROPE_FLAT, 1e4},
    {"phi3",
     SPAN(32, 3072, 32) WIDE(8192) CONTEXT(4096) RMS(1e-5) UNTIED SILU
     "num_key_value_heads head_dim sliding_window original_max_position_embeddings=4096",
     HF_ROPE_PHI, 1e4, .part = 1},
    {"granite",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) UNTIED SILU MULTIPLIERS
     "num_key_value_heads head_dim attention_bias:qo=false mlp_bias:m=false",
     HF_ROPE_FLAT, 1e4},
    {"granitemoe granitemoeshared",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) UNTIED SILU MULTIPLIERS
     "num_key_value_heads head_dim attention_bias:qo=false num_local_experts=8 num_experts_per_tok=2 "
     "-shared_intermediate_size",
     HF_ROPE_FLAT, 1e4},
    {"olmo2",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-5) UNTIED SILU
     "num_key_value_heads head_dim attention_bias:qo=false",
     HF_ROPE_FLAT, 1e4},
    {"olmo3",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-5) UNTIED SILU
     "num_key_value_heads head_dim attention_bias:qo=false sliding_window=4096 layer_types",
     HF_ROPE_LAYERS, 5e5, 5e5},
    {"exaone4",
     SPAN(32, 4096, 32) GQA(32) WIDE(16384) CONTEXT(2048) RMS(1e-5) UNTIED SILU
     "head_dim sliding_window=4096 layer_types sliding_window_pattern=4",
     HF_ROPE_FLAT, 1e4},
    {"glm glm4",
     SPAN(40, 4096, 32) GQA(2) WIDE(13696) CONTEXT(131072) RMS(1.5625e-7) UNTIED SILU
     "head_dim=128 attention_bias:q=true",
     HF_ROPE_FLAT, 1e4, .part = 0.5},
    {"seed_oss",
     SPAN(64, 4096, 80) GQA(8) WIDE(27648) CONTEXT(524288) RMS(1e-6) UNTIED SILU
     "head_dim=128 attention_bias:q=true attention_out_bias:o=false mlp_bias:m=false",
     HF_ROPE_FLAT, 1e4},
    {"smollm3",
     SPAN(36, 2048, 16) GQA(4) WIDE(11008) CONTEXT(32768) RMS(1e-6) TIED SILU
     "head_dim use_sliding_window=false sliding_window layer_types no_rope_layers no_rope_layer_interval=4 "
     "attention_bias:qo=false mlp_bias:m=false",
     HF_ROPE_FLAT, 2e6},
    {"ernie4_5",
     SPAN(18, 1024, 16) GQA(2) WIDE(3072) CONTEXT(131072) RMS(1e-5) TIED SILU "head_dim=128 use_bias:qom=false",
     HF_ROPE_FLAT, 5e5},
    {"gemma",
     SPAN(28, 3072, 16) GQA(16) WIDE(24576) CONTEXT(8192) RMS(1e-6) TIED
     "hidden_act=gelu_pytorch_tanh head_dim=256 attention_bias:qo=false use_bidirectional_attention!null|false",
     HF_ROPE_FLAT, 1e4},
    {"gemma2",
     SPAN(26, 2304, 8) GQA(4) WIDE(9216) CONTEXT(8192) RMS(1e-6) TIED GEMMA_ACT
     "head_dim=256 attention_bias:qo=false query_pre_attn_scalar=256 sliding_window=4096 layer_types "
     "final_logit_softcapping=30.0 attn_logit_softcapping=50.0 use_bidirectional_attention!null|false",
     HF_ROPE_FLAT, 1e4},
    {"gemma3_text gemma3",
     SPAN(26, 2304, 8) GQA(4) WIDE(9216) CONTEXT(131072) RMS(1e-6) TIED GEMMA_ACT
     "head_dim=256 attention_bias:qo=false query_pre_attn_scalar=256 sliding_window=4096 layer_types "
     "sliding_window_pattern=6 -_sliding_window_pattern final_logit_softcapping -attn_logit_softcapping "
     "use_bidirectional_attention=false",
     HF_ROPE_LAYERS, 1e6, 1e4, .told_base = true},
    {"gemma4_text gemma4",
     GEMMA4 CONTEXT(131072) "use_bidirectional_attention!null|vision|false sliding_window=512 "
                            "hidden_size_per_layer_input=256 -vocab_size_per_layer_input "
                            "enable_moe_block=false num_experts top_k_experts moe_intermediate_size",
     HF_ROPE_GIVEN, 1e6, 1e4, .part = 0.25},
    {"gemma4_unified_text gemma4_unified",
     GEMMA4 CONTEXT(262144) "use_bidirectional_attention!vision|null|false sliding_window=1024 "
                            "hidden_size_per_layer_input=0 enable_moe_block!false",
     HF_ROPE_GIVEN, 1e6, 1e4, .part = 0.25},
    {"gpt2",
     "n_positions,max_position_embeddings,n_ctx=1024 n_embd,hidden_size=768 n_layer,num_hidden_layers=12 "
     "n_head,num_attention_heads=12 n_inner activation_function=gelu_new layer_norm_epsilon=1e-5 -summary_type "
     "-summary_use_proj -summary_activation -summary_proj_to_labels -summary_first_dropout scale_attn_weights!true "
     "scale_attn_by_inverse_layer_idx!false -reorder_and_upcast_attn add_cross_attention!false " TIED},
    {"gpt_neox",
     SPAN(44, 6144, 64) WIDE(24576) CONTEXT(2048) UNTIED
     "hidden_act=gelu layer_norm_eps=1e-5 use_parallel_residual=true attention_bias:qo=true head_dim!null -rotary_pct "
     "-rotary_emb_base",
     HF_ROPE_FLAT, 1e4, .part = 0.25, .old_base = "rotary_emb_base", .old_part = "rotary_pct"},
    {"phi",
     SPAN(24, 2048, 32) WIDE(8192) CONTEXT(2048) UNTIED
     "num_key_value_heads hidden_act=gelu_new layer_norm_eps=1e-5 qk_layernorm!false head_dim",
     HF_ROPE_FLAT, 1e4, .part = 0.5},
    {"stablelm",
     SPAN(32, 2560, 32) GQA(32) WIDE(6912) CONTEXT(4096) UNTIED SILU
     "layer_norm_eps=1e-5 use_qkv_bias:q=false qk_layernorm=false use_parallel_residual=false head_dim",
     HF_ROPE_FLAT, 1e4, .part = 0.25},
    {"starcoder2",
     SPAN(30, 3072, 24) GQA(2) WIDE(12288) CONTEXT(4096) TIED
     "hidden_act=gelu_pytorch_tanh norm_epsilon=1e-5 sliding_window use_bias:qom=true head_dim",
     HF_ROPE_FLAT, 1e4},
    {"nemotron",
     SPAN(32, 6144, 48) WIDE(24576) CONTEXT(4096) UNTIED
     "num_key_value_heads head_dim hidden_act=relu2 norm_eps=1e-5 attention_bias:qo=false mlp_bias:m=false",
     HF_ROPE_FLAT, 1e4, .part = 0.5},
    {"cohere",
     SPAN(40, 8192, 64) WIDE(22528) CONTEXT(8192) TIED SILU
     "num_key_value_heads head_dim logit_scale=0.0625 layer_norm_eps=1e-5 attention_bias:qo=false use_qk_norm=false",
     HF_ROPE_FLAT, 5e5},
    {"cohere2",
     SPAN(40, 8192, 64) WIDE(22528) CONTEXT(8192) TIED SILU
     "num_key_value_heads -head_dim logit_scale=0.0625 layer_norm_eps=1e-5 attention_bias:qo=false "
     "sliding_window=4096 layer_types sliding_window_pattern=4",
     HF_ROPE_FLAT, 1e4},
    {"mixtral",
     SPAN(32, 4096, 32) GQA(8) WIDE(14336) CONTEXT(131072) RMS(1e-5) UNTIED SILU
     "head_dim sliding_window num_experts_per_tok=2 num_local_experts,num_experts=8",
     HF_ROPE_FLAT, 1e6},
    {"qwen2_moe",
     SPAN(24, 2048, 16) GQA(16) WIDE(5632) CONTEXT(32768) RMS(1e-6) UNTIED SILU SWITCHED SPARSE
     "max_window_layers=28 layer_types head_dim moe_intermediate_size=1408 num_experts_per_tok=4 num_experts=60 "
     "norm_topk_prob=false qkv_bias:q=true",
     HF_ROPE_FLAT, 1e4},
    {"qwen3_moe",
     SPAN(24, 2048, 32) GQA(4) WIDE(6144) CONTEXT(32768) RMS(1e-6) UNTIED SILU SWITCHED SPARSE
     "-max_window_layers head_dim attention_bias:qo=false moe_intermediate_size=768 num_experts_per_tok=8 "
     "num_local_experts,num_experts=128 norm_topk_prob=false",
     HF_ROPE_FLAT, 1e4},
    {"olmoe",
     SPAN(16, 2048, 16) WIDE(2048) CONTEXT(4096) RMS(1e-5) UNTIED SILU
     "num_key_value_heads head_dim attention_bias:qo=false clip_qkv num_experts_per_tok=8 "
     "num_experts,num_local_experts=64 norm_topk_prob=false",
     HF_ROPE_FLAT, 1e4},
    {"glm4_moe",
     SPAN(46, 4096, 96) GQA(8) WIDE(10944) CONTEXT(131072) RMS(1e-5) UNTIED SILU
     "head_dim attention_bias:q=false moe_intermediate_size=1408 num_experts_per_tok=8 n_shared_experts=1 "
     "n_routed_experts,num_local_experts=128 routed_scaling_factor=1.0 n_group=1 topk_group=1 first_k_dense_replace=1 "
     "norm_topk_prob=true use_qk_norm=false num_nextn_predict_layers,num_mtp_layers=1",
     HF_ROPE_FLAT, 1e4, .part = 0.5},
    {"gpt_oss",
     SPAN(36, 2880, 64) GQA(8) WIDE(2880) CONTEXT(131072) RMS(1e-5) UNTIED
     "-hidden_act head_dim=64 num_local_experts,num_experts=128 sliding_window=128 num_experts_per_tok=4 "
     "swiglu_alpha=1.702 swiglu_limit=7.0 layer_types attention_bias:qo=true -experts_per_token "
     "-initial_context_length",
     HF_ROPE_FLAT, 1.5e5},
    {"llama4_text llama4",
     SPAN(48, 5120, 40) GQA(8) WIDE(8192) CONTEXT(131072) RMS(1e-5) UNTIED SILU
     "intermediate_size_mlp=16384 head_dim=128 num_experts_per_tok=1 num_local_experts=16 -moe_layers "
     "interleave_moe_layer_step=1 use_qk_norm=true no_rope_layers no_rope_layer_interval=4 attention_chunk_size=8192 "
     "layer_types attn_temperature_tuning=true floor_scale=8192 attn_scale=0.1 attention_bias:qo=false",
     HF_ROPE_FLAT, 5e5},
    {"deepseek_v3", DEEPSEEK3 CONTEXT(4096) "rope_interleave!true n_shared_experts=1 scoring_func!sigmoid -topk_method",
     HF_ROPE_FLAT, 1e4},
    {"kimi_k2",
     DEEPSEEK3 CONTEXT(4096) "n_shared_experts=1 scoring_func!sigmoid topk_method!noaux_tc rope_interleave!true",
     HF_ROPE_FLAT, 1e4},
    {"deepseek_v2",
     SPAN(32, 4096, 32) WIDE(11008) CONTEXT(2048) RMS(1e-6) LATENT
     "mlp_bias!false q_lora_rank=1536 v_head_dim=128 n_group topk_group n_routed_experts,num_experts=64 "
     "n_shared_experts=2 routed_scaling_factor=1.0 topk_method=greedy -norm_topk_prob num_experts_per_tok "
     "moe_intermediate_size=1407 first_k_dense_replace=0 scoring_func!softmax",
     HF_ROPE_FLAT, 1e4},
    {"deepseek_v32",
     DEEPSEEK3 CONTEXT(
         163840) "n_shared_experts=1 index_topk=2048 index_head_dim=128 index_n_heads=64 -mlp_bias -layer_types "
                 "indexer_rope_interleave!false|null scoring_func!sigmoid -topk_method",
     HF_ROPE_FLAT, 1e4},
    {"glm_moe_dsa",
     SPAN(78, 6144, 64) WIDE(12288) CONTEXT(202752) RMS(
         1e-5) "qk_nope_head_dim=192 " LATENT
               "moe_intermediate_size=2048 n_routed_experts,num_local_experts,num_experts=256 "
               "n_shared_experts=1 routed_scaling_factor=2.5 q_lora_rank=2048 v_head_dim=256 n_group=1 topk_group=1 "
               "num_experts_per_tok=8 norm_topk_prob=true first_k_dense_replace=3 index_topk=2048 index_head_dim=128 "
               "index_n_heads=32 "
               "-mlp_bias "
               "-layer_types indexer_types index_topk_pattern index_topk_freq=1 index_skip_topk_offset=2 "
               "indexer_rope_interleave!true|null scoring_func!sigmoid -topk_method",
     HF_ROPE_FLAT, 1e4},
    {"bert", SPAN(12, 768, 12) WIDE(3072) CONTEXT(512) TIED BERT},
    {"roberta xlm-roberta", SPAN(12, 768, 12) WIDE(3072) CONTEXT(512) TIED BERT "pad_token_id=1"},
    {"nomic_bert",
     "num_hidden_layers,n_layer=12 hidden_size,n_embd=768 num_attention_heads,n_head=12 intermediate_size,n_inner=3072 "
     "max_position_embeddings,n_positions=2048 layer_norm_eps,layer_norm_epsilon=1e-12 "
     "hidden_act,activation_function=silu head_dim -type_vocab_size -attention_probs_dropout_prob "
     "-hidden_dropout_prob prenorm!false parallel_block!false qkv_proj_bias!false mlp_fc1_bias!false "
     "mlp_fc2_bias!false causal!false use_rms_norm!false|null rotary_emb_interleaved!false rotary_emb_scale_base!null "
     "rotary_scaling_factor max_trained_positions=2048 num_experts!0|null moe_every_n_layers!0|null " TIED,
     HF_ROPE_FLAT, 1e3, .part = 1, .old_base = "rotary_emb_base", .old_part = "rotary_emb_fraction"},
    {"modernbert",
     SPAN(22, 768, 12) WIDE(1152) CONTEXT(8192) TIED
     "hidden_activation=gelu norm_eps=1e-5 norm_bias!false attention_bias:qo=false mlp_bias:m=false layer_types "
     "local_attention=128 global_attn_every_n_layers=3 -mlp_dropout -decoder_bias -classifier_bias "
     "-classifier_activation -classifier_pooling -sparse_prediction -sparse_pred_ignore_index -cls_token_id "
     "-initializer_cutoff_factor -deterministic_flash_attn -reference_compile -repad_logits_with_grad",
     HF_ROPE_LAYERS, 1.6e5, 1e4, .told_base = true, .old_base = "global_rope_theta",
     .old_local_base = "local_rope_theta"},
    {"mamba", MAMBA1},
    {"falcon_mamba", MAMBA1 "mixer_rms_eps=1e-6"},
    {"mamba2", MAMBA "num_hidden_layers=64 hidden_size=4096 num_heads=128 head_dim=64 state_size=128 n_groups=8 "
                     "-chunk_size time_step_limit tie_word_embeddings=false"},
    {"falcon_h1",
     SPAN(32, 4096, 32) GQA(8) WIDE(14336) CONTEXT(8192) RMS(1e-5) UNTIED
     "hidden_act!silu|swish head_dim -num_logits_to_keep mamba_d_ssm=1024 mamba_n_heads=128 -mamba_d_head "
     "mamba_n_groups=1 mamba_d_state=256 "
     "mamba_d_conv=4 mamba_expand=2 -mamba_chunk_size mamba_conv_bias:c=true mamba_proj_bias!false "
     "mamba_norm_before_gate=true mamba_rms_norm=false time_step_limit projectors_bias!false "
     "lm_head_multiplier=1.0 "
     "embedding_multiplier=1.0 mlp_multipliers key_multiplier=1.0 attention_out_multiplier=1.0 "
     "attention_in_multiplier=1.0 ssm_multipliers ssm_in_multiplier=1.0 ssm_out_multiplier=1.0 "
     "attention_bias:qo=false mlp_bias:m=false -layers_block_type -layer_types",
     HF_ROPE_FLAT, 1e4},
    {"qwen3_next",
     SPAN(48, 2048, 16) GQA(2) WIDE(5632) DELTA SPARSE
     "moe_intermediate_size=512 num_experts_per_tok=10 num_experts=512 norm_topk_prob=true",
     HF_ROPE_FLAT, 1e4, .part = 0.25},
    {"qwen3_5_text qwen3_5", SPAN(32, 4096, 16) GQA(4) WIDE(12288) DELTA, HF_ROPE_FLAT, 1e4, .part = 0.25},
    {"qwen3_5_moe_text qwen3_5_moe",
     SPAN(40, 2048, 16) GQA(2) DELTA "-shared_expert_intermediate_size moe_intermediate_size=512 num_experts_per_tok=8 "
                                     "num_experts=256",
     HF_ROPE_FLAT, 1e4, .part = 0.25},
    {"kimi_linear",
     SPAN(27, 2304, 32) WIDE(9216) RMS(
         1e-5) "hidden_act!silu|swish " LATENT
               "max_position_embeddings,model_max_length=1048576 first_k_dense_replace=1 moe_intermediate_size=1024 "
               "num_shared_experts,n_shared_experts=1 "
               "num_experts,num_local_experts=256 num_experts_per_token,num_experts_per_tok=8 "
               "moe_renormalize,norm_topk_prob=true "
               "num_expert_group,n_group=1 topk_group=1 routed_scaling_factor=2.446 q_lora_rank v_head_dim=128 "
               "layer_types "
               "linear_head_dim=128 linear_num_heads=32 linear_conv_kernel_dim=4 linear_attn_config.* "
               "mla_use_nope!true "
               "moe_router_activation_func!sigmoid|null",
     HF_ROPE_NONE},
};
const size_t hf_classes_n = sizeof hf_classes / sizeof *hf_classes;

// Whether a list of words with a mark between has a word.
static bool listed(const char *list, char mark, const char *word) {
    size_t n = strlen(word);
    for (const char *at = list;; at++) {
        if (!strncmp(at, word, n) && (!at[n] || at[n] == mark)) return true;
        if (!(at = strchr(at, mark))) return false;
    }
}

const struct hf_class *hf_class_of(const char *model_type) {
    for (size_t i = 0; i < hf_classes_n; i++)
        if (listed(hf_classes[i].types, ' ', model_type)) return &hf_classes[i];
    return NULL;
}

bool hf_word_next(const char **list, struct hf_word *w) {
    *list += strspn(*list, " ");
    size_t n = strcspn(*list, " "), at = strcspn(*list, " :=!");
    const char *word = *list;
    if (!n) return false;
    *list += n;
    *w = (struct hf_word){.kind = HF_READ, .name = word, .name_size = at};
    if (*word == '-') *w = (struct hf_word){.kind = HF_HARMLESS, .name = word + 1, .name_size = at - 1};
    if (at > 2 && word[at - 1] == '*') *w = (struct hf_word){.kind = HF_OBJECT, .name = word, .name_size = at - 2};
    if (at < n && word[at] == ':') {
        w->roles = word + at + 1;
        w->roles_size = strcspn(w->roles, " =!");
        at += 1 + w->roles_size;
    }
    if (at >= n) return true;
    if (word[at] == '!') w->kind = HF_MUST;
    w->value = word + at + 1;
    w->value_size = n - at - 1;
    return true;
}

void hf_word_name(const struct hf_word *w, char name[128]) {
    const char *comma = memchr(w->name, ',', w->name_size);
    snprintf(name, 128, "%.*s", (int)(comma ? comma - w->name : (ptrdiff_t)w->name_size), w->name);
}

size_t hf_word_values(const struct hf_word *w) {
    size_t n = w->value != NULL;
    for (size_t i = 0; i < w->value_size; i++) n += w->value[i] == '|';
    return n;
}

// True, false, null, a number, or a word.
static struct value value_of(const char *text, size_t size) {
    static const struct {
        const char *word;
        struct value v;
    } words[] = {{"true", {.kind = VALUE_BOOL, .b = true}}, {"false", {.kind = VALUE_BOOL}}, {"null", {0}}};
    for (size_t i = 0; i < 3; i++)
        if (size == strlen(words[i].word) && !memcmp(text, words[i].word, size)) return words[i].v;
    char number[32] = "", *end;
    if (size < sizeof number) memcpy(number, text, size);
    if (size && strspn(number, "0123456789") == size)
        return (struct value){.kind = VALUE_UINT, .u = strtoull(number, NULL, 10)};
    double f = strtod(number, &end);
    if (*number && !*end) return (struct value){.kind = VALUE_FLOAT, .f = f};
    return (struct value){.kind = VALUE_STRING, .s = {text, size}};
}

struct value hf_word_value(const struct hf_word *w, size_t i) {
    size_t at = 0, n;
    if (i >= hf_word_values(w)) return (struct value){0};
    for (; i; at++) i -= w->value[at] == '|';
    for (n = 0; at + n < w->value_size && w->value[at + n] != '|';) n++;
    return value_of(w->value + at, n);
}
