#include "device/elementary.h"
#include "train/ops.h"
#include "train/product.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Rows are taken so many at a time. Of what is [rows][rows], no more than such a block is kept: the way back computes
// the weights again, from the softmax's sum.
enum { BLOCK = 48 };

struct way {
    const struct attention_op *o;
    const struct host_gradients *g;
    host_exps *exps;
    const float *q, *k, *v, *y, *dy;
    float *out, *saved, *dq, *dk, *dv;
    float *own;         // [heads][2][rows][dim]: each head's part of dk and of dv
    atomic_bool failed; // no memory
};

// A head's block of rows [t, t + n) and the keys [lo, hi) that some of them see; lo and `wide` are multiples of panels.
struct head {
    size_t h, kv, t, n, lo, hi, wide, most; // most: keys in all, in whole panels
    float *keys, *values;                   // turned, [dim][most]
    float *score, *other;                   // [BLOCK][most]
    float *bend;                            // the same, of capped scores: their slopes; NULL: they are not
};

static size_t round_up(size_t n) { return (n + HOST_PANEL - 1) / HOST_PANEL * HOST_PANEL; }

static size_t first_seen(const struct attention_op *o, size_t t) {
    size_t first = o->window && t + 1 > o->window ? t + 1 - o->window : 0,
           chunk = o->chunk ? t / o->chunk * o->chunk : 0;
    return first > chunk ? first : chunk;
}

static const float *at(const float *x, size_t t, size_t heads, size_t h, size_t dim) {
    return x + (t * heads + h) * dim;
}

// Keys or values of a head as columns, zeros behind the last.
static void turn(const struct attention_op *o, const struct head *s, const float *x, float *to) {
    turn_words(at(x, 0, o->kv_heads, s->kv, o->dim), o->kv_heads * o->dim, o->rows, o->dim, to, s->most);
    for (size_t i = 0; i < o->dim; i++) memset(to + i * s->most + o->rows, 0, (s->most - o->rows) * sizeof *to);
}

static bool open_head(struct head *s, const struct way *w, size_t h, bool back) {
    const struct attention_op *o = w->o;
    *s = (struct head){.h = h, .kv = h / (o->heads / o->kv_heads), .most = round_up(o->rows)};
    size_t blocks = o->cap > 0 ? 3 : 2;
    s->keys = malloc((2 * o->dim + blocks * BLOCK) * s->most * sizeof *s->keys);
    if (!s->keys) return false;
    s->values = s->keys + o->dim * s->most;
    s->score = s->values + o->dim * s->most;
    s->other = s->score + BLOCK * s->most;
    s->bend = o->cap > 0 ? s->other + BLOCK * s->most : NULL;
    turn(o, s, w->k, s->keys);
    if (back) turn(o, s, w->v, s->values);
    return true;
}

static void next_block(const struct attention_op *o, struct head *s, size_t t) {
    s->t = t;
    s->n = o->rows - t < BLOCK ? o->rows - t : BLOCK;
    s->lo = first_seen(o, t) / HOST_PANEL * HOST_PANEL;
    s->hi = t + s->n;
    s->wide = round_up(s->hi) - s->lo;
}

// to[t] = x[t] . each of the columns, x being [rows][heads][dim].
static bool against(const struct way *w, const struct head *s, const float *x, const float *turned, float *to) {
    const struct attention_op *o = w->o;
    struct matmul p = {.x = at(x, s->t, o->heads, s->h, o->dim),
                       .x_row = o->heads * o->dim,
                       .x_step = 1,
                       .w = turned + s->lo,
                       .w_step = s->most,
                       .y = to,
                       .fresh = true,
                       .y_row = s->wide,
                       .n = o->dim,
                       .rows = s->n,
                       .cols = s->wide};
    return product_add(w->g, &p);
}

// out[t] = the sum over keys of weight[t][key] * x[key].
static bool gather(const struct way *w, const struct head *s, const float *weight, const float *x, float *out) {
    const struct attention_op *o = w->o;
    struct matmul p = {.x = weight,
                       .x_row = s->wide,
                       .x_step = 1,
                       .w = at(x, s->lo, o->kv_heads, s->kv, o->dim),
                       .w_step = o->kv_heads * o->dim,
                       .y = out + (s->t * o->heads + s->h) * o->dim,
                       .fresh = true,
                       .y_row = o->heads * o->dim,
                       .n = s->hi - s->lo,
                       .rows = s->n,
                       .cols = o->dim};
    return product_add(w->g, &p);
}

