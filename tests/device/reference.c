#include "reference.h"

#include <math.h>
#include <stdlib.h>

#include "device/elementary.h"

void ref_quantize(const float *x, struct block *out) {
    float most = 0;
    for (int i = 0; i < GROUP; i++) most = fmaxf(most, fabsf(x[i]));
    out->d = most / 127.0f;
    out->sum[0] = out->sum[1] = 0;
    for (int i = 0; i < GROUP; i++) {
        float v = out->d == 0 ? 0 : rintf(x[i] / out->d);
        out->q[i] = (int)fmaxf(-127, fminf(127, v));
        out->sum[i / 16] += out->q[i];
    }
}

float ref_dot_q(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    const struct type_info *info = type_info(w->type);
    const char *data = (const char *)w->data + row * type_row_bytes(w->type, w->cols);
    size_t blocks = w->cols / GROUP;
    float sum[SEGMENTS];
    for (size_t s = 0; s < SEGMENTS; s++) {
        sum[s] = 0;
        for (size_t b = s * blocks / 8; b < (s + 1) * blocks / 8; b++) {
            struct codes c;
            struct block a;
            info->unpack(data, b, 1, &c);
            ref_quantize(x + b * GROUP, &a);
            int dot = 0, low = 0;
            for (int i = 0; i < GROUP; i++) dot += c.sc[i / 16] * c.q[i] * a.q[i];
            for (int h = 0; h < 2; h++) low += c.mn[h] * a.sum[h];
            sum[s] = fmaf(c.d * a.d, (float)dot, sum[s]);
            if (info->offset) sum[s] = fmaf(-(c.dm * a.d), (float)low, sum[s]);
        }
    }
    float all = ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
    return has_bias ? all + bias : all;
}

float ref_fold16(const float lane[LANES]) {
    float v[LANES];
    for (int i = 0; i < LANES; i++) v[i] = lane[i];
    for (int n = LANES / 2; n; n /= 2)
        for (int i = 0; i < n; i++) v[i] += v[i + n];
    return v[0];
}

static float *decoded(const struct weight *w, size_t row) {
    float *f = malloc(w->cols * sizeof *f);
    type_decode(w->type, (const char *)w->data + row * type_row_bytes(w->type, w->cols), 0, w->cols, f);
    return f;
}

float ref_dot_f(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    float lane[LANES] = {0}, *f = decoded(w, row);
    for (size_t i = 0; i < (w->cols + LANES - 1) / LANES * LANES; i++)
        lane[i % LANES] = i < w->cols ? fmaf(f[i], x[i], lane[i % LANES]) : lane[i % LANES] + 0.0f;
    free(f);
    return has_bias ? ref_fold16(lane) + bias : ref_fold16(lane);
}

double ref_dot(const struct weight *w, size_t row, const float *x, double *size) {
    double sum = 0;
    float *f = decoded(w, row);
    *size = 0;
    for (size_t i = 0; i < w->cols; i++) {
        sum += (double)f[i] * (double)x[i];
        *size += fabs((double)f[i] * (double)x[i]);
    }
    free(f);
    return sum;
}

void ref_norm(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, double *y) {
    double mean = 0, squares = 0;
    for (size_t i = 0; i < dim; i++) mean += (double)x[i] / (double)dim;
    if (kind == NORM_RMS) mean = 0;
    for (size_t i = 0; i < dim; i++) squares += ((double)x[i] - mean) * ((double)x[i] - mean) / (double)dim;
    for (size_t i = 0; i < dim; i++)
        y[i] = ((double)x[i] - mean) / sqrt(squares + (double)eps) * (double)w[i] + (b ? (double)b[i] : 0);
}

static double bf16(double x) { return (double)bf16_to_f32(f32_to_bf16((float)x)); }

static double alibi(const struct attention *a, size_t head, size_t position) {
    if (!a->slopes) return 0;
    double slope = (double)a->slopes[head], p = (double)position;
    return a->alibi_bf16 ? bf16(bf16(slope) * bf16(p)) : slope * p;
}

static struct kv_vector cached(const struct attention *a, size_t row, size_t head, size_t t, bool value) {
    uint32_t page = a->row[row].pages[t / PAGE_TOKENS];
    size_t kv_head = head / (a->heads / a->kv.heads);
    return (value ? kv_value : kv_key)(&a->kv, value ? a->v : a->k, page, kv_head, t % PAGE_TOKENS);
}

