#include "model/hyper.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// GGUF's names without the "architecture." in front; Hugging Face's, in order of preference.
static const struct {
    const char *gguf[2], *hf[5];
} keys[HYPER_COUNT] = {
    [HYPER_LAYERS] = {{"block_count"}, {"num_hidden_layers", "n_layer", "num_layers"}},
    [HYPER_LAYERS_AHEAD] = {{"nextn_predict_layers"}, {NULL}}, // a config does not count them
    [HYPER_HIDDEN] = {{"embedding_length"}, {"hidden_size", "n_embd"}},
    [HYPER_HEADS] = {{"attention.head_count"}, {"num_attention_heads", "n_head"}},
    [HYPER_KV_HEADS] = {{"attention.head_count_kv"}, {"num_key_value_heads", "num_kv_heads", "n_head_kv"}},
    [HYPER_HEAD_DIM] = {{"attention.key_length"}, {"head_dim"}},
    [HYPER_LOCAL_HEAD_DIM] = {{"attention.key_length_swa"}, {"head_dim"}},
    [HYPER_LAYER_INPUT] = {{"embedding_length_per_layer_input"}, {"hidden_size_per_layer_input"}},
    [HYPER_SHARED_KV] = {{"attention.shared_kv_layers"}, {"num_kv_shared_layers"}},
    [HYPER_LOCAL_ROTARY_DIM] = {{"rope.dimension_count_swa"}, {NULL}},
    [HYPER_ROTARY_DIM] = {{"rope.dimension_count"}, {NULL}},
    [HYPER_Q_LATENT] = {{"attention.q_lora_rank"}, {"q_lora_rank"}},
    [HYPER_KV_LATENT] = {{"attention.kv_lora_rank"}, {"kv_lora_rank"}},
    [HYPER_KEY_PLAIN] = {{NULL}, {"qk_nope_head_dim"}},
    [HYPER_KEY_ROTATED] = {{"rope.dimension_count"}, {"qk_rope_head_dim"}},
    [HYPER_KEY_WHOLE] = {{"attention.key_length_mla", "attention.key_length"}, {NULL}},
    [HYPER_VALUE] = {{"attention.value_length_mla", "attention.value_length"}, {"v_head_dim"}},
    [HYPER_INDEX_HEADS] = {{"attention.indexer.head_count"}, {"index_n_heads"}},
    [HYPER_INDEX_DIM] = {{"attention.indexer.key_length"}, {"index_head_dim"}},
    [HYPER_INDEX_MOST] = {{"attention.indexer.top_k"}, {"index_topk"}},
    [HYPER_ROTARY_PART] = {{NULL}, {"rope_parameters.partial_rotary_factor"}},
    [HYPER_FEED_FORWARD] = {{"feed_forward_length"},
                            {"intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "n_inner"}},
    [HYPER_CONTEXT] = {{"context_length"}, {"max_position_embeddings", "n_positions", "n_ctx", "model_max_length"}},
    [HYPER_EXPERTS] = {{"expert_count"}, {"num_local_experts", "num_experts", "n_routed_experts"}},
    [HYPER_EXPERTS_USED] = {{"expert_used_count"},
                            {"num_experts_per_tok", "experts_per_token", "top_k_experts", "num_experts_per_token"}},
    [HYPER_EXPERT_FEED_FORWARD] = {{"expert_feed_forward_length"}, {"moe_intermediate_size", "intermediate_size"}},
    [HYPER_GROUPS] = {{"expert_group_count"}, {"n_group", "num_expert_group"}},
    [HYPER_GROUPS_USED] = {{"expert_group_used_count"}, {"topk_group"}},
    [HYPER_ROUTE] = {{"expert_gating_func"}, {NULL}},
    [HYPER_ROUTE_NORMED] = {{"expert_weights_norm"}, {"norm_topk_prob", "moe_renormalize"}},
    [HYPER_ROUTE_SCALE] = {{"expert_weights_scale"}, {"routed_scaling_factor"}},
    [HYPER_WINDOW] = {{"attention.sliding_window"}, {"sliding_window", "local_attention"}},
    [HYPER_WINDOW_EVERY] = {{"attention.sliding_window_pattern"},
                            {"sliding_window_pattern", "global_attn_every_n_layers"}},
    [HYPER_WINDOW_LAYERS] = {{NULL}, {"max_window_layers"}},
    [HYPER_WINDOW_LIST] = {{"attention.sliding_window_pattern"}, {"layer_types"}},
    [HYPER_CHUNK] = {{"attention.sliding_window"}, {"attention_chunk_size"}},
    [HYPER_TEMPER_EVERY] = {{"attention.temperature_length"}, {"floor_scale"}},
    [HYPER_TEMPER] = {{"attention.temperature_scale"}, {"attn_scale"}},
    [HYPER_ATTEND_EVERY] = {{"full_attention_interval"}, {"full_attention_interval"}},
    [HYPER_ROPE_SKIP] = {{NULL}, {"no_rope_layer_interval"}},
    [HYPER_QKV_CLIP] = {{NULL}, {"clip_qkv"}},
    [HYPER_GATE_LIMIT] = {{NULL}, {"swiglu_limit"}},
    [HYPER_GATE_ALPHA] = {{NULL}, {"swiglu_alpha"}},
    [HYPER_NORM_EPS] = {{"attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"},
                        {"rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps"}},
    [HYPER_ALIBI_MAX] = {{"attention.max_alibi_bias"}, {NULL}},
    [HYPER_ATTN_SCALE] = {{"attention.scale"}, {"attention_multiplier"}},
    [HYPER_ATTN_SCALAR] = {{NULL}, {"query_pre_attn_scalar"}},
    [HYPER_ATTN_CAP] = {{"attn_logit_softcapping"}, {"attn_logit_softcapping"}},
    [HYPER_LOGIT_CAP] = {{"final_logit_softcapping"}, {"final_logit_softcapping"}},
    [HYPER_EMBED_SCALE] = {{"embedding_scale"}, {"embedding_multiplier", "scale_emb"}},
    [HYPER_RESIDUAL_SCALE] = {{"residual_scale"}, {"residual_multiplier"}},
    [HYPER_DEPTH_SCALE] = {{NULL}, {"scale_depth"}},
    [HYPER_BASE_WIDTH] = {{NULL}, {"dim_model_base"}},
    [HYPER_LOGIT_SCALE] = {{"logit_scale"}, {"logits_scaling", "logit_scale", "lm_head_multiplier"}},
};

enum { GGUF_NAMES = 2, HF_NAMES = 5 };

// What is being read, and from what.
struct reader {
    const struct family *f;
    const struct checkpoint *c;
    gyr_error *e;
};

static bool has(const struct checkpoint *c, const char *key) { return config_value(c, key); }

// The first of a hyperparameter's keys that the file has; false if it has none of them.
static bool key_of(const struct reader *r, enum hyper h, char room[128]) {
    bool gguf = r->c->source == CHECKPOINT_GGUF;
    const char *const *name = gguf ? keys[h].gguf : keys[h].hf;
    for (int i = 0; i < (gguf ? GGUF_NAMES : HF_NAMES) && name[i]; i++) {
        snprintf(room, 128, "%s%s%s", gguf ? r->f->architecture : "", gguf ? "." : "", name[i]);
        if (has(r->c, room)) return true;
    }
    return false;
}

void hyper_key(const struct family *f, enum hyper h, char key[128]) {
    bool layer_norm = h == HYPER_NORM_EPS && f->norms.kind == NORM_LAYER;
    snprintf(key, 128, "%s.%s", f->architecture, keys[h].gguf[layer_norm]);
}

static bool missing_key(const struct reader *r, enum hyper h) {
    char name[128];
    hyper_key(r->f, h, name);
    return fail(r->e, GYR_MALFORMED, "%s: key '%s' is missing; convert the model again", r->c->path,
                r->c->source == CHECKPOINT_HF ? keys[h].hf[0] : name);
}

// Reads an integer in [1, max]. A missing key gives `missing`, or GYR_MALFORMED if that is 0.
static bool get_uint(const struct reader *r, enum hyper h, uint32_t max, uint32_t missing, uint32_t *out) {
    char key[128];
    uint64_t v = missing;
    bool there = key_of(r, h, key);
    if (!there && !missing) return missing_key(r, h);
    bool list = r->f->window.own_heads; // its first number stands for all until the layers are read
    if (there && !(list ? layer_number(r->c, key, 0, max, &v, r->e) : checkpoint_uint(r->c, key, 1, max, &v, r->e)))
        return false;
    *out = (uint32_t)v;
    return true;
}

// Whether the file says of each layer what it is, in place of every n-th.
static bool layers_listed(const struct reader *r) {
    char key[128];
    const struct value *v = key_of(r, HYPER_WINDOW_LIST, key) ? checkpoint_value(r->c, key) : NULL;
    return v && v->kind == VALUE_ARRAY;
}

// The same where 0, or no such key, means that the model does not have it.
static bool get_any(const struct reader *r, enum hyper h, uint32_t max, uint32_t *out) {
    char key[128];
    uint64_t v = *out;
    if (h == HYPER_WINDOW_EVERY && layers_listed(r)) return true;
    if (key_of(r, h, key) && !checkpoint_uint(r->c, key, 0, max, &v, r->e)) return false;
    *out = (uint32_t)v;
    return true;
}

static bool get_float(const struct reader *r, enum hyper h, double missing, double *out) {
    char key[128];
    *out = missing;
    if (!key_of(r, h, key)) return true;
    if (!checkpoint_float(r->c, key, out, r->e)) return false;
    if (*out > 0 && *out < 1e12) return true;
    return fail(r->e, GYR_MALFORMED, "%s: key '%s' is %g; it must be positive", r->c->path, key, *out);
}

static bool read_layers(const struct reader *r, struct hyperparameters *h) {
    if (!get_uint(r, HYPER_LAYERS, MAX_LAYERS, 0, &h->layers) ||
        !get_any(r, HYPER_LAYERS_AHEAD, h->layers - 1, &h->layers_ahead))
        return false;
    h->layers -= h->layers_ahead;
    return true;
}

static bool read_heads(const struct reader *r, struct hyperparameters *h) {
    if (r->f->mixers == MIXERS_STATE) return true;
    enum kv_heads where = r->c->source == CHECKPOINT_GGUF ? KV_HEADS_KEY : r->f->attention.hf_kv_heads;
    if (r->f->latent.attends) where = KV_HEADS_ALL; // what the file says of keys and values is of the latent vector
    if (!get_uint(r, HYPER_HEADS, 1u << 16, 0, &h->heads)) return false;
    h->kv_heads = where == KV_HEADS_ONE ? 1 : h->heads;
    if (where == KV_HEADS_KEY && !get_uint(r, HYPER_KV_HEADS, 1u << 16, h->heads, &h->kv_heads)) return false;
    if (!get_any(r, HYPER_HEAD_DIM, 1u << 16, &h->head_dim)) return false;
    if ((!h->head_dim && h->hidden % h->heads) || h->heads % h->kv_heads)
        return fail(r->e, GYR_MALFORMED,
                    "%s: %u heads with %u key/value heads do not divide a hidden size of %u; convert the model again",
                    r->c->path, h->heads, h->kv_heads, h->hidden);
    if (!h->head_dim) h->head_dim = h->hidden / h->heads;
    if (h->head_dim > MAX_HEAD)
        return fail(r->e, GYR_UNSUPPORTED, "%s: a head of %u elements; gyr takes up to %d", r->c->path, h->head_dim,
                    MAX_HEAD);
    return true;
}

// Latent attention (DeepSeek-V2, 2024): the cache holds the latent vector itself, as a value, and with the rotated part
// of the key in front, as a key; every head reads the same.
static bool read_latent(const struct reader *r, struct hyperparameters *h) {
    uint32_t rotated = 0, whole = 0;
    bool gguf = r->c->source == CHECKPOINT_GGUF;
    h->value_dim = h->head_dim;
    if (!r->f->latent.attends) return true;
    if (!get_any(r, HYPER_Q_LATENT, 1u << 20, &h->q_latent) ||
        !get_uint(r, HYPER_KV_LATENT, MAX_HEAD, 0, &h->kv_latent) ||
        !get_uint(r, HYPER_KEY_ROTATED, MAX_HEAD, 0, &rotated) || !get_uint(r, HYPER_VALUE, MAX_HEAD, 0, &h->value) ||
        !get_uint(r, gguf ? HYPER_KEY_WHOLE : HYPER_KEY_PLAIN, MAX_HEAD, 0, &whole))
        return false;
    h->key_plain = gguf && whole > rotated ? whole - rotated : whole;
    h->kv_heads = 1;
    h->value_dim = h->kv_latent;
    h->head_dim = h->kv_latent + rotated;
    h->rope.dim = rotated;
    if (h->head_dim <= MAX_HEAD && rotated % 2 == 0 && (!gguf || whole > rotated)) return true;
    return fail(r->e, GYR_MALFORMED,
                "%s: keys of %u elements, %u of them rotated, from a latent vector of %u; convert the "
                "model again",
                r->c->path, whole, rotated, h->kv_latent);
}

// The indexer rotates its keys as the attention does.
static bool read_indexer(const struct reader *r, struct hyperparameters *h) {
    if (!r->f->latent.indexed) return true;
    if (!get_uint(r, HYPER_INDEX_HEADS, 1u << 12, 0, &h->index_heads) ||
        !get_uint(r, HYPER_INDEX_DIM, MAX_INDEX_KEY, 0, &h->index_dim) ||
        !get_uint(r, HYPER_INDEX_MOST, 1u << 20, 0, &h->index_most))
        return false;
    if (h->q_latent && h->index_dim >= h->rope.dim && indexer_own(r->f, r->c, 0)) return true;
    return fail(r->e, GYR_MALFORMED,
                "%s: an indexer with keys of %u, %u rotated, and queries of %u%s; convert the model "
                "again",
                r->c->path, h->index_dim, h->rope.dim, h->q_latent,
                indexer_own(r->f, r->c, 0) ? "" : ", and none in the first layer");
}

static bool read_rope(const struct reader *r, struct hyperparameters *h) {
    double part;
    uint32_t dim = 0;
    if (!get_float(r, HYPER_ROTARY_PART, r->f->rope.part > 0 ? r->f->rope.part : 1, &part)) return false;
    if (part > 1)
        return fail(r->e, GYR_MALFORMED, "%s: %g of a head rotated; convert the model again", r->c->path, part);
    if (h->kv_latent)
        dim = h->rope.dim;
    else if (!get_uint(r, HYPER_ROTARY_DIM, h->head_dim, (uint32_t)(h->head_dim * part), &dim))
        return false;
    if (dim % 2)
        return fail(r->e, GYR_MALFORMED, "%s: a head of %u cannot be rotated in pairs; convert the model again",
                    r->c->path, dim);
    h->rope.dim = h->local_rope.dim = dim;
    uint32_t own = h->local_heads.head_dim;
    if (own && !get_uint(r, HYPER_LOCAL_ROTARY_DIM, own, own, &h->local_rope.dim)) return false;
    if (h->local_rope.dim % 2)
        return fail(r->e, GYR_MALFORMED, "%s: a head of %u cannot be rotated in pairs; convert the model again",
                    r->c->path, h->local_rope.dim);
    if (!rope_read(r->f, r->c, false, &h->rope, &h->context, r->e)) return false;
    if (!rope_reaches_far(r->f, r->c, &h->rope)) h->far_context = h->context;
    h->local_rope.base = r->f->rope.local_base > 0 ? r->f->rope.local_base : h->rope.base;
    return (!r->f->rope.local || rope_read(r->f, r->c, true, &h->local_rope, &h->context, r->e));
}

static bool read_groups(const struct reader *r, struct hyperparameters *h) {
    const struct value *method = r->c->source == CHECKPOINT_HF ? config_value(r->c, "topk_method") : NULL;
    if (value_says(method, "greedy")) return true;
    if (!get_uint(r, HYPER_GROUPS, h->experts, 1, &h->groups) ||
        !get_uint(r, HYPER_GROUPS_USED, h->groups, 1, &h->groups_used))
        return false;
    uint32_t size = h->experts / h->groups;
    if (h->groups <= MAX_GROUPS && h->experts % h->groups == 0 && size * h->groups_used >= h->experts_used) return true;
    return fail(r->e, GYR_MALFORMED, "%s: %u of %u experts from %u of %u groups; convert the model again", r->c->path,
                h->experts_used, h->experts, h->groups_used, h->groups);
}

static bool read_experts(const struct reader *r, struct hyperparameters *h) {
    static const enum route_score scores[] = {ROUTE_SOFTMAX, ROUTE_SIGMOID, ROUTE_CHOSEN};
    char key[128];
    uint32_t route = 0;
    double scale = 1;
    h->groups = h->groups_used = 1;
    h->route = r->f->experts.route;
    h->route_normed = r->f->experts.normed;
    if (!get_any(r, HYPER_EXPERTS, 1u << 12, &h->experts)) return false;
    if (!h->experts) return !r->f->experts.beside || missing_key(r, HYPER_EXPERTS);
    if (!get_uint(r, HYPER_EXPERTS_USED, h->experts < 64 ? h->experts : 64, 0, &h->experts_used) ||
        !get_uint(r, HYPER_EXPERT_FEED_FORWARD, 1u << 24, h->feed_forward, &h->expert_feed_forward) ||
        !read_groups(r, h) || !get_any(r, HYPER_ROUTE, 3, &route))
        return false;
    if (route) h->route = scores[route - 1];
    if (key_of(r, HYPER_ROUTE_NORMED, key) && !checkpoint_bool(r->c, key, &h->route_normed, r->e)) return false;
    if (key_of(r, HYPER_ROUTE_SCALE, key) && !checkpoint_float(r->c, key, &scale, r->e)) return false;
    if (!(fabs(scale) < 1e6))
        return fail(r->e, GYR_MALFORMED, "%s: key '%s' is %g; convert the model again", r->c->path, key, scale);
    h->route_scale = scale != 0 ? (float)scale : 1; // llama.cpp's files say 0 for none
    return true;
}

// Whether the config lists the layers, and none of them is of a kind.
static bool none_is(const struct reader *r, const char *kind) {
    struct value v;
    uint32_t i = 0;
    for (; r->c->source == CHECKPOINT_HF && layer_listed(config_value(r->c, "layer_types"), i, &v); i++)
        if (value_says(&v, kind)) return false;
    return i;
}

// A key of the config that says no, by false or 0.
static bool denied(const struct reader *r, const char *key) {
    const struct value *v = r->c->source == CHECKPOINT_HF ? config_value(r->c, key) : NULL;
    return v && !value_truth(v, true);
}

// A key that the config has, and says nothing by.
static bool config_is_null(const struct reader *r, const char *key) {
    const struct value *v = checkpoint_value(r->c, key);
    return r->c->source == CHECKPOINT_HF && v && v->kind == VALUE_NONE;
}

// Attention in chunks (Llama 4, 2025). A chunk is a sequence of its own in the cache, so it begins with a page. Files
// without chunks have positions in every layer.
static bool read_chunks(const struct reader *r, struct hyperparameters *h) {
    h->chunk = r->f->chunks.size;
    h->temper_every = r->f->chunks.temper_every;
    h->rope_skip = r->f->rope.skip;
    if (!get_any(r, HYPER_CHUNK, 1u << 28, &h->chunk) || !get_any(r, HYPER_TEMPER_EVERY, 1u << 28, &h->temper_every) ||
        !get_float(r, HYPER_TEMPER, r->f->chunks.temper, &h->temper) ||
        !get_any(r, HYPER_ROPE_SKIP, 1u << 16, &h->rope_skip))
        return false;
    if (config_is_null(r, "attention_chunk_size") || none_is(r, "chunked_attention")) h->chunk = 0;
    if (denied(r, "attn_temperature_tuning")) h->temper_every = 0;
    if (!h->chunk && r->c->source == CHECKPOINT_GGUF) h->rope_skip = 0;
    return h->chunk % PAGE_TOKENS == 0 ||
           fail(r->e, GYR_UNSUPPORTED, "%s: attention in chunks of %u positions; gyr takes multiples of %d", r->c->path,
                h->chunk, PAGE_TOKENS);
}

// A list of layers says for each what it is, in words that gyr knows, or, in GGUF, by saying every n-th.
static bool read_window_list(const struct reader *r, struct hyperparameters *h) {
    static const char *const kinds[] = {"full_attention", "sliding_attention", "chunked_attention", "linear_attention",
                                        "indexed_attention"};
    char key[128];
    struct value v;
    const struct value *list = key_of(r, HYPER_WINDOW_LIST, key) ? checkpoint_value(r->c, key) : NULL;
    if (!list) return true;
    if (r->c->source == CHECKPOINT_GGUF)
        return list->kind == VALUE_ARRAY || checkpoint_uint(r->c, key, 0, 1u << 16, &(uint64_t){0}, r->e);
    for (uint32_t i = 0; i < h->layers; i++) {
        bool known = false, there = layer_listed(list, i, &v);
        for (size_t k = 0; there && k < sizeof kinds / sizeof *kinds; k++) known |= value_says(&v, kinds[k]);
        if (known) continue;
        struct text word = there && v.kind == VALUE_STRING ? v.s : (struct text){"nothing", 7};
        return fail(r->e, there ? GYR_UNSUPPORTED : GYR_MALFORMED,
                    "%s: key '%s' says '%.*s' of layer %u, which is not a kind of layer that gyr knows", r->c->path,
                    key, (int)(word.size > 40 ? 40 : word.size), word.data, i);
    }
    return true;
}

// A file's window is then as wide as what a token sees, before it and behind it together. Of a decoder's GGUF file that
// is not causal it is not known what its window means.
static bool read_bidirectional(const struct reader *r, struct hyperparameters *h) {
    char key[128] = "use_bidirectional_attention";
    bool hf = r->c->source == CHECKPOINT_HF, causal = !r->f->bidirectional;
    h->bidirectional = r->f->bidirectional;
    if (!hf) {
        snprintf(key, sizeof key, "%s.attention.causal", r->f->architecture);
        if (!checkpoint_bool(r->c, key, &causal, r->e)) return false;
        h->bidirectional = !causal;
        if (causal ? r->f->bidirectional : h->window && !r->f->bidirectional)
            return fail(r->e, GYR_UNSUPPORTED, "%s: key '%s' is %s, which gyr does not know of the %s", r->c->path, key,
                        causal ? "true" : "false", r->f->kind);
    } else if (!r->f->bidirectional) {
        if (value_says(config_value(r->c, key), "vision")) return true; // of pictures alone
        if (!checkpoint_bool(r->c, key, &h->bidirectional, r->e)) return false;
    }
    if (h->bidirectional && h->window) h->window = h->window / 2 + 1;
    return true;
}

// Rows of the table of learned positions that stand for padding are in front of the first one used.
static bool read_first_position(const struct reader *r, struct hyperparameters *h) {
    uint64_t pad = 1;
    if (!r->f->hf_positions_padded || r->c->source != CHECKPOINT_HF) return true;
    if (!checkpoint_uint(r->c, "pad_token_id", 0, 1u << 20, &pad, r->e)) return false;
    h->first_position = (uint32_t)pad + 1;
    if (h->first_position < h->context) {
        h->context = h->far_context = h->context - h->first_position;
        return true;
    }
    return fail(r->e, GYR_MALFORMED, "%s: %u positions, the first %u of them padding; get the file again", r->c->path,
                h->context, h->first_position);
}

// A window counts where the file has one and says nothing to the contrary.
static bool read_window(const struct reader *r, struct hyperparameters *h) {
    if (r->f->chunks.size) return read_chunks(r, h) && read_bidirectional(r, h);
    bool use = !r->f->window.hf_told || r->c->source == CHECKPOINT_GGUF;
    h->window_every = r->f->window.every;
    h->rope_skip = r->f->rope.skip;
    if (!get_any(r, HYPER_WINDOW, 1u << 28, &h->window) ||
        !get_any(r, HYPER_WINDOW_EVERY, 1u << 16, &h->window_every) ||
        !get_any(r, HYPER_WINDOW_LAYERS, 1u << 16, &h->window_layers) || !read_window_list(r, h) ||
        (r->f->rope.skip && !get_any(r, HYPER_ROPE_SKIP, 1u << 16, &h->rope_skip)))
        return false;
    const struct value *told = use ? NULL : config_value(r->c, "use_sliding_window");
    if (!use && !(told && told->kind == VALUE_BOOL && told->b)) h->window = 0;
    return read_bidirectional(r, h);
}

// A config that does not say whether a model has them means that it does, in transformers.
static bool read_layer_inputs(const struct reader *r, struct hyperparameters *h) {
    char key[128];
    if (!r->f->layer_inputs) return true;
    if (!key_of(r, HYPER_LAYER_INPUT, key) && family_tensor(r->f, r->c, (struct place){.role = ROLE_INPUT_TABLE}, key))
        return missing_key(r, HYPER_LAYER_INPUT);
    return get_any(r, HYPER_LAYER_INPUT, 1u << 16, &h->layer_input);
}

static bool flag(const struct reader *r, const char *key) {
    const struct value *v = r->c->source == CHECKPOINT_HF ? config_value(r->c, key) : NULL;
    return v && v->kind == VALUE_BOOL && v->b;
}

// The heads of one layer in a folder: those that the config begins with, except where per_layer_config, as transformers
// writes it, or keys for all layers without a window say another number.
static void hf_heads(const struct reader *r, const struct hyperparameters *h, uint32_t layer, bool local,
                     uint64_t n[2]) {
    static const char *const each[] = {"num_key_value_heads", "head_dim"};
    static const char *const global[] = {"num_global_key_value_heads", "global_head_dim"};
    char key[128];
    if (!local) n[1] = 512; // transformers' own default
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "per_layer_config.%u.%s", layer, each[i]);
        const struct value *v = config_value(r->c, key);
        if (!v && !local && (i || h->key_values)) v = config_value(r->c, global[i]);
        if (v) n[i] = v->kind == VALUE_UINT ? v->u : 0;
    }
}