// own[key] += the sum over rows of weight[t][key] * x[t].
static bool scatter(const struct way *w, const struct head *s, const float *weight, const float *x, float *own) {
    const struct attention_op *o = w->o;
    struct matmul p = {.x = weight,
                       .x_row = 1,
                       .x_step = s->wide,
                       .w = at(x, s->t, o->heads, s->h, o->dim),
                       .w_step = o->heads * o->dim,
                       .y = own + s->lo * o->dim,
                       .y_row = o->dim,
                       .n = s->n,
                       .rows = s->hi - s->lo,
                       .cols = o->dim};
    return product_add(w->g, &p);
}

// What a head adds to the score of a key by its position.
static float bias(const struct attention_op *o, size_t h, size_t key) {
    if (!o->slopes) return 0;
    float slope = o->slopes[h], at = (float)key;
    if (!o->slopes_bf16) return slope * at;
    slope = bf16_to_f32(f32_to_bf16(slope));
    return bf16_to_f32(f32_to_bf16(slope * bf16_to_f32(f32_to_bf16(at))));
}

// n products of row r become scores, from column `first` on.
static void score(const struct way *w, const struct head *s, size_t r, size_t first, size_t n) {
    const struct attention_op *o = w->o;
    float *x = s->score + r * s->wide + first;
    for (size_t i = 0; o->slopes && i < n; i++) x[i] += bias(o, s->h, s->lo + first + i);
    for (size_t i = 0; i < n; i++) x[i] *= o->scale;
    if (!s->bend) return;
    float *bend = s->bend + r * s->wide + first;
    for (size_t i = 0; i < n; i++) x[i] /= o->cap;
    w->g->values(UNIT_TANH, x, n, bend);
    for (size_t i = 0; i < n; i++) {
        x[i] = o->cap * bend[i];
        bend[i] = 1 - bend[i] * bend[i];
    }
}

// The columns that row r sees.
static size_t seen(const struct attention_op *o, const struct head *s, size_t r, size_t *first) {
    size_t t = s->t + r;
    *first = first_seen(o, t) - s->lo;
    return t + 1 - s->lo - *first;
}

// Scores of row t become weights, zeros where nothing is seen. log_sum NAN: it is to be found out, and returned; the
// weights are still to be divided by *sum then.
static float weigh(const struct way *w, const struct head *s, size_t r, float log_sum, float *sum) {
    const struct attention_op *o = w->o;
    const float *sink = o->sinks ? o->sinks + s->h : NULL;
    float *x = s->score + r * s->wide, most = sink ? *sink : -INFINITY;
    size_t first, n = seen(o, s, r, &first);
    score(w, s, r, first, n);
    for (size_t i = first; i < first + n; i++) most = x[i] > most ? x[i] : most;
    w->exps(x + first, n, isnan(log_sum) ? most : log_sum, 1, -INFINITY, x + first);
    memset(x, 0, first * sizeof *x);
    memset(x + first + n, 0, (s->wide - first - n) * sizeof *x);
    if (!isnan(log_sum)) return log_sum;
    *sum = 0;
    for (size_t i = first; i < first + n; i++) *sum += x[i];
    if (sink) *sum += exp_f(*sink - most);
    return most + log_f(*sum);
}

// ---------------------------------------------------------------------------------------------- forward

static bool forward_block(const struct way *w, const struct head *s) {
    const struct attention_op *o = w->o;
    float sum[BLOCK];
    if (!against(w, s, w->q, s->keys, s->score)) return false;
    for (size_t r = 0; r < s->n; r++) w->saved[(s->t + r) * o->heads + s->h] = weigh(w, s, r, (float)NAN, &sum[r]);
    if (!gather(w, s, s->score, w->v, w->out)) return false;
    for (size_t r = 0; r < s->n; r++) {
        float *y = w->out + ((s->t + r) * o->heads + s->h) * o->dim;
        for (size_t i = 0; i < o->dim; i++) y[i] /= sum[r];
    }
    return true;
}

