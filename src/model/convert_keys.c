// Hyperparameters as GGUF's keys: hyper.c and positions.c backwards.
#include "model/convert_keys.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct putter {
    struct gguf_writer *w;
    const struct family *f;
};

static void put_whole(const struct putter *p, enum hyper which, uint32_t v) {
    char key[128];
    hyper_key(p->f, which, key);
    gguf_put_u32(p->w, key, v);
}

// Only where it is not what a reader takes when the key is missing.
static void put_real(const struct putter *p, enum hyper which, double v, double missing) {
    char key[128];
    hyper_key(p->f, which, key);
    if ((float)v != (float)missing) gguf_put_f32(p->w, key, (float)v);
}

static const char *own_key(const struct putter *p, const char *name, char key[128]) {
    snprintf(key, 128, "%s.%s", p->f->architecture, name);
    return key;
}

static void put_own(const struct putter *p, const char *name, double v) {
    char key[128];
    gguf_put_f32(p->w, own_key(p, name, key), (float)v);
}

static void put_rope(const struct putter *p, const struct hyperparameters *h) {
    static const char *const kinds[] = {[ROPE_LINEAR] = "linear", [ROPE_YARN] = "yarn", [ROPE_LONG] = NULL};
    const struct rope *r = &h->rope;
    char key[128];
    put_whole(p, HYPER_ROTARY_DIM, r->dim);
    put_own(p, "rope.freq_base", r->base);
    if (p->f->rope.local) put_own(p, "rope.freq_base_swa", h->local_rope.base);
    if (h->local_heads.head_dim) put_whole(p, HYPER_LOCAL_ROTARY_DIM, h->local_rope.dim);
    bool tensor = r->scaling == ROPE_LLAMA3 || r->scaling == ROPE_PROPORTIONAL; // and so is LongRoPE's, beside keys
    if (r->scaling == ROPE_PLAIN || tensor) return;
    if (r->scaling != ROPE_LONG) {
        gguf_put_cstring(p->w, own_key(p, "rope.scaling.type", key), kinds[r->scaling]);
        put_own(p, "rope.scaling.factor", r->factor);
    }
    if (r->scaling == ROPE_LINEAR) return;
    gguf_put_u32(p->w, own_key(p, "rope.scaling.original_context_length", key), (uint32_t)r->trained);
    if (r->scaling == ROPE_YARN) {
        put_own(p, "rope.scaling.yarn_beta_fast", r->fast);
        put_own(p, "rope.scaling.yarn_beta_slow", r->slow);
    }
    if (r->mscale_all > 0) put_own(p, "rope.scaling.yarn_log_multiplier", 0.1 * r->mscale_all);
    bool scaled = r->mscale_all > 0 && r->mscale != r->mscale_all;
    if (r->scaling == ROPE_LONG || r->attention > 0 || scaled)
        put_own(p, "rope.scaling.attn_factor", rope_attention(r));
}

// How many pairs turn with each of the positions that a picture's part has. In a text all positions are one.
static void put_sections(const struct putter *p, const struct model *m) {
    const struct value *v = config_value(m->checkpoint, "rope_parameters.mrope_section");
    int32_t sections[4] = {11, 11, 10}; // Qwen 3.5's, where the file does not say
    char key[128];
    for (size_t i = 0; v && v->kind == VALUE_ARRAY && i < 3; i++) {
        struct value n = i < v->array.n ? value_at(v, i) : (struct value){0};
        sections[i] = n.kind == VALUE_UINT && n.u <= INT32_MAX ? (int32_t)n.u : 0;
    }
    gguf_put_i32s(p->w, own_key(p, "rope.dimension_sections", key), sections, 4);
}

// A number that only config.json has.
static void put_config(const struct putter *p, const struct model *m, const char *name, const char *gguf) {
    const struct value *v = config_value(m->checkpoint, name);
    char key[128];
    if (v && v->kind == VALUE_UINT && v->u <= UINT32_MAX) gguf_put_u32(p->w, own_key(p, gguf, key), (uint32_t)v->u);
}