static bool gguf_heads(const struct reader *r, uint32_t layer, bool local, uint64_t n[2]) {
    char key[128];
    if (key_of(r, HYPER_KV_HEADS, key) && !layer_number(r->c, key, layer, 1u << 16, &n[0], r->e)) return false;
    if (local && !key_of(r, HYPER_LOCAL_HEAD_DIM, key)) return missing_key(r, HYPER_LOCAL_HEAD_DIM);
    return !local || checkpoint_uint(r->c, key, 1, 1u << 16, &n[1], r->e);
}

// Puts a layer's heads with those of its kind.
static bool take_heads(const struct reader *r, const struct hyperparameters *h, uint32_t layer, struct heads *kind) {
    bool local = layer_plan(r->f, r->c, h, layer).local;
    uint64_t n[] = {h->kv_heads, h->head_dim};
    if (r->c->source == CHECKPOINT_HF)
        hf_heads(r, h, layer, local, n);
    else if (!gguf_heads(r, layer, local, n))
        return false;
    if (n[0] < 1 || n[0] > h->heads || h->heads % n[0] || n[1] < 1 || n[1] > MAX_HEAD)
        return fail(r->e, GYR_MALFORMED,
                    "%s: layer %u has %u heads of %llu elements, %llu of them with keys; gyr takes elements up to %d "
                    "and as many heads to each key",
                    r->c->path, layer, h->heads, (unsigned long long)n[1], (unsigned long long)n[0], MAX_HEAD);
    if (!kind[local].head_dim) kind[local] = (struct heads){(uint32_t)n[0], (uint32_t)n[1]};
    if (kind[local].kv_heads == n[0] && kind[local].head_dim == n[1]) return true;
    return fail(r->e, GYR_UNSUPPORTED,
                "%s: layer %u has other heads than those before it; gyr knows two kinds of layers, with a window and "
                "without",
                r->c->path, layer);
}

