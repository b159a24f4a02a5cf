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
    double own_base = p->f->local_base > 0 ? p->f->local_base : r->base;
    char key[128];
    put_whole(p, HYPER_ROTARY_DIM, r->dim);
    put_own(p, "rope.freq_base", r->base);
    if (p->f->local_rope && (float)h->local_rope.base != (float)own_base)
        put_own(p, "rope.freq_base_swa", h->local_rope.base);
    if (r->scaling == ROPE_PLAIN || r->scaling == ROPE_LLAMA3) return; // Llama 3's is a tensor, and so is LongRoPE's
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

// What tells a family's files apart from its other kinds'.
static void put_conditions(const struct putter *p) {
    char key[128];
    for (size_t i = 0; i < sizeof p->f->gguf / sizeof *p->f->gguf && p->f->gguf[i].key; i++)
        if (!strncmp(p->f->gguf[i].key, "use_", 4)) // others are numbers that are there already
            gguf_put_bool(p->w, own_key(p, p->f->gguf[i].key, key), p->f->gguf[i].equals);
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
    put_whole(&p, HYPER_FEED_FORWARD, h->feed_forward);
    put_whole(&p, HYPER_HEADS, h->heads);
    put_whole(&p, HYPER_KV_HEADS, h->kv_heads);
    if (h->kv_latent) put_latent(&p, h);
    if (h->kv_latent || h->head_dim * h->heads != h->hidden) {
        put_whole(&p, HYPER_HEAD_DIM, h->head_dim);
        gguf_put_u32(w, own_key(&p, "attention.value_length", key), h->kv_latent ? h->value_dim : h->head_dim);
    }
    if (h->window) put_whole(&p, HYPER_WINDOW, h->window);
    if (h->chunk != f->chunk) put_whole(&p, HYPER_CHUNK, h->chunk);
    if (h->temper_every != f->temper_every) put_whole(&p, HYPER_TEMPER_EVERY, h->temper_every);
    put_real(&p, HYPER_TEMPER, h->temper, f->temper);
    put_real(&p, HYPER_NORM_EPS, h->norm_eps, 0);
    if (f->positions == POSITIONS_ALIBI) put_real(&p, HYPER_ALIBI_MAX, h->alibi_max, 0);
    if (f->positions == POSITIONS_ROTARY) put_rope(&p, h);
    if (!h->kv_latent) put_real(&p, HYPER_ATTN_SCALE, h->attn_scale, 1 / sqrt((double)h->head_dim));
    put_real(&p, HYPER_ATTN_CAP, h->attn_cap, 0);
    put_real(&p, HYPER_LOGIT_CAP, h->logit_cap, 0);
    put_real(&p, HYPER_EMBED_SCALE, h->embed_scale, f->embed_root ? (double)sqrtf((float)h->hidden) : 1);
    put_real(&p, HYPER_RESIDUAL_SCALE, h->residual_scale, 1);
    put_real(&p, HYPER_LOGIT_SCALE, f->logits_divided ? 1 / (double)h->logit_scale : (double)h->logit_scale, 1);
    if (h->experts) put_experts(&p, m);
    put_conditions(&p);
    if (!strcmp(f->architecture, "falcon"))
        gguf_put_cstring(w, own_key(&p, "tensor_data_layout", key), "jploski"); // rows as source_row() orders them
}