void ref_attention(const struct attention *a, size_t row, size_t head, double *out) {
    size_t n = a->row[row].position + 1, first = a->window && a->window < n ? n - a->window : 0;
    const float *q = a->q + (row * a->heads + head) * a->kv.key_dim;
    double *score = malloc(n * sizeof *score), max = a->sinks ? (double)a->sinks[head] : -INFINITY, sum = 0;
    for (size_t t = first; t < n; t++) {
        struct kv_vector key = cached(a, row, head, t, false);
        double dot = 0, cap = (double)a->softcap;
        for (size_t i = 0; i < a->kv.key_dim; i++) dot += (double)q[i] * (double)kv_get(&key, i);
        score[t] = (dot + alibi(a, head, t)) * (double)a->scale;
        if (cap > 0) score[t] = cap * tanh(score[t] / cap);
        max = fmax(max, score[t]);
    }
    if (a->sinks) sum = exp((double)a->sinks[head] - max);
    for (size_t t = first; t < n; t++) sum += score[t] = exp(score[t] - max);
    for (size_t i = 0; i < a->kv.value_dim; i++) {
        out[i] = 0;
        for (size_t t = first; t < n; t++) {
            struct kv_vector value = cached(a, row, head, t, true);
            out[i] += score[t] / sum * (double)kv_get(&value, i);
        }
    }
    free(score);
}

static float ref_bias(const struct attention *a, size_t head, size_t t) {
    if (!a->alibi_bf16) return a->slopes[head] * (float)t;
    float slope = bf16_to_f32(f32_to_bf16(a->slopes[head])), p = bf16_to_f32(f32_to_bf16((float)t));
    return bf16_to_f32(f32_to_bf16(slope * p));
}

static float ref_score(const struct attention *a, size_t row, size_t head, size_t t) {
    const float *q = a->q + (row * a->heads + head) * a->kv.key_dim;
    struct kv_vector key = cached(a, row, head, t, false);
    float x = 0;
    for (size_t i = 0; i < a->kv.key_dim; i++) x = fmaf(q[i], kv_get(&key, i), x);
    if (a->slopes) x += ref_bias(a, head, t);
    x *= a->scale;
    return a->softcap > 0 ? a->softcap * tanh_f(x / a->softcap) : x;
}

// One span: weights in place of the scores, the weighted values to `out`.
static float ref_span(const struct attention *a, size_t row, size_t head, size_t first, size_t last, float *max,
                      float *out) {
    float weight[SPAN], lane[LANES] = {0};
    *max = -INFINITY;
    for (size_t t = first; t < last; t++) {
        weight[t % SPAN] = ref_score(a, row, head, t);
        *max = fmaxf(*max, weight[t % SPAN]);
    }
    for (size_t t = first; t < last; t++) lane[t % LANES] += weight[t % SPAN] = exp_f(weight[t % SPAN] - *max);
    for (size_t i = 0; i < a->kv.value_dim; i++) {
        out[i] = 0;
        for (size_t t = first; t < last; t++) {
            struct kv_vector value = cached(a, row, head, t, true);
            out[i] = fmaf(weight[t % SPAN], kv_get(&value, i), out[i]);
        }
    }
    return ref_fold16(lane);
}

void ref_attention_bytes(const struct attention *a, size_t row, size_t head, float *out) {
    size_t n = a->row[row].position + 1, begin = a->window && a->window < n ? n - a->window : 0, last;
    float max = 0, sum = 0, *part = malloc(a->kv.value_dim * sizeof *part);
    for (size_t first = begin; first < n; first = last) {
        last = first / SPAN * SPAN + SPAN < n ? first / SPAN * SPAN + SPAN : n;
        float top, now = ref_span(a, row, head, first, last, &top, first == begin ? out : part);
        if (first == begin) {
            max = top;
            sum = now;
            continue;
        }
        float both = fmaxf(max, top), keep = exp_f(max - both), scale = exp_f(top - both);
        sum = fmaf(now, scale, sum * keep);
        for (size_t i = 0; i < a->kv.value_dim; i++) out[i] = fmaf(part[i], scale, out[i] * keep);
        max = both;
    }
    float both = a->sinks ? fmaxf(max, a->sinks[head]) : max, keep = exp_f(max - both);
    if (a->sinks) sum = fmaf(sum, keep, exp_f(a->sinks[head] - both));
    for (size_t i = 0; i < a->kv.value_dim; i++) out[i] *= keep / sum;
    free(part);
}
