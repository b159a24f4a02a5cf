// Mixtures (docs/arithmetic.md, "Experts"): which experts a row goes to, and the rows of a batch sorted by expert.
#include "chip.h"

#include "args.h"

enum { SOFTMAX, CHOSEN, SIGMOID, MOST_GROUPS = 256 }; // enum route_score of device.h

FN bool is_nan(float x) { return x != x; }

// Summed in ascending order.
FN void softmax(const float *x, unsigned n, float *y) {
    float most = x[0], sum = 0;
    for (unsigned i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (unsigned i = 0; i < n; i++) sum += y[i] = exp_f(x[i] - most);
    for (unsigned i = 0; i < n; i++) y[i] /= sum;
}

// The best that is not yet taken, which NaN marks; of equals the first.
FN unsigned best_of(const float *x, unsigned n) {
    unsigned best = n;
    for (unsigned i = 0; i < n; i++)
        if (!is_nan(x[i]) && (best == n || x[i] > x[best])) best = i;
    return best == n ? 0 : best;
}

FN float group_worth(const float *x, unsigned n, bool pairs) {
    float first = -INFINITY, second = -INFINITY;
    for (unsigned i = 0; i < n; i++) {
        if (x[i] > first) {
            second = first;
            first = x[i];
        } else if (x[i] > second)
            second = x[i];
    }
    return pairs && n > 1 ? first + second : first;
}

FN void keep_groups(const struct route_args *a, float *worth, float *of_group) {
    unsigned size = a->experts / a->groups;
    for (unsigned g = 0; g < a->groups; g++) of_group[g] = group_worth(worth + g * size, size, a->pairs);
    for (unsigned k = 0; k < a->groups_used; k++) of_group[best_of(of_group, a->groups)] = NAN; // kept
    for (unsigned g = 0; g < a->groups; g++)
        for (unsigned i = 0; !is_nan(of_group[g]) && i < size; i++) worth[g * size + i] = -INFINITY;
}

FN void choose_experts(const struct route_args *a, const float *score, float *worth, unsigned r) {
    int32_t *expert = a->expert + (size_t)r * a->used;
    float *weight = a->weight + (size_t)r * a->used, sum = 0;
    for (unsigned j = 0; j < a->used; j++) {
        expert[j] = (int32_t)best_of(worth, a->experts);
        weight[j] = score[expert[j]];
        worth[expert[j]] = NAN;
    }
    if (a->kind == CHOSEN) softmax(weight, a->used, weight);
    for (unsigned j = 0; j < a->used; j++) sum += weight[j];
    for (unsigned j = 0; j < a->used; j++) {
        if (a->normed) weight[j] /= sum + 1e-20f;
        weight[j] *= a->scale;
        if (a->own_scale) weight[j] *= a->own_scale[expert[j]];
    }
}

struct route_room {
    float of_group[MOST_GROUPS];
};

// BLOCK_X is the row. One thread does what has an order; the others help with the scores.
KERNEL(route_rows, route_args) {
    SHARED(struct route_room, room);
    const float *logits = a.logits + (size_t)BLOCK_X * a.experts;
    float *score = a.score + (size_t)BLOCK_X * a.experts, *worth = a.worth + (size_t)BLOCK_X * a.experts;
    if (a.kind == SOFTMAX && THREAD == 0) softmax(logits, a.experts, score);
    barrier();
    for (unsigned i = THREAD; i < a.experts; i += THREADS) {
        float s = a.kind == SOFTMAX ? score[i] : a.kind == SIGMOID ? 1.0f / (1.0f + exp_f(-logits[i])) : logits[i];
        float w = a.shift ? s + a.shift[i] : s;
        score[i] = s;
        worth[i] = is_nan(w) ? -INFINITY : w;
    }
    barrier();
    if (THREAD) return;
    if (a.groups > 1) keep_groups(&a, worth, room->of_group);
    choose_experts(&a, score, worth, BLOCK_X);
}

// Sorts places by expert, an expert's in the order of rows. One block; a thread has every THREADS-th expert.
KERNEL(sort_places, places_args) {
    for (unsigned e = THREAD; e < a.n; e += THREADS) {
        int32_t count = 0;
        for (unsigned i = 0; i < a.places; i++) count += a.chosen[i] == (int32_t)e;
        a.end[e] = count;
    }
    barrier();
    if (THREAD == 0)
        for (unsigned e = 1; e < a.n; e++) a.end[e] += a.end[e - 1];
    barrier();
    for (unsigned e = THREAD; e < a.n; e += THREADS) {
        int32_t at = e ? a.end[e - 1] : 0;
        for (unsigned i = 0; i < a.places; i++) {
            if (a.chosen[i] != (int32_t)e) continue;
            a.place[i] = at;
            a.from[at] = (int32_t)(i / a.used);
            a.expert[at] = (int32_t)e;
            a.by[at++] = a.weight[i];
        }
    }
}
