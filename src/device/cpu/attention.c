// Attention of one row for a few query heads that share a key and value head. The softmax is computed span by span as
// it is read (Milakov and Gimelshein, 2018), so that scores need no memory beyond a span's.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/elementary.h"

enum { HEADS = 16 };

// A span's keys or values: `n` rows of `dim` elements.
struct span {
    const uint8_t *k, *v;
    size_t n, dim, position;
    bool half;
};

// The softmax so far.
struct state {
    float max, sum;
};

static inline f32x8 get8(const uint8_t *p, size_t i, bool half) {
    return half ? load8_f16(p + 2 * i) : load8((const float *)(const void *)p + i);
}

static inline float get(const uint8_t *p, size_t i, bool half) {
    return half ? half_to_float(((const uint16_t *)(const void *)p)[i]) : ((const float *)(const void *)p)[i];
}

static inline float dot(const float *q, const uint8_t *k, size_t dim, bool half) {
    struct lanes acc = {{0}, {0}};
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES) {
        acc.low = fma8(load8(q + i), get8(k, i, half), acc.low);
        acc.high = fma8(load8(q + i + 8), get8(k, i + 8, half), acc.high);
    }
    if (i < dim) {
        float a[LANES] = {0}, b[LANES] = {0};
        for (size_t j = i; j < dim; j++) {
            a[j - i] = q[j];
            b[j - i] = get(k, j, half);
        }
        acc.low = fma8(load8(a), load8(b), acc.low);
        acc.high = fma8(load8(a + 8), load8(b + 8), acc.high);
    }
    return fold16(acc);
}

static float bias(const struct attention *a, size_t head, size_t position) {
    if (!a->slopes) return 0;
    if (!a->alibi_bf16) return a->slopes[head] * (float)position;
    float slope = bf16_to_f32(f32_to_bf16(a->slopes[head])), p = bf16_to_f32(f32_to_bf16((float)position));
    return bf16_to_f32(f32_to_bf16(slope * p));
}

// Weights of a span's values, e^(score - max), padded with zeros; its maximum and sum.
static struct state weights(float *score, size_t n) {
    struct state s = {score[0], 0};
    for (size_t t = 1; t < n; t++) s.max = score[t] > s.max ? score[t] : s.max;
    for (size_t t = n; t % LANES; t++) score[t] = 0;
    for (size_t t = 0; t < n; t++) score[t] = exp_f(score[t] - s.max);
    struct lanes acc = {{0}, {0}};
    for (size_t t = 0; t < n; t += LANES) {
        acc.low += load8(score + t);
        acc.high += load8(score + t + 8);
    }
    s.sum = fold16(acc);
    return s;
}

// out = out * old + (sum over the span of weight * value) * now
static inline void add_values(const struct span *s, const float *weight, float old, float now, bool half, float *out) {
    size_t i = 0, size = half ? 2 : 4;
    for (; i + LANES <= s->dim; i += LANES) {
        struct lanes acc = {{0}, {0}};
        for (size_t t = 0; t < s->n; t++) {
            const uint8_t *v = s->v + t * s->dim * size;
            acc.low = fma8(fill8(weight[t]), get8(v, i, half), acc.low);
            acc.high = fma8(fill8(weight[t]), get8(v, i + 8, half), acc.high);
        }
        store8(out + i, fma8(acc.low, fill8(now), load8(out + i) * fill8(old)));
        store8(out + i + 8, fma8(acc.high, fill8(now), load8(out + i + 8) * fill8(old)));
    }
    for (; i < s->dim; i++) {
        float acc = 0;
        for (size_t t = 0; t < s->n; t++) acc = fmaf(weight[t], get(s->v + t * s->dim * size, i, half), acc);
        out[i] = fmaf(acc, now, out[i] * old);
    }
}

static inline void add_span(const struct attention *a, const struct span *s, size_t head, const float *q, bool half,
                            struct state *st, float *out) {
    float score[SPAN];
    for (size_t t = 0; t < s->n; t++) {
        float v = dot(q, s->k + t * s->dim * (half ? 2 : 4), s->dim, half);
        score[t] = (v + bias(a, head, s->position + t)) * a->scale;
    }
    struct state now = weights(score, s->n);
    if (s->position == 0) {
        *st = now;
        add_values(s, score, 0, 1, half, out);
        return;
    }
    float max = now.max > st->max ? now.max : st->max;
    float keep = exp_f(st->max - max), scale = exp_f(now.max - max);
    st->sum = fmaf(now.sum, scale, st->sum * keep);
    st->max = max;
    add_values(s, score, keep, scale, half, out);
}

static void add_spans(const struct attention *a, size_t row, size_t first, size_t n, const struct span *s,
                      struct state *st) {
    for (size_t h = 0; h < n; h++) {
        size_t at = (row * a->heads + first + h) * a->head_dim;
        if (s->half)
            add_span(a, s, first + h, a->q + at, true, st + h, a->out + at);
        else
            add_span(a, s, first + h, a->q + at, false, st + h, a->out + at);
    }
}

static void heads(const struct attention *a, size_t row, size_t first, size_t n) {
    struct state st[HEADS] = {{0, 0}};
    float *out = a->out + (row * a->heads + first) * a->head_dim;
    memset(out, 0, n * a->head_dim * sizeof *out);
    size_t kv_head = first / (a->heads / a->kv_heads), size = a->kv_type == TYPE_F16 ? 2 : 4;
    size_t end = (size_t)a->row[row].position + 1;
    for (size_t p = 0; p < end;) {
        size_t slot = p % a->page_size, count = SPAN - slot % SPAN;
        if (count > a->page_size - slot) count = a->page_size - slot;
        if (count > end - p) count = end - p;
        size_t at =
            a->row[row].pages[p / a->page_size] * a->page_stride + (kv_head * a->page_size + slot) * a->head_dim * size;
        struct span s = {(const uint8_t *)a->k + at, (const uint8_t *)a->v + at, count, a->head_dim, p, size == 2};
        add_spans(a, row, first, n, &s, st);
        p += count;
    }
    for (size_t h = 0; h < n; h++) {
        float inverse = 1.0f / st[h].sum;
        for (size_t i = 0; i < a->head_dim; i++) out[h * a->head_dim + i] *= inverse;
    }
}

void KERNEL(attention)(const struct attention *a, size_t row, size_t first, size_t last) {
    for (size_t h = first; h < last; h += HEADS) heads(a, row, h, last - h < HEADS ? last - h : HEADS);
}
