#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/elementary.h"

void ref_quantize(const float *x, struct block *out) {
    float most = 0;
    for (int i = 0; i < GROUP; i++) most = isnan(x[i]) || isnan(most) ? NAN : fmaxf(most, fabsf(x[i]));
    out->d = most / 127.0f;
    out->sum[0] = out->sum[1] = 0;
    for (int i = 0; i < GROUP; i++) {
        float v = out->d == 0 ? 0 : rintf(x[i] / out->d);
        out->q[i] = (int)fmaxf(-127, fminf(127, v));
        out->sum[i / 16] += out->q[i];
    }
}

// Where segment s of n units begins.
static size_t segment(size_t n, size_t s) { return n / 8 * s + n % 8 * s / 8; }

static float tree(const float v[8]) { return ((v[0] + v[1]) + (v[2] + v[3])) + ((v[4] + v[5]) + (v[6] + v[7])); }

static bool scales_by_halves(enum type type) {
    static const bool halves[TYPE_LIMIT] = {
        [TYPE_Q2_K] = true,   [TYPE_Q3_K] = true,  [TYPE_Q6_K] = true,  [TYPE_IQ1_M] = true,
        [TYPE_IQ2_XS] = true, [TYPE_IQ2_S] = true, [TYPE_NVFP4] = true,
    };
    return halves[type];
}

// 32 weights and activations.
static float group(const struct type_info *info, bool halves, const struct codes *c, const struct block *a, float sum) {
    int parts = halves ? 2 : 1, size = 32 / parts, total[2] = {0, 0}, dot[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        dot[i / size] += c->q[i] * a->q[i];
        total[i / size] += a->q[i];
    }
    for (int h = 0; h < parts; h++) {
        float scale = c->d * (float)c->sc[h];
        sum = fmaf(scale * a->d, (float)dot[h], sum);
    }
    for (int h = 0; h < parts && info->offset; h++) {
        float minimum = c->dm * (float)c->mn[h], low = a->d * (float)total[h];
        sum = fmaf(-minimum, low, sum);
    }
    return sum;
}

float ref_dot_q(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    const struct type_info *info = type_info(w->type);
    const char *data = (const char *)w->data + row * type_row_bytes(w->type, w->cols);
    size_t groups = info->block / 32, blocks = w->cols / info->block;
    float sum[8];
    for (size_t s = 0; s < 8; s++) {
        sum[s] = 0;
        for (size_t g = segment(blocks, s) * groups; g < segment(blocks, s + 1) * groups; g++) {
            struct codes c;
            struct block a;
            info->unpack(data, g, 1, &c);
            ref_quantize(x + g * 32, &a);
            sum[s] = group(info, scales_by_halves(w->type), &c, &a, sum[s]);
        }
    }
    return has_bias ? tree(sum) + bias : tree(sum);
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

// bfloat16 products know no subnormals.
static float flushed(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }

static float bfloat_step(const float w[2], const float x[2], float sum) {
    for (int i = 1; i >= 0; i--) {
        float a = flushed(bf16_to_f32(f32_to_bf16(x[i])));
        sum = flushed(fmaf(flushed(w[i]), a, flushed(sum)));
    }
    return sum;
}

float ref_dot_f(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    size_t groups = (w->cols + 31) / 32;
    float sum[8], *f = calloc(groups * 32, sizeof *f), *a = calloc(groups * 32, sizeof *a), *own = decoded(w, row);
    memcpy(f, own, w->cols * sizeof *f);
    memcpy(a, x, w->cols * sizeof *a);
    for (size_t s = 0; s < 8; s++) {
        sum[s] = 0;
        for (size_t k = segment(groups, s) * 32; k < segment(groups, s + 1) * 32; k += 2)
            if (w->type == TYPE_BF16)
                sum[s] = bfloat_step(f + k, a + k, sum[s]);
            else
                sum[s] = fmaf(f[k + 1], a[k + 1], fmaf(f[k], a[k], sum[s]));
    }
    free(f);
    free(a);
    free(own);
    return has_bias ? tree(sum) + bias : tree(sum);
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

// With a choice, t is a place in the list of what was chosen.
static struct kv_vector cached(const struct attention *a, size_t row, size_t head, size_t t, bool value) {
    if (chosen_of(a, row)) t = (size_t)chosen_of(a, row)[t];
    uint32_t page = a->row[row].pages[t / PAGE_TOKENS];
    size_t kv_head = head / (a->heads / a->kv.heads);
    return (value ? kv_value : kv_key)(&a->kv, value ? a->v : a->k, page, kv_head, t % PAGE_TOKENS);
}

void ref_attention(const struct attention *a, size_t row, size_t head, double *out) {
    size_t n = seen_of(a, row), first = a->window && a->window < n ? n - a->window : 0;
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
    size_t n = seen_of(a, row), begin = a->window && a->window < n ? n - a->window : 0, last;
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