static void put_latent(const struct putter *p, const struct hyperparameters *h) {
    if (h->q_latent) put_whole(p, HYPER_Q_LATENT, h->q_latent);
    put_whole(p, HYPER_KV_LATENT, h->kv_latent);
    put_whole(p, HYPER_KEY_WHOLE, h->key_plain + h->rope.dim);
    put_whole(p, HYPER_VALUE, h->value);
    if (p->f->positions != POSITIONS_ROTARY) put_whole(p, HYPER_KEY_ROTATED, h->rope.dim);
}

// Where layers share indexers, which have one.
static void put_indexers(const struct putter *p, const struct model *m) {
    const struct hyperparameters *h = &m->h;
    bool own[MAX_LAYERS];
    char key[128];
    put_whole(p, HYPER_INDEX_HEADS, h->index_heads);
    put_whole(p, HYPER_INDEX_DIM, h->index_dim);
    put_whole(p, HYPER_INDEX_MOST, h->index_most);
    if (!p->f->latent.indexers_shared) return;
    for (uint32_t i = 0; i < h->layers; i++) own[i] = m->layers[i].plan.indexes;
    gguf_put_bools(p->w, own_key(p, "attention.indexer.types", key), own, h->layers);
}

static void put_experts(const struct putter *p, const struct model *m) {
    static const uint32_t routes[] = {[ROUTE_SOFTMAX] = 1, [ROUTE_SIGMOID] = 2, [ROUTE_CHOSEN] = 3};
    const struct hyperparameters *h = &m->h;
    char key[128];
    put_whole(p, HYPER_EXPERTS, h->experts);
    put_whole(p, HYPER_EXPERTS_USED, h->experts_used);
    put_whole(p, HYPER_EXPERT_FEED_FORWARD, h->expert_feed_forward);
    if (h->shared_feed_forward)
        gguf_put_u32(p->w, own_key(p, "expert_shared_feed_forward_length", key), h->shared_feed_forward);
    put_config(p, m, "n_shared_experts", "expert_shared_count");
    put_config(p, m, "num_shared_experts", "expert_shared_count"); // Kimi Linear's word
    put_config(p, m, "first_k_dense_replace", "leading_dense_block_count");
    put_config(p, m, "interleave_moe_layer_step", "interleave_moe_layer_step");
    put_whole(p, HYPER_ROUTE, routes[h->route]);
    hyper_key(p->f, HYPER_ROUTE_NORMED, key);
    gguf_put_bool(p->w, key, h->route_normed);
    put_real(p, HYPER_ROUTE_SCALE, h->route_scale, 0);
    if (h->groups < 2) return;
    put_whole(p, HYPER_GROUPS, h->groups);
    put_whole(p, HYPER_GROUPS_USED, h->groups_used);
}

static void put_multipliers(const struct putter *p, const struct hyperparameters *h) {
    const struct family *f = p->f;
    put_real(p, HYPER_EMBED_SCALE, h->embed_scale, f->scale.embed_root ? (double)sqrtf((float)h->hidden) : 1);
    put_real(p, HYPER_RESIDUAL_SCALE, h->residual_scale, 1);
    put_real(p, HYPER_LOGIT_SCALE, f->scale.logits_divided ? 1 / (double)h->logit_scale : (double)h->logit_scale, 1);
}

static void put_recurrence(const struct putter *p, const struct model *m) {
    const struct recurrence *r = &m->h.recurrence;
    char key[128];
    if (r->each) {
        gguf_put_u32(p->w, own_key(p, "ssm.conv_kernel", key), r->taps);
        gguf_put_u32(p->w, own_key(p, "kda.head_dim", key), r->size);
        return;
    }
    const struct {
        const char *name;
        uint32_t v;
    } numbers[] = {{"ssm.conv_kernel", r->taps},
                   {"ssm.inner_size", r->inner},
                   {"ssm.state_size", r->size},
                   {"ssm.time_step_rank", r->rank ? r->rank : r->heads},
                   {"ssm.group_count", r->rank ? 0 : r->groups}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i].v) gguf_put_u32(p->w, own_key(p, numbers[i].name, key), numbers[i].v);
    if (p->f->mixers == MIXERS_TURNS) put_whole(p, HYPER_ATTEND_EVERY, m->h.attend_every);
    if (r->norms_eps != m->h.norm_eps) put_own(p, "ssm.dt_b_c_rms_epsilon", r->norms_eps);
}

