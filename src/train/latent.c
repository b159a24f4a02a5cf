// Latent attention (DeepSeek-V2, 2024), as the forward pass has it: every position has one narrow vector, which is the
// value of all heads, and behind its rotated part their key, too. A head's matrix for keys is applied to its query, and
// its matrix for values to what it attended to. These two have no pairs.
#include "train/example.h"
#include "train/whole.h"

#include <stdlib.h>
#include <string.h>

struct shape {
    size_t heads, plain, rotated, latent, value, each, dim; // each: of a query; dim: of a query as keys have it
};

static struct shape shape_of(const struct example *x) {
    const struct hyperparameters *h = &x->t->m->h;
    size_t rotated = h->rope.dim;
    return (struct shape){h->heads, h->key_plain, rotated, h->kv_latent, h->value, h->key_plain + rotated, h->head_dim};
}

void latent_lay_out(struct example *x, uint32_t i) {
    const struct host_layer *l = &x->t->layers[i];
    struct shape s = shape_of(x);
    struct kept *k = &x->kept[i];
    size_t n = x->rows, q = l->q.w ? n * x->t->m->h.q_latent : 0;
    k->q_in = example_room(x, q);
    k->q_low = example_room(x, q);
    k->q_each = example_room(x, x->t->whole ? n * s.heads * s.each : 0);
    k->q_saved = example_room(x, 2 * n);
    k->k_in = example_room(x, n * s.latent);
    k->k_saved = example_room(x, 2 * n);
    k->q = example_room(x, n * s.heads * s.dim);
    k->k = example_room(x, n * s.dim);
    k->mixed = example_room(x, n * s.heads * s.dim);
    k->sums = example_room(x, n * s.heads);
    k->ready = example_room(x, n * s.heads * s.value);
}

size_t latent_widest(const struct example *x, uint32_t i) {
    struct shape s = shape_of(x);
    size_t wide = s.dim > s.each ? s.dim : s.each, low = x->t->m->h.q_latent;
    (void)i;
    wide = s.value > wide ? s.value : wide;
    return s.heads * wide > low ? s.heads * wide : low;
}

// --------------------------------------------------------------------------------------------- a matrix a head

// Of head h: `n` floats from `at` on of its `each`, out of every row, or back into them.
static void part(const struct example *x, float *rows, size_t heads, size_t h, size_t each, size_t at, float *one,
                 size_t n, bool back) {
    for (size_t r = 0; r < x->rows; r++) {
        float *in = rows + (r * heads + h) * each + at, *own = one + r * n;
        memcpy(back ? in : own, back ? own : in, n * sizeof *in);
    }
}

struct heads_of {
    const struct linear *w; // [heads]
    size_t each, at;        // where a head's inputs are
    size_t out_each, out_at;
};

static struct linear_op head_op(const struct example *x, const struct linear *w) {
    struct linear_op o = {.pool = x->t->pool,
                          .rows = x->rows,
                          .in = w->w.cols,
                          .out = w->w.rows,
                          .type = w->w.type,
                          .w = w->w.data,
                          .by = w->by,
                          .shorts = x->t->shorts};
    if (x->t->whole) whole_take(x->t->whole, &o);
    return o;
}

// The gradients by the matrix itself, from `two`, those by what it gave; `given` is what it read, laid out as `in` is.
static bool head_back(struct example *x, const struct heads_of *a, size_t h, const struct linear_op *o,
                      const float *given, const float *two, float *one) {
    if (!x->t->whole) return true;
    part(x, (float *)(uintptr_t)given, x->t->m->h.heads, h, a->each, a->at, one, o->in, false);
    return whole_linear(x->t->whole, o, one, two, x->gradients, x->e);
}

