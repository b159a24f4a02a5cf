// Private to src/model: the parts of a forward pass.
#ifndef MODEL_FORWARD_H
#define MODEL_FORWARD_H

#include "model/activations.h"
#include "model/kv_cache.h"
#include "model/model.h"

// The pass through one batch: what every step needs.
struct pass {
    struct model *m;
    struct kv_cache *kv;
    struct activations *a;
    const struct device_ops *ops;
    struct device *d;
    size_t n; // rows
};

static inline void scale(struct pass *p, float *x, size_t n, float by) {
    if (by != 1) p->ops->scale(p->d, x, by, n);
}

// y = Wx + b, of each row.
static inline void linear(struct pass *p, const struct linear *l, const float *x, float *y) {
    p->ops->matmul(p->d, &l->w, x, p->n, l->bias, y);
    scale(p, y, p->n * l->w.rows, l->by);
}

static inline void norm(struct pass *p, const struct norm *w, const float *x, size_t rows, float *y) {
    p->ops->norm(p->d, w->kind, x, w->weight, w->bias, w->eps, rows, w->dim, y);
}

// What a branch reads: the stream, normed if the branch has a norm in front.
static inline const float *input(struct pass *p, const struct norm *w) {
    if (!w->weight) return p->a->x;
    norm(p, w, p->a->x, p->n, p->a->normed);
    return p->a->normed;
}

// branch = what attention makes of x; this batch's keys and values go to the cache.
void forward_attention(struct pass *p, const struct layer *l, const float *x);

// Latent attention: what of x goes to the cache and asks it, and a->ready = what the heads make of what they read there
// (a->mixed).
void forward_latent(struct pass *p, const struct layer *l, const float *x, struct qkv *q);
void forward_values(struct pass *p, const struct layer *l);

// a->chosen = the positions that the layer's rows, and those of layers without an indexer behind it, attend to. Reads
// a->latent, what queries come from.
void forward_choice(struct pass *p, const struct layer *l, const float *x);

// to = what the layer's state makes of x.
void forward_state(struct pass *p, const struct layer *l, const float *x, float *to);

// branch = the sum of what the layer's experts make of x.
void forward_experts(struct pass *p, const struct layer *l, const float *x);

// a->wide = what gates let through, with the model's activation.
void forward_gate(struct pass *p, const struct gate *g);

// Per-layer inputs: a->inputs, of all layers, and branch = what a layer lets through of its own.
void forward_inputs(struct pass *p, const int32_t *tokens);
void forward_input(struct pass *p, const struct layer *l);

#endif