// What tells a family's files apart from its other kinds'.
static void put_conditions(const struct putter *p) {
    char key[128];
    for (size_t i = 0; i < sizeof p->f->gguf / sizeof *p->f->gguf && p->f->gguf[i].key; i++)
        if (!strncmp(p->f->gguf[i].key, "use_", 4) ||
            !strcmp(p->f->gguf[i].key, "ssm.dt_b_c_rms")) // others are numbers that are there already
            gguf_put_bool(p->w, own_key(p, p->f->gguf[i].key, key), p->f->gguf[i].equals);
}

// A number for each layer, or one where they are all the same.
static void put_each(const struct putter *p, enum hyper which, const int32_t *v, uint32_t n) {
    char key[128];
    uint32_t same = 1;
    while (same < n && v[same] == v[0]) same++;
    hyper_key(p->f, which, key);
    if (same < n)
        gguf_put_i32s(p->w, key, v, n);
    else
        gguf_put_u32(p->w, key, (uint32_t)v[0]);
}

// Layers of two kinds, and what they share.
static void put_layers(const struct putter *p, const struct model *m) {
    const struct hyperparameters *h = &m->h;
    uint32_t own = h->local_heads.head_dim ? h->local_heads.head_dim : h->head_dim;
    int32_t heads[MAX_LAYERS], wide[MAX_LAYERS];
    bool local[MAX_LAYERS];
    char key[128];
    for (uint32_t i = 0; i < h->layers; i++) {
        heads[i] = (int32_t)m->layers[i].plan.heads.kv_heads;
        wide[i] = (int32_t)m->layers[i].plan.feed_forward;
        local[i] = m->layers[i].plan.local;
    }
    put_each(p, HYPER_KV_HEADS, heads, h->layers);
    put_each(p, HYPER_FEED_FORWARD, wide, h->layers);
    hyper_key(p->f, HYPER_WINDOW_LIST, key);
    gguf_put_bools(p->w, key, local, h->layers);
    put_whole(p, HYPER_HEAD_DIM, h->head_dim);
    put_whole(p, HYPER_LOCAL_HEAD_DIM, own);
    gguf_put_u32(p->w, own_key(p, "attention.value_length", key), h->head_dim);
    gguf_put_u32(p->w, own_key(p, "attention.value_length_swa", key), own);
    put_whole(p, HYPER_SHARED_KV, h->shared_kv);
    put_whole(p, HYPER_LAYER_INPUT, h->layer_input);
}

// Kimi Linear's layers without keys are those that keep a state.
static void put_turns(const struct putter *p, const struct model *m) {
    int32_t heads[MAX_LAYERS];
    for (uint32_t i = 0; i < m->h.layers; i++) heads[i] = m->layers[i].plan.attends ? (int32_t)m->h.kv_heads : 0;
    put_each(p, HYPER_KV_HEADS, heads, m->h.layers);
}

// What a file says of heads and widths once for all layers.
static void put_widths(const struct putter *p, const struct model *m) {
    const struct hyperparameters *h = &m->h;
    char key[128];
    put_whole(p, HYPER_FEED_FORWARD, h->feed_forward);
    if (p->f->state.each)
        put_turns(p, m);
    else if (h->kv_heads)
        put_whole(p, HYPER_KV_HEADS, h->kv_heads);
    if (!h->kv_latent && (!h->heads || h->head_dim * h->heads == h->hidden)) return;
    put_whole(p, HYPER_HEAD_DIM, h->head_dim);
    gguf_put_u32(p->w, own_key(p, "attention.value_length", key), h->kv_latent ? h->value_dim : h->head_dim);
}

