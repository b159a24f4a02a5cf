// Which experts a row goes to: the one choice that the kernels and the gradients share, over plain arrays of the host.
#ifndef DEVICE_ROUTE_H
#define DEVICE_ROUTE_H

#include "device/device.h"
#include "device/elementary.h"

static inline void route_softmax(const float *x, size_t n, float *y) {
    float most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += y[i] = exp_f(x[i] - most);
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

// The best of `n` values that is not yet taken (NaN marks those that are); of equals, the first.
static inline size_t route_best(const float *x, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best == n || x[i] > x[best])) best = i;
    return best == n ? 0 : best;
}

// The best of n values; with `pairs`, the sum of the two best.
static inline float route_worth(bool pairs, const float *x, size_t n) {
    float first = -INFINITY, second = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > first)
            second = first, first = x[i];
        else if (x[i] > second)
            second = x[i];
    return pairs && n > 1 ? first + second : first;
}

struct route_choice {
    size_t experts, used;
    size_t groups, groups_used; // groups <= 1: none; at most MAX_GROUPS
    bool pairs;                 // a group's worth is the sum of its two best; else its best
    const float *shift;         // [experts], added to scores for the choice alone; NULL: none
};

// Experts of all but the best groups are out of the choice.
static inline void route_keep_groups(const struct route_choice *c, float *worth) {
    float of_group[MAX_GROUPS];
    size_t size = c->experts / c->groups;
    for (size_t g = 0; g < c->groups; g++) of_group[g] = route_worth(c->pairs, worth + g * size, size);
    for (size_t k = 0; k < c->groups_used; k++) of_group[route_best(of_group, c->groups)] = (float)NAN; // kept
    for (size_t g = 0; g < c->groups; g++)
        for (size_t i = 0; !isnan(of_group[g]) && i < size; i++) worth[g * size + i] = -INFINITY;
}

// A row's experts, [used], the best first, by its scores, [experts]. worth, [experts], is scratch.
static inline void route_choose(const struct route_choice *c, const float *score, float *worth, int32_t *expert) {
    for (size_t i = 0; i < c->experts; i++) {
        worth[i] = c->shift ? score[i] + c->shift[i] : score[i];
        if (isnan(worth[i])) worth[i] = -INFINITY;
    }
    if (c->groups > 1) route_keep_groups(c, worth);
    for (size_t j = 0; j < c->used; j++) {
        expert[j] = (int32_t)route_best(worth, c->experts);
        worth[expert[j]] = (float)NAN;
    }
}

#endif