// Layers that borrow keys and values need one of their kind that has some. The last layer sees everything:
// transformers makes it so, whatever the config says, and llama.cpp does not.
static bool check_kinds(const struct reader *r, const struct hyperparameters *h) {
    bool lends[2] = {false, false};
    for (uint32_t i = 0; i < h->layers; i++) {
        struct layer_plan p = layer_plan(r->f, r->c, h, i);
        if ((p.borrows && !lends[p.local]) || (p.local && i + 1 == h->layers))
            return fail(r->e, GYR_UNSUPPORTED, "%s: layer %u %s", r->c->path, i,
                        p.borrows ? "shares keys and values that no layer before it has; convert the model again"
                                  : "is the last and has a window; gyr knows models whose last layer sees everything");
        lends[p.local] = true;
    }
    return true;
}

// Two kinds of layers, each with heads of its own. Which are which is a list.
static bool read_local_heads(const struct reader *r, struct hyperparameters *h) {
    struct heads kind[2] = {{0}};
    char key[128];
    bool gguf = r->c->source == CHECKPOINT_GGUF;
    if (!r->f->window.own_heads) return true;
    if (!h->window) return missing_key(r, HYPER_WINDOW);
    if (gguf && !key_of(r, HYPER_WINDOW_LIST, key)) return missing_key(r, HYPER_WINDOW_LIST);
    const char *base = "rope_parameters.full_attention.rope_theta"; // transformers' default is not the usual one
    if (!gguf && !config_value(r->c, base))
        return fail(r->e, GYR_MALFORMED, "%s: key '%s' is missing; get the folder again", r->c->path, base);
    if (!get_any(r, HYPER_SHARED_KV, h->layers - 1, &h->shared_kv)) return false;
    h->key_values = flag(r, "attention_k_eq_v");
    h->double_wide = flag(r, "use_double_wide_mlp");
    for (uint32_t i = 0; i < h->layers; i++)
        if (!take_heads(r, h, i, kind)) return false;
    if (!check_kinds(r, h)) return false;
    h->kv_heads = kind[0].kv_heads;
    h->head_dim = kind[0].head_dim;
    h->local_heads = kind[1];
    return true;
}