// From `in` to `out`; with `given`, what was read on the way forward, back from the gradient by the latter to that by
// the former.
static bool each_head(struct example *x, const struct heads_of *a, float *in, float *out, const float *given) {
    size_t heads = x->t->m->h.heads, cols = a->w->w.cols, rows = a->w->w.rows;
    bool back = given;
    float *one = malloc(x->rows * (cols + rows) * sizeof *one), *two = one ? one + x->rows * cols : NULL;
    bool ok = one || fail_memory(x->e, "training");
    for (size_t h = 0; ok && h < heads; h++) {
        struct linear_op o = head_op(x, &a->w[h]);
        if (back) {
            part(x, out, heads, h, a->out_each, a->out_at, two, rows, false);
            ok = head_back(x, a, h, &o, given, two, one) && linear_backward(&o, NULL, NULL, two, one, NULL, NULL, x->e);
            if (ok) part(x, in, heads, h, a->each, a->at, one, cols, true);
        } else {
            part(x, in, heads, h, a->each, a->at, one, cols, false);
            ok = linear_forward(&o, one, two, NULL, x->e);
            if (ok) part(x, out, heads, h, a->out_each, a->out_at, two, rows, true);
        }
    }
    free(one);
    return ok;
}

// Plain parts of queries in terms of the latent vector, and what was attended to as values.
static struct heads_of keys_of(const struct layer *l, const struct shape *s) {
    return (struct heads_of){l->k_b, s->each, 0, s->dim, s->rotated};
}
static struct heads_of values_of(const struct layer *l, const struct shape *s) {
    return (struct heads_of){l->v_b, s->dim, s->rotated, s->value, 0};
}

static void rotated_part(const struct example *x, const struct shape *s, float *each, float *dim, float *some,
                         bool back) {
    for (size_t h = 0; h < s->heads; h++) {
        part(x, back ? dim : each, s->heads, h, back ? s->dim : s->each, back ? 0 : s->plain, some, s->rotated, false);
        part(x, back ? each : dim, s->heads, h, back ? s->each : s->dim, back ? s->plain : 0, some, s->rotated, true);
    }
}

// ------------------------------------------------------------------------------------------------ there and back

static void rotate(const struct example *x, const struct shape *s, size_t heads, bool back, float *v) {
    struct rope_op o = {x->rows, heads, s->dim, s->rotated, x->t->m->pairs == PAIRS_ADJACENT, x->angles[0]};
    if (x->t->m->family->positions == POSITIONS_ROTARY) (back ? rope_backward : rope_forward)(&o, v);
}

static struct attention_op attention_op(const struct example *x, const struct shape *s) {
    return (struct attention_op){.pool = x->t->pool,
                                 .rows = x->rows,
                                 .heads = s->heads,
                                 .kv_heads = 1,
                                 .dim = s->dim,
                                 .scale = x->t->m->h.attn_scale,
                                 .cap = x->t->m->h.attn_cap};
}

// Each sequence by itself.
static bool weigh(const struct example *x, const struct shape *s, const struct kept *k) {
    struct attention_op a = attention_op(x, s);
    size_t q = s->heads * s->dim;
    for (size_t n = 0, at; example_sequence(x, n, &at, &a.rows); n++) {
        const float *keys = k->k + at * s->dim;
        if (!attention_forward(&a, k->q + at * q, keys, keys, k->mixed + at * q, k->sums + at * s->heads, x->e))
            return false;
    }
    return true;
}

static bool weigh_back(const struct example *x, const struct shape *s, const struct kept *k, const float *dy, float *dq,
                       float *dk, float *dv) {
    struct attention_op a = attention_op(x, s);
    size_t q = s->heads * s->dim;
    for (size_t n = 0, at; example_sequence(x, n, &at, &a.rows); n++) {
        const float *keys = k->k + at * s->dim;
        if (!attention_backward(&a, k->q + at * q, keys, keys, k->mixed + at * q, k->sums + at * s->heads, dy + at * q,
                                dq + at * q, dk + at * s->dim, dv + at * s->dim, x->e))
            return false;
    }
    return true;
}

static bool queries(struct example *x, uint32_t i, const float *in, struct scratch *w) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    struct heads_of keys = keys_of(l->l, &s);
    float *each = x->t->whole ? k->q_each : w->a;
    if (l->q.w) {
        if (!step_map(x, i, SLOT_Q_A, in, k->q_in)) return false;
        step_norm(x, &l->q, k->q_in, k->q_low, k->q_saved);
        in = k->q_low;
    }
    if (!step_map(x, i, SLOT_Q, in, each) || !each_head(x, &keys, each, k->q, NULL)) return false;
    rotated_part(x, &s, each, k->q, w->some, false);
    rotate(x, &s, s.heads, false, k->q);
    return true;
}

