#include "reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "device/elementary.h"

// fmaf() is a call where a chip need not have the instruction; in the inner loops most of the time would go there.
#if defined __x86_64__ && defined __GLIBC__ && __has_attribute(target_clones)
#define WITH_FMA __attribute__((target_clones("fma", "default")))
#else
#define WITH_FMA
#endif

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

// Groups whose sum of integers is exact, of a type whose scales are integers; 0 for others.
static size_t piece_of(enum type type) {
    switch (type) {
    case TYPE_Q2_K:
    case TYPE_Q3_K:
    case TYPE_Q4_K:
    case TYPE_IQ1_S:
    case TYPE_IQ1_M:
    case TYPE_IQ3_S:
    case TYPE_TQ1_0:
    case TYPE_TQ2_0: return 4;
    case TYPE_Q5_K:
    case TYPE_IQ2_XXS:
    case TYPE_IQ2_XS:
    case TYPE_IQ2_S:
    case TYPE_IQ3_XXS: return 2;
    case TYPE_Q6_K:
    case TYPE_IQ4_XS: return 1;
    default: return 0;
    }
}

static float magnitude(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++) most = isnan(x[i]) || isnan(most) ? NAN : fmaxf(most, fabsf(x[i]));
    return most;
}

// n groups of activations with one scale.
struct acts {
    int q[RUN * GROUP];
    float d;
};

static struct acts rounded(const float *x, size_t n) {
    struct acts a = {.d = magnitude(x, n * GROUP) / 127.0f};
    for (size_t i = 0; i < n * GROUP; i++) a.q[i] = a.d == 0 ? 0 : (int)fmaxf(-127, fminf(127, rintf(x[i] / a.d)));
    return a;
}

// The exact sums of a half, or whole, of a group: codes times activations, and activations.
static void dots(const struct codes *c, const int *a, int first, int size, int *dot, int *total) {
    *dot = *total = 0;
    for (int i = first; i < first + size; i++) {
        *dot += c->q[i] * a[i];
        *total += a[i];
    }
}

// A group of a type whose scales are floats; none with a scale for each half has an offset.
static float add_group(const struct type_info *info, enum type type, const struct codes *c, const struct acts *a,
                       float sum) {
    int parts = scales_by_halves(type) ? 2 : 1, size = GROUP / parts, dot, total;
    for (int h = 0; h < parts; h++) {
        dots(c, a->q, h * size, size, &dot, &total);
        sum = fmaf(c->d * (float)c->sc[h] * a->d, (float)dot, sum);
    }
    return info->offset ? fmaf(-(c->dm * (float)c->mn[0]), a->d * (float)total, sum) : sum;
}

// A run where scales are integers: exact sums of each piece, and of the run's minima.
static float add_run(const struct type_info *info, enum type type, const struct codes *c, const struct acts *a,
                     float sum) {
    int parts = scales_by_halves(type) ? 2 : 1, size = GROUP / parts, exact = 0, low = 0;
    float run = 0;
    for (size_t g = 0; g < RUN; g++) {
        for (int h = 0; h < parts; h++) {
            int dot, total;
            dots(&c[g], a->q + g * GROUP, h * size, size, &dot, &total);
            exact += c[g].sc[h] * dot;
            low += c[g].mn[h] * total;
        }
        if ((g + 1) % piece_of(type)) continue;
        run = fmaf(c[g].d, (float)exact, run);
        exact = 0;
    }
    if (info->offset) run = fmaf(-c[0].dm, (float)low, run);
    return fmaf(run, a->d, sum);
}

