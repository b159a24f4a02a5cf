// What a row sees of a span of positions, and what becomes of scores and spans (docs/arithmetic.md, "Attention").
#ifndef DEVICE_GPU_KERNELS_ATTEND_H
#define DEVICE_GPU_KERNELS_ATTEND_H

#include "cache.h"
#include "codes.h"

enum { SPAN = 512, SPAN_PAGES = SPAN / PAGE };

// Of a span positions first .. last - 1, counted from its start.
struct seen {
    unsigned first, last;
};

FN struct seen seen_from(unsigned begin, unsigned end, unsigned start) {
    struct seen s = {begin > start ? begin - start : 0, end > start ? end - start : 0};
    if (s.first > SPAN) s.first = SPAN;
    if (s.last > SPAN) s.last = SPAN;
    return s;
}

FN struct seen seen_by(const struct attend_args *a, const drow *row, unsigned start) {
    unsigned own = row->position, ahead = row->ahead, begin = 0;
    if (a->window && ahead >= a->window) ahead = a->window - 1;
    if (a->window && own + 1 > a->window) begin = own + 1 - a->window;
    return seen_from(begin, own + ahead + 1, start);
}

FN float alibi(const struct attend_args *a, unsigned head, unsigned position) {
    float slope = a->slopes[head], p = (float)position;
    return a->alibi_bf16 ? round_bfloat(round_bfloat(slope) * round_bfloat(p)) : slope * p;
}

FN float capped(const struct attend_args *a, float score) {
    return a->softcap > 0 ? a->softcap * tanh_f(score / a->softcap) : score;
}

// The score that a product with a key of floats is.
FN float score_of_floats(const struct attend_args *a, unsigned head, unsigned position, float dot) {
    if (a->slopes) dot = dot + alibi(a, head, position);
    return capped(a, dot * a->scale);
}

// What the elements of a head's sums over all spans are multiplied by in the end.
FN float share_of(const struct attend_args *a, unsigned head, float max, float sum) {
    float keep = 1;
    if (a->sinks) {
        float both = a->sinks[head] > max ? a->sinks[head] : max;
        keep = exp_f(max - both);
        sum = fmaf(sum, keep, exp_f(a->sinks[head] - both));
    }
    return keep / sum;
}

// Where what a span gives goes.
FN float *part_of(const struct attend_args *a, unsigned row, unsigned head, unsigned span) {
    return a->part + (((size_t)row * a->heads + head) * a->spans + span) * (a->kv.value_dim + PART_MORE);
}

// Where the pages of a span begin, keys and values of one head; NULL where nothing of a page is seen.
struct span_pages {
    uint8_t *key[SPAN_PAGES], *value[SPAN_PAGES];
};

FN void find_pages(const struct attend_args *a, const drow *row, unsigned kv_head, unsigned start, struct seen s,
                   struct span_pages *p) {
    unsigned me = THREADS - 1 - THREAD, i = me % SPAN_PAGES; // the last warp: the first has more to do
    bool value = me >= SPAN_PAGES;
    if (me >= 2 * SPAN_PAGES) return;
    uint8_t *at = (uint8_t *)0;
    if (i * PAGE < s.last && (i + 1) * PAGE > s.first)
        at = cache_page(&a->kv, value ? a->v : a->k, value ? a->kv.value_dim : a->kv.key_dim,
                        a->pages[row->pages + start / PAGE + i], kv_head);
    if (value)
        p->value[i] = at;
    else
        p->key[i] = at;
}

#endif
