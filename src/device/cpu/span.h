// What a block of queries sees of a span of positions, and where that lies.
#ifndef DEVICE_CPU_SPAN_H
#define DEVICE_CPU_SPAN_H

#include "device/cpu/kernels.h"
#include "device/cpu/vec_exp.h"
#include "device/elementary.h"

// The positions of a span, counted from its start, that a query sees.
struct seen {
    size_t first, last;
};

struct job {
    const struct attention *a;
    const struct queries *q;
    struct attend *s;
    size_t start;          // position of the span
    size_t n;              // queries
    const int32_t *chosen; // the span is of places in this list, not of positions
    size_t first_page, last_page;
    struct seen seen[QUERIES];
    const float *query[QUERIES], *weight[QUERIES]; // the weights take the place of the scores
};

static inline size_t row_of(const struct job *j, size_t i) { return j->q->row + i / j->q->heads; }
static inline size_t head_of(const struct job *j, size_t i) { return j->q->head + i % j->q->heads; }
static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t most(size_t a, size_t b) { return a > b ? a : b; }

static inline float *scores_of(const struct job *j, size_t i) { return j->s->score + i * SPAN; }

static inline struct seen see(const struct attention *a, size_t row, size_t start) {
    struct sight s = sight_of(a, row);
    size_t first = least(most(s.first, start) - start, SPAN), last = least(most(s.end, start) - start, SPAN);
    return (struct seen){first, most(first, last)};
}

static inline void plan(struct job *j) {
    size_t first = SPAN, last = 0;
    j->n = j->q->rows * j->q->heads;
    for (size_t i = 0; i < j->n; i++) {
        j->query[i] = j->a->q + (row_of(j, i) * j->a->heads + head_of(j, i)) * j->a->kv.key_dim;
        j->weight[i] = scores_of(j, i);
        j->seen[i] = see(j->a, row_of(j, i), j->start);
        if (j->seen[i].first == j->seen[i].last) continue;
        first = least(first, j->seen[i].first);
        last = most(last, j->seen[i].last);
    }
    j->first_page = first / PAGE_TOKENS;
    j->last_page = (last + PAGE_TOKENS - 1) / PAGE_TOKENS;
}

// A page of the positions at these places of the list, as if they were neighbours.
static inline const uint8_t *gather(const struct job *j, size_t page, size_t kv_head, bool values, uint8_t *out) {
    const struct attention *a = j->a;
    const uint32_t *pages = a->at.pages + a->at.row[j->q->row].pages;
    size_t first = j->start + page * PAGE_TOKENS, n = least(PAGE_TOKENS, a->most - first);
    struct kv_vector (*vector)(const struct kv_shape *, struct kv_array, size_t, size_t, size_t) =
        values ? kv_value : kv_key;
    size_t bytes = kv_head_bytes(a->kv.type, values ? a->kv.value_dim : a->kv.key_dim);
    if (n < PAGE_TOKENS) memset(out, 0, bytes);
    for (size_t t = 0; t < n; t++) {
        size_t position = (size_t)j->chosen[first + t];
        struct kv_vector from =
            vector(&a->kv, values ? a->v : a->k, pages[position / PAGE_TOKENS], kv_head, position % PAGE_TOKENS);
        struct kv_vector to = from;
        to.data = out;
        to.token = t;
        kv_copy(&to, &from);
    }
    return out;
}

static inline size_t kv_head_of(const struct job *j) { return j->q->head / (j->a->heads / j->a->kv.heads); }

// Of chosen positions it is put together in `out`.
static inline const uint8_t *page_at(const struct job *j, size_t page, bool values, uint8_t *out) {
    const struct attention *a = j->a;
    size_t kv_head = kv_head_of(j);
    if (j->chosen) return gather(j, page, kv_head, values, out);
    uint32_t number = a->at.pages[a->at.row[j->q->row].pages + j->start / PAGE_TOKENS + page];
    return values ? kv_values(&a->kv, a->v, number, kv_head) : kv_keys(&a->kv, a->k, number, kv_head);
}

// Where reading goes on after a page: the next one, the span's values after its keys, the next span after them.
static inline const uint8_t *page_after(const struct job *j, size_t page, bool values) {
    if (j->chosen) return j->s->page;
    if (page + 1 < j->last_page) return page_at(j, page + 1, values, j->s->page);
    if (!values) return page_at(j, j->first_page, true, j->s->page);
    const struct attention_row *row = &j->a->at.row[j->q->row];
    bool more = j->start + SPAN <= (size_t)row->position + row->ahead;
    return page_at(j, more ? SPAN / PAGE_TOKENS : page, !more, j->s->page);
}

static inline void fetch(const uint8_t *p, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(p + i, 0, 2);
}

static inline bool any_sees(const struct job *j, size_t i, size_t rows, size_t first, size_t last) {
    for (size_t k = i; k < i + rows; k++)
        if (j->seen[k].first < last && j->seen[k].last > first) return true;
    return false;
}

static inline float round_bf16(float x) { return bf16_to_f32(f32_to_bf16(x)); }

// Scores + biases * by.
static inline void add_biases(const struct job *j, size_t i, float by, float *x) {
    const struct attention *a = j->a;
    struct seen s = j->seen[i];
    if (!a->slopes) return;
    float slope = a->slopes[head_of(j, i)];
    if (a->alibi_bf16) {
        slope = round_bf16(slope);
        for (size_t t = s.first; t < s.last; t++)
            x[t] = fmaf(round_bf16(slope * round_bf16((float)(uint32_t)(j->start + t))), by, x[t]);
    } else {
        for (size_t t = s.first; t < s.last; t++) x[t] = fmaf(slope * (float)(uint32_t)(j->start + t), by, x[t]);
    }
}

static inline void cap_scores(const struct job *j, size_t i, float *x) {
    float cap = j->a->softcap;
    if (!(cap > 0)) return;
    for (size_t t = j->seen[i].first; t < j->seen[i].last; t++) x[t] = cap * tanh_f(x[t] / cap);
}

static inline float max_of(const float *x, size_t first, size_t last) {
    vec most = vec_fill(-INFINITY);
    for (size_t t = first; t < last; t += VEC) most = vec_max(vec_load(x + t), most);
    float max = most[0];
    for (int i = 1; i < VEC; i++) max = most[i] > max ? most[i] : max;
    return max;
}

#endif