// A row of the projection is the latent vector, then what is rotated; keys are the other way round.
static bool keys(struct example *x, uint32_t i, const float *in, struct scratch *w) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    if (!step_map(x, i, SLOT_KV_A, in, w->a)) return false;
    part(x, w->a, 1, 0, s.dim, 0, k->k_in, s.latent, false);
    step_norm(x, &l->k, k->k_in, w->b, k->k_saved);
    part(x, k->k, 1, 0, s.dim, s.rotated, w->b, s.latent, true);
    part(x, w->a, 1, 0, s.dim, s.latent, w->b, s.rotated, false);
    part(x, k->k, 1, 0, s.dim, 0, w->b, s.rotated, true);
    rotate(x, &s, 1, false, k->k);
    return true;
}

bool latent_attend(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    struct heads_of values = values_of(x->t->layers[i].l, &s);
    return queries(x, i, in, w) && keys(x, i, in, w) && weigh(x, &s, k) &&
           each_head(x, &values, k->mixed, k->ready, NULL) && step_map(x, i, SLOT_OUT, k->ready, out);
}

static bool queries_back(struct example *x, uint32_t i, const float *in, float *dq, struct scratch *w, float *dx) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    struct heads_of keys = keys_of(l->l, &s);
    rotate(x, &s, s.heads, true, dq);
    if (!each_head(x, &keys, w->a, dq, x->t->whole ? k->q_each : w->a)) return false;
    rotated_part(x, &s, w->a, dq, w->some, true);
    if (!l->q.w) return step_map_back(x, i, SLOT_Q, in, w->a, w->some, dx);
    size_t n = x->rows * l->q.dim;
    memset(w->e, 0, n * sizeof *w->e);
    memset(w->f, 0, n * sizeof *w->f);
    if (!step_map_back(x, i, SLOT_Q, k->q_low, w->a, w->some, w->e)) return false;
    step_norm_back(x, &l->q, k->q_in, k->q_saved, w->e, w->some, w->f);
    return step_map_back(x, i, SLOT_Q_A, in, w->f, w->some, dx);
}

static bool keys_back(struct example *x, uint32_t i, const float *in, float *dk, struct scratch *w, float *dx) {
    const struct host_layer *l = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    rotate(x, &s, 1, true, dk);
    part(x, dk, 1, 0, s.dim, s.rotated, w->e, s.latent, false);
    memset(w->f, 0, x->rows * s.latent * sizeof *w->f);
    step_norm_back(x, &l->k, k->k_in, k->k_saved, w->e, w->some, w->f);
    part(x, w->a, 1, 0, s.dim, 0, w->f, s.latent, true);
    part(x, dk, 1, 0, s.dim, 0, w->e, s.rotated, false);
    part(x, w->a, 1, 0, s.dim, s.latent, w->e, s.rotated, true);
    return step_map_back(x, i, SLOT_KV_A, in, w->a, w->some, dx);
}

bool latent_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x);
    struct heads_of values = values_of(x->t->layers[i].l, &s);
    float *dmixed = w->a, *dq = w->b, *dk = w->c, *dv = w->d;
    memset(w->e, 0, x->rows * s.heads * s.value * sizeof *w->e);
    memset(dmixed, 0, x->rows * s.heads * s.dim * sizeof *dmixed);
    if (!step_map_back(x, i, SLOT_OUT, k->ready, dout, w->some, w->e) ||
        !each_head(x, &values, dmixed, w->e, k->mixed) || !weigh_back(x, &s, k, dmixed, dq, dk, dv))
        return false;
    for (size_t n = 0; n < x->rows * s.dim; n++) dk[n] += dv[n]; // keys are the values, too
    return queries_back(x, i, in, dq, w, dx) && keys_back(x, i, in, dk, w, dx);
}