float ref_dot_q(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    const struct type_info *info = type_info(w->type);
    const char *data = (const char *)w->data + row * type_row_bytes(w->type, w->cols);
    size_t groups = info->block / 32, blocks = w->cols / info->block, n = piece_of(w->type) ? RUN : 1;
    float sum[8];
    for (size_t s = 0; s < 8; s++) {
        sum[s] = 0;
        for (size_t g = segment(blocks, s) * groups; g < segment(blocks, s + 1) * groups; g += n) {
            struct codes c[RUN];
            struct acts a = rounded(x + g * GROUP, n);
            info->unpack(data, g, n, c);
            sum[s] = n == 1 ? add_group(info, w->type, c, &a, sum[s]) : add_run(info, w->type, c, &a, sum[s]);
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

WITH_FMA float ref_dot_f(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    size_t groups = (w->cols + 31) / 32;
    float sum[8], *f = calloc(groups * 32, sizeof *f), *a = calloc(groups * 32, sizeof *a), *own = decoded(w, row);
    memcpy(f, own, w->cols * sizeof *f);
    memcpy(a, x, w->cols * sizeof *a);
    for (size_t s = 0; s < 8; s++) {
        sum[s] = 0;
        for (size_t k = segment(groups, s) * 32; k < segment(groups, s + 1) * 32; k++)
            sum[s] = fmaf(f[k], a[k], sum[s]);
    }
    free(f);
    free(a);
    free(own);
    return has_bias ? tree(sum) + bias : tree(sum);
}

// x / unit as 256 high + low.
static void split(float x, int *high, int *low) {
    int v = (int)fminf(32639, fmaxf(-32639, rintf(x)));
    *high = (int)floor((v + 128) / 256.0);
    *low = v - 256 * *high;
}

// A run of n numbers: what one of their integers is worth.
static float unit_of(const float *x, size_t n, bool power) {
    float most = 0, unit;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(x[i])) return NAN;
        most = fmaxf(most, fabsf(x[i]));
    }
    if (!power) return most / 32639;
    for (unit = 0x1p-126f; most / unit > 32639;) unit *= 2;
    return unit;
}

static float run16(const float *w, const float *x, size_t n, float sum) {
    float unit = unit_of(w, n, true), d = unit_of(x, n, false);
    if (isnan(unit) || isnan(d)) return NAN;
    long long total = 0;
    for (size_t i = 0; i < n; i++) {
        int high[2], low[2];
        split(w[i] / unit, &high[0], &low[0]);
        split(d == 0 ? 0 : x[i] / d, &high[1], &low[1]);
        total += 256 * high[0] * high[1] + high[0] * low[1] + low[0] * high[1];
    }
    return fmaf(256 * unit * d, (float)total, sum);
}

float ref_dot_16(const struct weight *w, size_t row, const float *x, float bias, bool has_bias) {
    size_t groups = (w->cols + 63) / 64;
    float sum[8], *f = calloc(groups * 64, sizeof *f), *a = calloc(groups * 64, sizeof *a), *own = decoded(w, row);
    memcpy(f, own, w->cols * sizeof *f);
    memcpy(a, x, w->cols * sizeof *a);
    for (size_t s = 0; s < 8; s++) {
        size_t first = segment(groups, s), n = segment(groups, s + 1) - first, runs = (n + 7) / 8;
        sum[s] = 0;
        for (size_t i = 0; i < runs; i++) {
            size_t from = (first + n * i / runs) * 64, to = (first + n * (i + 1) / runs) * 64;
            sum[s] = run16(f + from, a + from, to - from, sum[s]);
        }
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

// Walsh-Hadamard's matrix by its definition: element i, k is negative if i & k has an odd number of ones.
static void hadamard(double *x, size_t n) {
    double *y = malloc(n * sizeof *y);
    for (size_t i = 0; i < n; i++) {
        y[i] = 0;
        for (size_t k = 0; k < n; k++) y[i] += __builtin_popcountll(i & k) % 2 ? -x[k] : x[k];
    }
    for (size_t i = 0; i < n; i++) x[i] = y[i] / sqrt((double)n);
    free(y);
}

void ref_spread(double *x, size_t n, bool back) {
    size_t size = n;
    while (size & (size - 1)) size &= size - 1;
    if (size < n && back) hadamard(x + n - size, size);
    hadamard(x, size);
    if (size < n && !back) hadamard(x + n - size, size);
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
    uint32_t page = a->at.pages[a->at.row[row].pages + t / PAGE_TOKENS];
    size_t kv_head = head / (a->heads / a->kv.heads);
    return (value ? kv_value : kv_key)(&a->kv, value ? a->v : a->k, page, kv_head, t % PAGE_TOKENS);
}

// A cached key or value as it was before it was rounded, nearly.
void ref_vector(const struct kv_vector *v, double *x) {
    for (size_t i = 0; i < v->dim; i++) x[i] = (double)kv_get(v, i);
    if (v->key && v->type == TYPE_Q8_0) ref_spread(x, v->dim, true);
}

// The end of what a row sees, and its beginning: what is less than the window away.
static size_t ref_seen(const struct attention *a, size_t row, size_t *first) {
    size_t own = a->at.row[row].position, n = own + a->at.row[row].ahead + 1, from = 0;
    *first = 0;
    if (chosen_of(a, row)) return a->most;
    if (!a->window) return n;
    while (own - from >= a->window) from++;
    while (n - 1 > own && n - 1 - own >= a->window) n--;
    *first = from;
    return n;
}

void ref_attention(const struct attention *a, size_t row, size_t head, double *out) {
    size_t first, n = ref_seen(a, row, &first);
    const float *given = a->q + (row * a->heads + head) * a->kv.key_dim;
    double q[KV_MOST_DIM];
    for (size_t i = 0; i < a->kv.key_dim; i++) q[i] = (double)given[i];
    if (a->kv.type == TYPE_Q8_0) ref_spread(q, a->kv.key_dim, false); // as the keys are
    double *score = malloc(n * sizeof *score), max = a->sinks ? (double)a->sinks[head] : -INFINITY, sum = 0;
    for (size_t t = first; t < n; t++) {
        struct kv_vector key = cached(a, row, head, t, false);
        double dot = 0, cap = (double)a->softcap;
        for (size_t i = 0; i < a->kv.key_dim; i++) dot += q[i] * (double)kv_get(&key, i);
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

// In the order of docs/arithmetic.md.
static void ref_spread_floats(float *x, size_t size) {
    for (size_t distance = 1; distance < size; distance *= 2)
        for (size_t i = 0; i < size; i++) {
            float a = x[i];
            if (i & distance) continue;
            x[i] = a + x[i + distance];
            x[i + distance] = a - x[i + distance];
        }
    for (size_t i = 0; i < size; i++) x[i] *= 1 / sqrtf((float)size);
}

float ref_code_query(const float *q, size_t n, int *code) {
    float x[KV_MOST_DIM], most = 0;
    size_t size = n;
    while (size & (size - 1)) size &= size - 1;
    memcpy(x, q, n * sizeof *x);
    ref_spread_floats(x, size);
    if (size < n) ref_spread_floats(x + n - size, size);
    for (size_t i = 0; i < n; i++) most = isfinite(x[i]) ? fmaxf(most, fabsf(x[i])) : NAN, n = isnan(most) ? 0 : n;
    float d = most / 127;
    for (size_t i = 0; i < n; i++) code[i] = d > 0 ? (int)fmaxf(-127, fminf(127, rintf(x[i] / d))) : 0;
    return d;
}

// A query as integers, each worth `by` of a score.
struct query_codes {
    int code[KV_MOST_DIM];
    float by;
};

static struct query_codes query_codes(const struct attention *a, size_t row, size_t head) {
    struct query_codes q = {{0}, 0};
    if (a->kv.type != TYPE_Q8_0) return q;
    q.by = ref_code_query(a->q + (row * a->heads + head) * a->kv.key_dim, a->kv.key_dim, q.code) * a->scale;
    return q;
}

static float ref_score_q8(const struct attention *a, size_t row, size_t head, size_t t, const struct query_codes *q) {
    struct kv_vector key = cached(a, row, head, t, false);
    int sum = 0;
    float d;
    memcpy(&d, kv_scale(&key), sizeof d);
    for (size_t i = 0; i < a->kv.key_dim; i++) sum += q->code[i] * (int8_t)key.data[kv_index(&key, i)];
    float x = (float)sum * d * q->by;
    if (a->slopes) x = fmaf(ref_bias(a, head, t), a->scale, x);
    return a->softcap > 0 ? a->softcap * tanh_f(x / a->softcap) : x;
}

WITH_FMA static float ref_score(const struct attention *a, size_t row, size_t head, size_t t,
                                const struct query_codes *codes) {
    if (a->kv.type == TYPE_Q8_0) return ref_score_q8(a, row, head, t, codes);
    const float *q = a->q + (row * a->heads + head) * a->kv.key_dim;
    struct kv_vector key = cached(a, row, head, t, false);
    float x = 0;
    for (size_t i = 0; i < a->kv.key_dim; i++) x = fmaf(q[i], kv_get(&key, i), x);
    if (a->slopes) x += ref_bias(a, head, t);
    x *= a->scale;
    return a->softcap > 0 ? a->softcap * tanh_f(x / a->softcap) : x;
}

// Weights of a span as integers, one sum of integers for each element.
static void ref_values_q8(const struct attention *a, size_t row, size_t head, size_t first, size_t last,
                          const float *weight, float *out) {
    float u[SPAN], most = 0;
    for (size_t t = first; t < last; t++) {
        struct kv_vector value = cached(a, row, head, t, true);
        float d;
        memcpy(&d, kv_scale(&value), sizeof d);
        u[t % SPAN] = weight[t % SPAN] * d;
        most = isnan(most) || isnan(u[t % SPAN]) ? NAN : fmaxf(most, u[t % SPAN]);
    }
    for (size_t i = 0; i < a->kv.value_dim; i++) {
        long long high = 0, low = 0;
        for (size_t t = first; t < last && most >= 0x1p-100f && isfinite(most); t++) {
            struct kv_vector value = cached(a, row, head, t, true);
            long long w = llrint((double)u[t % SPAN] * (double)(32639 / most)),
                      code = (int8_t)value.data[kv_index(&value, i)];
            long long digit = (w + 128) / 256;
            high += digit * code;
            low += (w - 256 * digit) * code;
        }
        out[i] = fmaf((float)high, 256, (float)low) * (isfinite(most) ? most / 32639 : NAN);
    }
}

// One span: weights in place of the scores, the weighted values to `out`.
WITH_FMA static float ref_span(const struct attention *a, size_t row, size_t head, size_t first, size_t last,
                               float *max, float *out) {
    float weight[SPAN], lane[LANES] = {0};
    struct query_codes q = query_codes(a, row, head);
    *max = -INFINITY;
    for (size_t t = first; t < last; t++) {
        weight[t % SPAN] = ref_score(a, row, head, t, &q);
        *max = fmaxf(*max, weight[t % SPAN]);
    }
    for (size_t t = first; t < last; t++) lane[t % LANES] += weight[t % SPAN] = exp_f(weight[t % SPAN] - *max);
    if (a->kv.type == TYPE_Q8_0) ref_values_q8(a, row, head, first, last, weight, out);
    for (size_t i = 0; i < a->kv.value_dim && a->kv.type != TYPE_Q8_0; i++) {
        out[i] = 0;
        for (size_t t = first; t < last; t++) {
            struct kv_vector value = cached(a, row, head, t, true);
            out[i] = fmaf(weight[t % SPAN], kv_get(&value, i), out[i]);
        }
    }
    return ref_fold16(lane);
}

void ref_attention_bytes(const struct attention *a, size_t row, size_t head, float *out) {
    size_t begin, n = ref_seen(a, row, &begin), last;
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
