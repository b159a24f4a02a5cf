// The lightning indexer (DeepSeek-V3.2, 2025): a few small heads, with a key for each position, choose the positions
// that a row attends to. As in transformers, and unlike the model's first implementation, its queries and keys are
// neither turned by a Hadamard matrix, which changes no product of theirs, nor rounded to eight bits.
#include "model/bind.h"
#include "model/forward.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const float index_norm_eps = 1e-6f;

static uint64_t number(const struct checkpoint *c, const char *key, uint64_t missing) {
    const struct value *v = config_value(c, key);
    return v && v->kind == VALUE_UINT ? v->u : missing;
}

// A config has a list, or a letter for each layer, or says that from some layer on every so manieth has one.
static bool own_hf(const struct checkpoint *c, uint32_t layer) {
    const struct value *letters = config_value(c, "index_topk_pattern");
    struct value v;
    if (layer_listed(config_value(c, "indexer_types"), layer, &v) || layer_listed(letters, layer, &v))
        return !value_says(&v, "shared");
    if (letters && letters->kind == VALUE_STRING)
        return layer >= letters->s.size || ((const char *)letters->s.data)[layer] != 'S';
    uint64_t each = number(c, "index_topk_freq", 1), after = number(c, "index_skip_topk_offset", 2), at = layer + 1ull;
    return at <= after || (at - after) % (each ? each : 1) == 0;
}

// A file has a list, or tensors only where they are read.
static bool own_gguf(const struct family *f, const struct checkpoint *c, uint32_t layer) {
    char name[128];
    snprintf(name, sizeof name, "%s.attention.indexer.types", f->architecture);
    struct value v;
    if (!layer_listed(checkpoint_value(c, name), layer, &v))
        return family_tensor(f, c, (struct place){ROLE_INDEX_K, PART_WEIGHT, layer, 0}, name);
    return v.kind == VALUE_BOOL ? v.b : v.kind != VALUE_UINT || v.u;
}

bool indexer_own(const struct family *f, const struct checkpoint *c, uint32_t layer) {
    return !f->indexers_shared || (c->source == CHECKPOINT_HF ? own_hf(c, layer) : own_gguf(f, c, layer));
}

bool bind_indexer(struct binder *b, struct layer *l, uint32_t i) {
    const struct hyperparameters *h = &b->m->h;
    l->index_norm = (struct norm){.kind = NORM_LAYER, .eps = index_norm_eps, .dim = h->index_dim};
    return bind_linear(b, &l->index_q, ROLE_INDEX_Q, 0, i, h->q_latent, (size_t)h->index_heads * h->index_dim) &&
           bind_linear(b, &l->index_k, ROLE_INDEX_K, 0, i, h->hidden, h->index_dim) &&
           bind_vector(b, &l->index_norm.weight, ROLE_INDEX_NORM, PART_WEIGHT, i, h->index_dim, 1, 0) &&
           bind_vector(b, &l->index_norm.bias, ROLE_INDEX_NORM, PART_BIAS, i, h->index_dim, 1, 0) &&
           bind_linear(b, &l->index_weight, ROLE_INDEX_WEIGHT, 0, i, h->hidden, h->index_heads);
}

// a->index_ready = rotated queries; this batch's keys into the indexer's cache.
static void remember(struct pass *p, const struct layer *l, const float *x) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t dim = h->index_dim, all = h->index_heads * dim;
    linear(p, &l->index_q, a->latent, a->index_q);
    linear(p, &l->index_k, x, a->index_key);
    norm(p, &l->index_norm, a->index_key, p->n, a->index_key);
    struct qkv q = {.rows = p->n,
                    .heads = h->index_heads,
                    .kv = *kv_cache_shape(p->kv, l->plan.index),
                    .q_in = {a->index_q, all, all},
                    .k_in = {a->index_key, dim, dim},
                    .table = p->m->rope[p->kv->far].all,
                    .rotary_dim = h->rope.dim,
                    .pairs = p->m->index_pairs,
                    .q = a->index_ready,
                    .row = a->at,
                    .k = p->kv->k[l->plan.index]};
    p->ops->qkv(p->d, &q);
}

void forward_choice(struct pass *p, const struct layer *l, const float *x) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    remember(p, l, x);
    linear(p, &l->index_weight, x, a->index_weight);
    p->ops->scale(p->d, a->index_weight, 1 / sqrtf((float)h->index_heads), p->n * h->index_heads);
    struct choice c = {.rows = p->n,
                       .heads = h->index_heads,
                       .most = h->index_most,
                       .kv = *kv_cache_shape(p->kv, l->plan.index),
                       .q = a->index_ready,
                       .weight = a->index_weight,
                       .scale = 1 / sqrtf((float)h->index_dim),
                       .k = p->kv->k[l->plan.index],
                       .row = a->at,
                       .chosen = a->chosen,
                       .work = p->m->index_work,
                       .room = p->m->index_room};
    p->ops->choose(p->d, &c);
}
