// Attention on a card.
#include "train/card_parts.h"

// Of a card that is good, and of attention that it has, the desk; else NULL.
static struct desk *desk_for(struct card *c, const struct device *d, const struct attention_op *o) {
    bool plain = (!o->window || o->window >= o->rows) && (!o->chunk || o->chunk >= o->rows) && o->cap <= 0 &&
                 !o->slopes && !o->sinks;
    struct desk *k = plain && o->rows ? card_desk(c, d) : NULL;
    return k && k->d->ops->causal ? k : NULL;
}

static struct causal causal(const struct attention_op *o) {
    return (struct causal){
        .rows = o->rows, .heads = o->heads, .kv_heads = o->kv_heads, .dim = o->dim, .scale = o->scale};
}

static size_t wide(const struct attention_op *o) { return o->rows * o->heads * o->dim; }
static size_t narrow(const struct attention_op *o) { return o->rows * o->kv_heads * o->dim; }

static bool have_inputs(struct desk *k, const struct attention_op *o, struct causal *a, const float *q,
                        const float *key, const float *v) {
    a->q = desk_read(k, q, wide(o));
    a->k = desk_read(k, key, narrow(o));
    a->v = desk_read(k, v, narrow(o));
    a->work = desk_take(k, k->d->ops->causal_floats(k->d, a));
    return a->q && a->k && a->v && a->work;
}

static void bring_back(struct desk *k, float *to, const dfloat *from, size_t n) {
    k->d->ops->read(k->d, to, from, n * sizeof *to);
}

bool card_attend(struct card *c, const struct device *d, const struct attention_op *o, const float *q, const float *key,
                 const float *v, float *y, float *saved) {
    struct desk *k = desk_for(c, d, o);
    struct causal a = causal(o);
    if (!k) return false;
    c->pool = o->pool;
    a.y = desk_take(k, wide(o));
    a.saved = desk_take(k, o->rows * o->heads);
    if (a.y && a.saved && have_inputs(k, o, &a, q, key, v)) {
        k->d->ops->causal(k->d, &a);
        bring_back(k, y, a.y, wide(o));
        bring_back(k, saved, a.saved, o->rows * o->heads);
    }
    return desk_end(c, k);
}

bool card_attend_back(struct card *c, const struct device *d, const struct attention_op *o, const float *q,
                      const float *key, const float *v, const float *y, const float *saved, const float *dy, float *dq,
                      float *dk, float *dv) {
    struct desk *k = desk_for(c, d, o);
    struct causal a = causal(o);
    if (!k) return false;
    c->pool = o->pool;
    a.y = desk_read(k, y, wide(o));
    a.saved = desk_read(k, saved, o->rows * o->heads);
    a.dy = desk_read(k, dy, wide(o));
    a.dq = desk_take(k, wide(o));
    a.dk = desk_take(k, narrow(o));
    a.dv = desk_take(k, narrow(o));
    if (a.y && a.saved && a.dy && a.dq && a.dk && a.dv && have_inputs(k, o, &a, q, key, v)) {
        k->d->ops->causal(k->d, &a);
        bring_back(k, dq, a.dq, wide(o));
        bring_back(k, dk, a.dk, narrow(o));
        bring_back(k, dv, a.dv, narrow(o));
    }
    return desk_end(c, k);
}
