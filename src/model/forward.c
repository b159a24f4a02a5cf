// The decoder's forward pass, read top to bottom like the paper (Vaswani et al., 2017; Almazrouei et al., 2023).
#include "model/activations.h"
#include "model/kv_cache.h"
#include "model/model.h"

#include <math.h>

// The pass through one batch: what every step needs.
struct pass {
    struct model *m;
    struct kv_cache *kv;
    struct activations *a;
    const struct device_ops *ops;
    struct device *d;
    size_t n; // rows
};

static void norm(struct pass *p, const struct norm *w, const float *x, size_t n, float *y) {
    p->ops->norm(p->d, p->m->family->norm, x, w->weight, w->bias, p->m->h.norm_eps, n, p->m->h.hidden, y);
}

static void linear(struct pass *p, const struct linear *l, const float *x, float *y) {
    p->ops->matmul(p->d, &l->w, x, p->n, l->bias, y);
}

static void add(struct pass *p, const float *branch) { p->ops->add(p->d, p->a->x, branch, p->n * p->m->h.hidden); }

// branch = Wo attention(split(Wqkv x)), with this batch's keys and values added to the cache first.
static void attention(struct pass *p, uint32_t i, const float *x, float *branch) {
    const struct layer *l = &p->m->layers[i];
    const struct hyperparameters *h = &p->m->h;
    linear(p, &l->qkv, x, p->a->fused);
    struct qkv split = {.rows = p->n,
                        .heads = h->heads,
                        .kv_heads = h->kv_heads,
                        .head_dim = h->head_dim,
                        .grouped = p->m->grouped,
                        .fused = p->a->fused,
                        .q = p->a->q,
                        .table = p->m->rope,
                        .rotary_dim = h->head_dim,
                        .row = p->a->at,
                        .k = p->kv->k[i],
                        .v = p->kv->v[i],
                        .kv_type = p->kv->shape.type};
    p->ops->qkv(p->d, &split);
    struct attention mix = {.rows = p->n,
                            .heads = h->heads,
                            .kv = p->kv->shape,
                            .q = p->a->q,
                            .out = p->a->mixed,
                            .row = p->a->at,
                            .k = p->kv->k[i],
                            .v = p->kv->v[i],
                            .scale = 1 / sqrtf((float)h->head_dim),
                            .slopes = p->m->slopes,
                            .alibi_bf16 = p->m->family->alibi_bf16};
    p->ops->attention(p->d, &mix);
    linear(p, &l->attn_out, p->a->mixed, branch);
}

// branch = Wdown activation(Wup x)
static void mlp(struct pass *p, const struct layer *l, const float *x, float *branch) {
    linear(p, &l->up, x, p->a->wide);
    p->ops->activate(p->d, p->m->family->activation, p->a->wide, p->n * p->m->h.feed_forward);
    linear(p, &l->down, p->a->wide, branch);
}

static void layer(struct pass *p, uint32_t i) {
    const struct layer *l = &p->m->layers[i];
    struct activations *a = p->a;
    switch (p->m->family->residual) {
    case RESIDUAL_SERIAL:
        norm(p, &l->attn_norm, a->x, p->n, a->normed);
        attention(p, i, a->normed, a->branch);
        add(p, a->branch);
        norm(p, &l->mlp_norm, a->x, p->n, a->normed);
        mlp(p, l, a->normed, a->branch);
        add(p, a->branch);
        break;
    case RESIDUAL_PARALLEL:
        norm(p, &l->attn_norm, a->x, p->n, a->normed);
        attention(p, i, a->normed, a->branch);
        if (l->mlp_norm.weight) norm(p, &l->mlp_norm, a->x, p->n, a->normed);
        add(p, a->branch); // both norms have read x: the first branch may join it before the second is computed
        mlp(p, l, a->normed, a->branch);
        add(p, a->branch);
        break;
    }
}

// The final norm and the output matrix, for the rows that want logits.
static void logits(struct pass *p, const struct row *rows, float *out) {
    struct activations *a = p->a;
    size_t hidden = p->m->h.hidden, vocab = p->m->h.vocab, wanted = 0;
    for (size_t r = 0; r < p->n; r++) {
        if (!rows[r].logits) continue;
        norm(p, &p->m->final_norm, a->x + r * hidden, 1, a->normed + wanted * hidden);
        wanted++;
    }
    for (size_t r = 0; r < wanted; r += a->logits_rows) {
        size_t n = wanted - r < a->logits_rows ? wanted - r : a->logits_rows;
        p->ops->matmul(p->d, &p->m->output, a->normed + r * hidden, n, NULL, a->logits);
        p->ops->read(p->d, out + r * vocab, a->logits, n * vocab * sizeof *out);
    }
}

size_t model_max_rows(const struct model *m) { return m->activations->rows; }

void forward(struct model *m, struct kv_cache *kv, const struct row *rows, size_t n, float *out) {
    struct pass p = {.m = m, .kv = kv, .a = m->activations, .ops = m->device->ops, .d = m->device, .n = n};
    for (size_t r = 0; r < n; r++) {
        p.a->tokens[r] = rows[r].token;
        p.a->at[r] = rows[r].at;
    }
    p.ops->embed(p.d, &m->embedding, p.a->tokens, n, p.a->x);
    for (uint32_t i = 0; i < m->h.layers; i++) layer(&p, i);
    logits(&p, rows, out);
}