// How a text's embedding is made, and what llama.cpp must be told of an encoder.
static void put_encoder(const struct putter *p, const struct model *m) {
    static const uint32_t kinds[] = {[POOLING_MEAN] = 1, [POOLING_FIRST] = 2, [POOLING_LAST] = 3};
    char key[128];
    enum pooling pooling = m->checkpoint->sentence.pooling;
    bool relevance = m->checkpoint->sentence.relevance; // llama.cpp's "rank"
    if (pooling) gguf_put_u32(p->w, own_key(p, "pooling_type", key), relevance ? 4 : kinds[pooling]);
    bool told = p->f->bidirectional || !m->h.window; // else no file of the family could say it
    if (m->h.bidirectional && told) gguf_put_bool(p->w, own_key(p, "attention.causal", key), false);
    const struct tensor *types = family_tensor(p->f, m->checkpoint, (struct place){ROLE_TYPES, PART_WEIGHT, 0, 0}, key);
    if (p->f->types && types) gguf_put_u32(p->w, "tokenizer.ggml.token_type_count", (uint32_t)types->dim[1]);
    if (p->f->window.dense_first) put_whole(p, HYPER_WINDOW_EVERY, m->h.window_every);
}

void put_hyper_keys(struct gguf_writer *w, const struct model *m) {
    const struct family *f = m->family;
    const struct hyperparameters *h = &m->h;
    struct putter p = {w, f};
    char key[128];
    gguf_put_u32(w, own_key(&p, "vocab_size", key), h->vocab);
    put_whole(&p, HYPER_CONTEXT, h->far_context);
    put_whole(&p, HYPER_HIDDEN, h->hidden);
    put_whole(&p, HYPER_LAYERS, h->layers);
    put_whole(&p, HYPER_HEADS, h->heads); // 0, and so are widths, where layers have neither
    if (h->kv_latent) put_latent(&p, h);
    if (f->window.own_heads)
        put_layers(&p, m);
    else
        put_widths(&p, m);
    if (h->window) put_whole(&p, HYPER_WINDOW, h->bidirectional ? 2 * (h->window - 1) : h->window);
    put_encoder(&p, m);
    if (h->chunk != f->chunks.size) put_whole(&p, HYPER_CHUNK, h->chunk);
    if (h->temper_every != f->chunks.temper_every) put_whole(&p, HYPER_TEMPER_EVERY, h->temper_every);
    put_real(&p, HYPER_TEMPER, h->temper, f->chunks.temper);
    put_real(&p, HYPER_NORM_EPS, h->norm_eps, 0);
    if (f->positions == POSITIONS_ALIBI) put_real(&p, HYPER_ALIBI_MAX, h->alibi_max, 0);
    if (f->positions == POSITIONS_ROTARY) put_rope(&p, h);
    if (f->rope.gguf_sections) put_sections(&p, m);
    if (h->heads && !h->kv_latent)
        put_real(&p, HYPER_ATTN_SCALE, h->attn_scale,
                 f->attention.scale > 0 ? (double)f->attention.scale : 1 / sqrt((double)h->head_dim));
    put_real(&p, HYPER_ATTN_CAP, h->attn_cap, 0);
    put_real(&p, HYPER_LOGIT_CAP, h->logit_cap, 0);
    if (!f->scale.gguf_multiplied) put_multipliers(&p, h);
    if (h->recurrence.kind != RECUR_NONE) put_recurrence(&p, m);
    if (f->latent.indexed) put_indexers(&p, m);
    if (h->experts) put_experts(&p, m);
    put_conditions(&p);
    if (!strcmp(f->architecture, "falcon"))
        gguf_put_cstring(w, own_key(&p, "tensor_data_layout", key), "jploski"); // rows as source_row() orders them
}
