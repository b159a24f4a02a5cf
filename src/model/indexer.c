// The lightning indexer (DeepSeek-V3.2, 2025): a few small heads, with a key for each position, choose the positions
// that a row attends to. As in transformers, and unlike the model's first implementation, its queries and keys are
// neither turned by a Hadamard matrix, which changes no product of theirs, nor rounded to eight bits.
#include "model/forward.h"

#include <math.h>

// a->index_ready = rotated queries; this batch's keys into the indexer's cache.
static void remember(struct pass *p, const struct layer *l, const dfloat *x) {
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
                    .angles = p->rows->angles,
                    .rotary_dim = h->rope.dim,
                    .pairs = p->m->index_pairs,
                    .q = a->index_ready,
                    .at = p->rows->at,
                    .k = kv_cache_keys(p->kv, l->plan.index, p->what.slab)};
    p->ops->qkv(p->d, &q);
}

void forward_choice(struct pass *p, const struct layer *l, const dfloat *x) {
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
                       .k = kv_cache_keys(p->kv, l->plan.index, p->what.slab),
                       .at = p->rows->at,
                       .chosen = a->chosen,
                       .work = p->run->index_work,
                       .room = p->run->index_room};
    p->ops->choose(p->d, &c);
}