static bool read_scales(const struct reader *r, struct hyperparameters *h) {
    double eps, attn, scalar, cap, logit_cap, embed, residual, logit, depth, base, clip;
    bool wide = r->f->attention.wide_layers && h->layers == r->f->attention.wide_layers;
    double dim = wide ? (double)h->hidden / h->heads : h->kv_latent ? h->key_plain + h->rope.dim : h->head_dim;
    double stretch = h->kv_latent ? rope_stretch(&h->rope) : 1, own = stretch * stretch / sqrt(dim);
    if (r->f->attention.scale > 0) own = (double)r->f->attention.scale;
    double root = r->f->scale.embed_root ? (double)sqrtf((float)h->hidden) : 1;
    if (!get_float(r, HYPER_NORM_EPS, 1e-5, &eps) || !get_float(r, HYPER_ATTN_SCALAR, 0, &scalar) ||
        !get_float(r, HYPER_ATTN_SCALE, scalar > 0 ? 1 / sqrt(scalar) : own, &attn) ||
        !get_float(r, HYPER_QKV_CLIP, 0, &clip) || !get_float(r, HYPER_ATTN_CAP, 0, &cap) ||
        !get_float(r, HYPER_LOGIT_CAP, 0, &logit_cap) || !get_float(r, HYPER_EMBED_SCALE, root, &embed) ||
        !get_float(r, HYPER_DEPTH_SCALE, 0, &depth) ||
        !get_float(r, HYPER_RESIDUAL_SCALE, depth > 0 ? depth / sqrt(h->layers) : 1, &residual) ||
        !get_float(r, HYPER_BASE_WIDTH, 0, &base) ||
        !get_float(r, HYPER_LOGIT_SCALE, base > 0 ? h->hidden / base : 1, &logit) ||
        !get_float(r, HYPER_ALIBI_MAX, 8, &h->alibi_max))
        return false;
    h->norm_eps = (float)eps;
    h->attn_scale = (float)attn;
    h->qkv_clip = (float)clip;
    h->attn_cap = (float)cap;
    h->logit_cap = (float)logit_cap;
    h->embed_scale = (float)embed;
    h->residual_scale = (float)residual;
    h->logit_scale = (float)(r->f->scale.logits_divided ? 1 / logit : logit);
    if (h->alibi_max > 64 || h->alibi_max != (double)(int)h->alibi_max)
        return fail(r->e, GYR_UNSUPPORTED, "%s: an ALiBi maximum of %g; gyr knows whole ones up to 64", r->c->path,
                    h->alibi_max);
    return true;
}