static void forward_head(void *arg, size_t h) {
    struct way *w = arg;
    struct head s;
    bool ok = open_head(&s, w, h, false);
    for (size_t t = 0; ok && t < w->o->rows; t += BLOCK) {
        next_block(w->o, &s, t);
        ok = forward_block(w, &s);
    }
    if (!ok) atomic_store(&w->failed, true);
    free(s.keys);
}

static bool run(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(w->o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

bool attention_forward(const struct attention_op *o, const float *q, const float *k, const float *v, float *y,
                       float *saved, gyr_error *e) {
    struct way w = {
        .o = o, .g = host_gradients_here(), .exps = host_exps_here(), .q = q, .k = k, .v = v, .out = y, .saved = saved};
    return run(&w, o->heads, forward_head, e);
}

// ------------------------------------------------------------------------------------------------- back

// With p the weights, d their gradients dy . v, and D = dy . y: the gradient of a score is p * (d - D) * scale, times
// the slope of its cap.
static void slope_row(const struct way *w, const struct head *s, size_t r) {
    const struct attention_op *o = w->o;
    const float *dy = at(w->dy, s->t + r, o->heads, s->h, o->dim), *y = at(w->y, s->t + r, o->heads, s->h, o->dim);
    const float *p = s->score + r * s->wide;
    float *d = s->other + r * s->wide, all = 0;
    for (size_t i = 0; i < o->dim; i++) all += dy[i] * y[i];
    for (size_t i = 0; i < s->wide; i++) d[i] = p[i] * (d[i] - all) * o->scale;
    size_t first, n = seen(o, s, r, &first);
    for (size_t i = first; s->bend && i < first + n; i++) d[i] *= s->bend[r * s->wide + i];
}

static bool back_block(const struct way *w, const struct head *s) {
    const struct attention_op *o = w->o;
    float *dk = w->own + 2 * s->h * o->rows * o->dim, *dv = dk + o->rows * o->dim;
    if (!against(w, s, w->q, s->keys, s->score) || !against(w, s, w->dy, s->values, s->other)) return false;
    for (size_t r = 0; r < s->n; r++) {
        weigh(w, s, r, w->saved[(s->t + r) * o->heads + s->h], NULL);
        slope_row(w, s, r);
    }
    return gather(w, s, s->other, w->k, w->dq) && scatter(w, s, s->other, w->q, dk) &&
           scatter(w, s, s->score, w->dy, dv);
}

static void back_head(void *arg, size_t h) {
    struct way *w = arg;
    struct head s;
    bool ok = open_head(&s, w, h, true);
    for (size_t t = 0; ok && t < w->o->rows; t += BLOCK) {
        next_block(w->o, &s, t);
        ok = back_block(w, &s);
    }
    if (!ok) atomic_store(&w->failed, true);
    free(s.keys);
}

// The gradients of a row's keys and values: those of the heads that share them, in order.
static void join_row(void *arg, size_t t) {
    struct way *w = arg;
    const struct attention_op *o = w->o;
    size_t each = o->heads / o->kv_heads, part = o->rows * o->dim, d = o->dim;
    for (size_t kv = 0; kv < o->kv_heads; kv++) {
        float *dk = w->dk + (t * o->kv_heads + kv) * d, *dv = w->dv + (t * o->kv_heads + kv) * d;
        memset(dk, 0, d * sizeof *dk);
        memset(dv, 0, d * sizeof *dv);
        for (size_t h = kv * each; h < (kv + 1) * each; h++) {
            const float *k = w->own + 2 * h * part + t * d, *v = k + part;
            for (size_t i = 0; i < d; i++) dk[i] += k[i], dv[i] += v[i];
        }
    }
}

bool attention_backward(const struct attention_op *o, const float *q, const float *k, const float *v, const float *y,
                        const float *saved, const float *dy, float *dq, float *dk, float *dv, gyr_error *e) {
    struct way w = {.o = o,
                    .g = host_gradients_here(),
                    .exps = host_exps_here(),
                    .q = q,
                    .k = k,
                    .v = v,
                    .y = y,
                    .dy = dy,
                    .saved = (float *)(uintptr_t)saved,
                    .dq = dq,
                    .dk = dk,
                    .dv = dv,
                    .own = calloc(2 * o->heads * o->rows * o->dim + 1, sizeof *w.own)};
    bool ok = w.own || fail_memory(e, "training");
    ok = ok && run(&w, o->heads, back_head, e) && run(&w, o->rows, join_row, e);
    free(w.own);
    return ok;
}
