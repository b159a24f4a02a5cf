// Attention of one row for a few query heads that share a key and value head. The softmax is computed span by span as
// it is read (Milakov and Gimelshein, 2018), so that scores need no memory beyond a span's.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/elementary.h"

// The softmax so far.
struct state {
    float max, sum;
};

// What one query head sees of a span: positions [first, last).
struct view {
    const struct attention *a;
    const struct attention_row *row;
    size_t head, kv_head, first, last;
};

static float bias(const struct attention *a, size_t head, size_t position) {
    if (!a->slopes) return 0;
    if (!a->alibi_bf16) return a->slopes[head] * (float)position;
    float slope = bf16_to_f32(f32_to_bf16(a->slopes[head])), p = bf16_to_f32(f32_to_bf16((float)position));
    return bf16_to_f32(f32_to_bf16(slope * p));
}

static float score(const struct view *s, const float *q, size_t t) {
    const struct attention *a = s->a;
    struct kv_vector key = kv_key(&a->kv, a->k, s->row->pages[t / PAGE_TOKENS], s->kv_head, t % PAGE_TOKENS);
    float dot = 0;
    for (size_t i = 0; i < a->kv.key_dim; i++) dot = fmaf(q[i], kv_get(&key, i), dot);
    float x = (dot + bias(a, s->head, t)) * a->scale;
    return a->softcap > 0 ? a->softcap * tanh_f(x / a->softcap) : x;
}

static float greater(float a, float b) { return a > b ? a : b; }

// Weights of a span's values, e^(score - max), zeros where nothing is seen; its maximum and sum.
static struct state weights(const struct view *s, float weight[SPAN]) {
    struct state st = {-INFINITY, 0};
    size_t start = s->first / SPAN * SPAN;
    for (size_t t = s->first; t < s->last; t++) st.max = greater(weight[t - start], st.max);
    struct lanes sum = {{0}, {0}};
    for (size_t t = 0; t < SPAN; t++) {
        bool seen = t + start >= s->first && t + start < s->last;
        weight[t] = seen ? exp_f(weight[t] - st.max) : 0;
    }
    for (size_t t = 0; t < SPAN; t += LANES) {
        sum.low += load8(weight + t);
        sum.high += load8(weight + t + 8);
    }
    st.sum = fold16(sum);
    return st;
}

static void add_span(const struct view *s, const float *q, struct state *st, float *out) {
    const struct attention *a = s->a;
    float weight[SPAN];
    size_t start = s->first / SPAN * SPAN;
    for (size_t t = s->first; t < s->last; t++) weight[t - start] = score(s, q, t);
    struct state now = weights(s, weight), all = now;
    bool more = st->sum != 0;
    if (more) all.max = greater(now.max, st->max);
    float keep = more ? exp_f(st->max - all.max) : 0, scale = more ? exp_f(now.max - all.max) : 1;
    if (more) all.sum = fmaf(now.sum, scale, st->sum * keep);
    *st = all;
    for (size_t i = 0; i < a->kv.value_dim; i++) {
        float acc = 0;
        for (size_t t = s->first; t < s->last; t++) {
            uint32_t page = s->row->pages[t / PAGE_TOKENS];
            struct kv_vector value = kv_value(&a->kv, a->v, page, s->kv_head, t % PAGE_TOKENS);
            acc = fmaf(weight[t - start], kv_get(&value, i), acc);
        }
        out[i] = more ? fmaf(acc, scale, out[i] * keep) : acc;
    }
}

// A sink is one more score, without a value.
static float add_sink(const struct state *st, float sink, float *keep) {
    float max = greater(sink, st->max);
    *keep = exp_f(st->max - max);
    return fmaf(st->sum, *keep, exp_f(sink - max));
}

void KERNEL(attention)(const struct attention *a, size_t row, size_t first, size_t last) {
    size_t end = (size_t)a->row[row].position + 1, begin = a->window && end > a->window ? end - a->window : 0;
    for (size_t h = first; h < last; h++) {
        struct view s = {a, a->row + row, h, h / (a->heads / a->kv.heads)};
        const float *q = a->q + (row * a->heads + h) * a->kv.key_dim;
        float *out = a->out + (row * a->heads + h) * a->kv.value_dim;
        struct state st = {0, 0};
        for (s.first = begin; s.first < end; s.first = s.last) {
            s.last = (s.first / SPAN + 1) * SPAN;
            if (s.last > end) s.last = end;
            add_span(&s, q, &st, out);
        }
        float keep = 1, sum = a->sinks ? add_sink(&st, a->sinks[h], &keep) : st.sum;
        float inverse = keep / sum;
        for (size_t i = 0; i < a->kv.value_dim; i++) out[i] *= inverse;
    }
}
