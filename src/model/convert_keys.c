// Hyperparameters as GGUF's keys: hyper.c and positions.c backwards.
#include "model/convert_parts.h"

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
    static const char *const kinds[] = {
        [ROPE_LINEAR] = "linear", [ROPE_YARN] = "yarn", [ROPE_LONG] = "longrope", [ROPE_LLAMA3] = NULL};
    const struct rope *r = &h->rope;
    char key[128];
    put_whole(p, HYPER_ROTARY_DIM, r->dim);
    put_own(p, "rope.freq_base", r->base);
    if (p->f->local_base > 0) put_own(p, "rope.freq_base_swa", h->local_rope.base);
    if (!kinds[r->scaling]) return; // Llama 3's scaling is a tensor
    gguf_put_cstring(p->w, own_key(p, "rope.scaling.type", key), kinds[r->scaling]);
    put_own(p, "rope.scaling.factor", r->factor);
    if (r->scaling == ROPE_LINEAR) return;
    gguf_put_u32(p->w, own_key(p, "rope.scaling.original_context_length", key), (uint32_t)r->trained);
    if (r->scaling == ROPE_YARN) {
        put_own(p, "rope.scaling.yarn_beta_fast", r->fast);
        put_own(p, "rope.scaling.yarn_beta_slow", r->slow);
    }
    if (r->attention > 0) put_own(p, "rope.scaling.attn_factor", r->attention);
}

void put_hyper_keys(struct gguf_writer *w, const struct family *f, const struct hyperparameters *h) {
    struct putter p = {w, f};
    char key[128];
    gguf_put_u32(w, own_key(&p, "vocab_size", key), h->vocab);
    put_whole(&p, HYPER_CONTEXT, h->context);
    put_whole(&p, HYPER_HIDDEN, h->hidden);
    put_whole(&p, HYPER_LAYERS, h->layers);
    put_whole(&p, HYPER_FEED_FORWARD, h->feed_forward);
    put_whole(&p, HYPER_HEADS, h->heads);
    put_whole(&p, HYPER_KV_HEADS, h->kv_heads);
    if (h->head_dim * h->heads != h->hidden) {
        put_whole(&p, HYPER_HEAD_DIM, h->head_dim);
        gguf_put_u32(w, own_key(&p, "attention.value_length", key), h->head_dim);
    }
    if (h->window) put_whole(&p, HYPER_WINDOW, h->window);
    put_real(&p, HYPER_NORM_EPS, h->norm_eps, 0);
    if (f->positions == POSITIONS_ALIBI) put_real(&p, HYPER_ALIBI_MAX, h->alibi_max, 0);
    if (f->positions == POSITIONS_ROTARY) put_rope(&p, h);
    put_real(&p, HYPER_ATTN_SCALE, h->attn_scale, 1 / sqrt((double)h->head_dim));
    put_real(&p, HYPER_ATTN_CAP, h->attn_cap, 0);
    put_real(&p, HYPER_LOGIT_CAP, h->logit_cap, 0);
    put_real(&p, HYPER_EMBED_SCALE, h->embed_scale, f->embed_root ? sqrtf((float)h->hidden) : 1);
    put_real(&p, HYPER_RESIDUAL_SCALE, h->residual_scale, 1);
    put_real(&p, HYPER_LOGIT_SCALE, f->logits_divided ? 1 / (double)h->logit_scale : h->logit_scale, 1);
    if (!strcmp(f->architecture, "falcon"))
        gguf_put_cstring(w, own_key(&p, "tensor_data_layout", key), "jploski"); // rows as source_row() orders them
}