// The row knows the activation; a config may say another, of layers without a state.
static bool read_activation(const struct reader *r, struct hyperparameters *h) {
    static const char *const where[] = {"hidden_activation", "hidden_act", "activation_function", "activation"};
    static const struct {
        const char *name;
        enum activation is;
    } names[] = {{"gelu", ACT_GELU},
                 {"gelu_python", ACT_GELU},
                 {"gelu_pytorch_tanh", ACT_GELU_TANH},
                 {"gelu_python_tanh", ACT_GELU_TANH},
                 {"gelu_accurate", ACT_GELU_TANH},
                 {"gelu_new", ACT_GELU_TANH},
                 {"gelu_fast", ACT_GELU_TANH},
                 {"silu", ACT_SILU},
                 {"swish", ACT_SILU},
                 {"swiglu", ACT_SILU},
                 {"relu", ACT_RELU},
                 {"relu2", ACT_RELU2}};
    const struct value *v = NULL;
    double limit, alpha;
    h->activation = r->f->mlp.activation;
    if (!get_float(r, HYPER_GATE_LIMIT, (double)r->f->mlp.limit, &limit) ||
        !get_float(r, HYPER_GATE_ALPHA, (double)r->f->mlp.alpha, &alpha))
        return false;
    h->gate_limit = (float)limit;
    h->gate_alpha = (float)alpha;
    for (int i = 0; i < 4 && !v; i++) v = config_value(r->c, where[i]);
    if (!v || r->c->source == CHECKPOINT_GGUF) return true;
    struct text s = v->kind == VALUE_STRING ? v->s : (struct text){"?", 1};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (s.size != strlen(names[i].name) || memcmp(s.data, names[i].name, s.size)) continue;
        if (r->f->state.kind != RECUR_NONE && names[i].is != h->activation) break;
        h->activation = r->f->mlp.gelu_is_tanh && names[i].is == ACT_GELU ? ACT_GELU_TANH : names[i].is;
        return true;
    }
    return fail(r->e, GYR_UNSUPPORTED, "%s: activation '%.*s' is not supported yet", r->c->path,
                (int)(s.size > 40 ? 40 : s.size), s.data);
}

