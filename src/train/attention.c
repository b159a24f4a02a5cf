#include "device/elementary.h"
#include "train/ops.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Nothing of [rows][rows] is kept: the way back computes a row's weights again from its softmax's sum.
struct way {
    const struct attention_op *o;
    const float *q, *k, *v, *y, *dy;
    float *out, *saved, *dq, *dk, *dv;
    atomic_bool failed;
};

static size_t first_seen(const struct attention_op *o, size_t t) {
    return o->window && t + 1 > o->window ? t + 1 - o->window : 0;
}

static float dot(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum = fmaf(a[i], b[i], sum);
    return sum;
}

static const float *at(const float *x, size_t t, size_t heads, size_t h, size_t dim) {
    return x + (t * heads + h) * dim;
}

// Weights of what row t sees, [first_seen, t], from the logarithm of the softmax's sum.
static void weigh(const struct way *w, size_t t, size_t h, float log_sum, float *weight) {
    const struct attention_op *o = w->o;
    size_t kv = h / (o->heads / o->kv_heads);
    for (size_t s = first_seen(o, t); s <= t; s++)
        weight[s] = dot(at(w->q, t, o->heads, h, o->dim), at(w->k, s, o->kv_heads, kv, o->dim), o->dim) * o->scale;
    if (isnan(log_sum)) return;
    for (size_t s = first_seen(o, t); s <= t; s++) weight[s] = exp_f(weight[s] - log_sum);
}

static void forward_head(void *arg, size_t h) {
    struct way *w = arg;
    const struct attention_op *o = w->o;
    size_t kv = h / (o->heads / o->kv_heads);
    float *weight = malloc(o->rows * sizeof *weight);
    if (!weight) atomic_store(&w->failed, true);
    for (size_t t = 0; weight && t < o->rows; t++) {
        float *y = w->out + (t * o->heads + h) * o->dim, most = -INFINITY, sum = 0;
        size_t first = first_seen(o, t);
        weigh(w, t, h, NAN, weight);
        for (size_t s = first; s <= t; s++) most = weight[s] > most ? weight[s] : most;
        for (size_t s = first; s <= t; s++) sum += weight[s] = exp_f(weight[s] - most);
        memset(y, 0, o->dim * sizeof *y);
        for (size_t s = first; s <= t; s++) {
            const float *v = at(w->v, s, o->kv_heads, kv, o->dim);
            for (size_t i = 0; i < o->dim; i++) y[i] = fmaf(weight[s], v[i], y[i]);
        }
        for (size_t i = 0; i < o->dim; i++) y[i] /= sum;
        w->saved[t * o->heads + h] = most + log_f(sum);
    }
    free(weight);
}

static bool run(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(w->o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

bool attention_forward(const struct attention_op *o, const float *q, const float *k, const float *v, float *y,
                       float *saved, gyr_error *e) {
    struct way w = {.o = o, .q = q, .k = k, .v = v, .out = y, .saved = saved};
    return run(&w, o->heads, forward_head, e);
}

// What one row of one head gives to dq, dk and dv: with p the weights and D = dy . y, the gradient of score s is
// p[s] * (dy . v[s] - D) * scale.
static void back_row(struct way *w, size_t t, size_t h, float *weight) {
    const struct attention_op *o = w->o;
    size_t kv = h / (o->heads / o->kv_heads), d = o->dim;
    const float *q = at(w->q, t, o->heads, h, d), *dy = at(w->dy, t, o->heads, h, d);
    float all = dot(dy, at(w->y, t, o->heads, h, d), d), *dq = w->dq + (t * o->heads + h) * d;
    memset(dq, 0, d * sizeof *dq);
    weigh(w, t, h, w->saved[t * o->heads + h], weight);
    for (size_t s = first_seen(o, t); s <= t; s++) {
        const float *k = at(w->k, s, o->kv_heads, kv, d), *v = at(w->v, s, o->kv_heads, kv, d);
        float *dk = w->dk + (s * o->kv_heads + kv) * d, *dv = w->dv + (s * o->kv_heads + kv) * d;
        float score = weight[s] * (dot(dy, v, d) - all) * o->scale;
        for (size_t i = 0; i < d; i++) {
            dq[i] = fmaf(score, k[i], dq[i]);
            dk[i] = fmaf(score, q[i], dk[i]);
            dv[i] = fmaf(weight[s], dy[i], dv[i]);
        }
    }
}

// A key and value head with all its queries' heads, so that nobody else writes its gradients.
static void back_group(void *arg, size_t kv) {
    struct way *w = arg;
    const struct attention_op *o = w->o;
    size_t each = o->heads / o->kv_heads;
    float *weight = malloc(o->rows * sizeof *weight);
    if (!weight) atomic_store(&w->failed, true);
    for (size_t t = 0; t < o->rows; t++) {
        memset(w->dk + (t * o->kv_heads + kv) * o->dim, 0, o->dim * sizeof *w->dk);
        memset(w->dv + (t * o->kv_heads + kv) * o->dim, 0, o->dim * sizeof *w->dv);
    }
    for (size_t t = 0; weight && t < o->rows; t++)
        for (size_t h = kv * each; h < (kv + 1) * each; h++) back_row(w, t, h, weight);
    free(weight);
}

bool attention_backward(const struct attention_op *o, const float *q, const float *k, const float *v, const float *y,
                        const float *saved, const float *dy, float *dq, float *dk, float *dv, gyr_error *e) {
    struct way w = {.o = o,
                    .q = q,
                    .k = k,
                    .v = v,
                    .y = y,
                    .dy = dy,
                    .saved = (float *)(uintptr_t)saved,
                    .dq = dq,
                    .dk = dk,
                    .dv = dv};
    return run(&w, o->kv_heads, back_group, e);
}
