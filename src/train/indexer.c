// The positions that a layer attends to, which its own indexer chose, or that of an earlier layer (DeepSeek-V3.2,
// 2025). What is chosen is a constant of the example: an indexer has neither pairs nor gradients. (indexer.c of
// src/model has the same in its order.)
#include "train/example.h"

#include <math.h>
#include <stdlib.h>

// Whether some row does not see all that is before it. Each sequence has fewer rows, and is chosen from all the same.
static bool chooses(const struct example *x, uint32_t i) {
    return x->t->layers[i].l->plan.indexes && x->rows > x->t->m->h.index_most;
}

void indexer_lay_out(struct example *x) {
    for (uint32_t i = 0; i < x->t->m->h.layers; i++)
        x->kept[i].chosen = (uint32_t *)(void *)example_room(x, chooses(x, i) ? x->rows * choice_words(x->rows) : 0);
}

const uint32_t *indexer_chosen(const struct example *x, uint32_t i) {
    const struct layer_plan *p = &x->t->layers[i].l->plan;
    if (!p->indexed || x->rows <= x->t->m->h.index_most) return NULL;
    while (i && !x->t->layers[i].l->plan.indexes) i--;
    return x->kept[i].chosen;
}

static bool map(const struct example *x, const struct linear *l, const float *in, float *out) {
    struct linear_op o = {.pool = x->t->pool,
                          .rows = x->rows,
                          .in = l->w.cols,
                          .out = l->w.rows,
                          .type = l->w.type,
                          .w = l->w.data,
                          .by = l->by};
    return linear_forward(&o, in, out, NULL, x->e);
}

static void rotate(const struct example *x, size_t heads, float *v) {
    const struct hyperparameters *h = &x->t->m->h;
    struct rope_op o = {x->rows,     heads, h->index_dim, h->rope.dim, x->t->m->index_pairs == PAIRS_ADJACENT,
                        x->angles[0]};
    rope_forward(&o, v);
}

struct indexed {
    float *q, *key_in, *key, *weight, *saved;
};

static bool choose(const struct example *x, uint32_t i, const struct indexed *a) {
    const struct hyperparameters *h = &x->t->m->h;
    struct choice_op o = {.pool = x->t->pool,
                          .heads = h->index_heads,
                          .dim = h->index_dim,
                          .most = h->index_most,
                          .scale = 1 / sqrtf((float)h->index_dim)};
    size_t words = choice_words(x->rows);
    for (size_t n = 0, at; example_sequence(x, n, &at, &o.rows); n++)
        if (!choice_forward(&o, a->q + at * o.heads * o.dim, a->key + at * o.dim, a->weight + at * o.heads,
                            x->kept[i].chosen + at * words, words, x->e))
            return false;
    return true;
}

bool indexer_run(struct example *x, uint32_t i, const float *in, const float *low) {
    const struct host_layer *l = &x->t->layers[i];
    const struct hyperparameters *h = &x->t->m->h;
    size_t heads = h->index_heads, dim = h->index_dim, n = x->rows;
    if (!chooses(x, i)) return true;
    float *room = malloc(n * (heads * dim + 2 * dim + heads + 2) * sizeof *room);
    struct indexed a = {room, room + n * heads * dim};
    a.key = a.key_in + n * dim;
    a.weight = a.key + n * dim;
    a.saved = a.weight + n * heads;
    bool ok = (room || fail_memory(x->e, "training")) && map(x, &l->l->index_q, low, a.q) &&
              map(x, &l->l->index_k, in, a.key_in) && map(x, &l->l->index_weight, in, a.weight);
    if (ok) {
        step_norm(x, &l->index, a.key_in, a.key, a.saved);
        rotate(x, heads, a.q);
        rotate(x, 1, a.key);
        step_scale(x, 1 / sqrtf((float)heads), a.weight, a.weight, n * heads);
        ok = choose(x, i, &a);
    }
    free(room);
    return ok;
}