// Layers without attention have no longest text, and models without any say none.
static bool read_sizes(const struct reader *r, struct hyperparameters *h) {
    bool state = r->f->mixers == MIXERS_STATE;
    if (!read_layers(r, h) || !get_uint(r, HYPER_HIDDEN, 1u << 20, 0, &h->hidden) ||
        !get_uint(r, HYPER_CONTEXT, 1u << 28, state ? 1u << 20 : 2048, &h->context))
        return false;
    uint64_t trained = h->context; // positions beyond are rotated by a base that grows with the text
    if (r->c->source == CHECKPOINT_HF && has(r->c, "rotary_scaling_factor") &&
        !checkpoint_uint(r->c, "max_trained_positions", 1, 1u << 28, &trained, r->e))
        return false;
    if (trained < h->context) h->context = (uint32_t)trained;
    h->far_context = h->context;
    return state || get_uint(r, HYPER_FEED_FORWARD, 1u << 24, 4 * h->hidden, &h->feed_forward);
}

static bool read_states(const struct reader *r, struct hyperparameters *h) {
    h->attend_every = 4;
    if (!get_any(r, HYPER_ATTEND_EVERY, 1u << 16, &h->attend_every) ||
        !recurrence_read(r->f, r->c, h->hidden, &h->recurrence, r->e))
        return false;
    if (!(h->recurrence.norms_eps > 0)) h->recurrence.norms_eps = h->norm_eps;
    for (uint32_t i = 0; i < h->layers; i++) {
        struct layer_plan plan = layer_plan(r->f, r->c, h, i);
        h->kv_layers[plan.kind] += plan.attends && !plan.borrows;
        if (plan.feed_forward > h->most_feed_forward) h->most_feed_forward = plan.feed_forward;
        h->state_layers += plan.recurs;
        h->kv_layers[KV_INDEX] += plan.indexes;
    }
    return true;
}

static bool read_biases(const struct reader *r, struct hyperparameters *h) {
    h->biases = checkpoint_biases(r->c, &h->biases_told);
    if (!(h->biases & BIAS_ALL & ~(r->f->biases | r->f->may_bias))) return true;
    return fail(r->e, GYR_UNSUPPORTED, "%s: its config asks for biases that gyr does not know of the %s", r->c->path,
                r->f->kind);
}

bool hyperparameters(const struct family *f, const struct checkpoint *c, struct hyperparameters *h, gyr_error *e) {
    struct reader r = {f, c, e};
    *h = (struct hyperparameters){0};
    return read_sizes(&r, h) && read_first_position(&r, h) && read_heads(&r, h) && read_window(&r, h) &&
           read_local_heads(&r, h) && read_layer_inputs(&r, h) && read_latent(&r, h) && read_indexer(&r, h) &&
           read_experts(&r, h) && (f->positions != POSITIONS_ROTARY || read_rope(&r, h)) && read_scales(&r, h) &&
           read_activation(&r, h) && read_biases(&r, h) && read_states(&r, h);
}
