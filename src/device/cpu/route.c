// Mixtures of experts: which experts a row goes to, and the sum of what they give.
#include <math.h>

#include "device/cpu/cpu.h"
#include "device/elementary.h"

struct routing {
    const struct route *a;
    float *scores, *worth; // [rows][experts]: what weights come from, and what is chosen by
};

static void softmax(const float *x, size_t n, float *y) {
    float most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += y[i] = exp_f(x[i] - most);
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

// The best of `n` values that is not yet taken (NaN marks those that are); of equals, the first.
static size_t best_of(const float *x, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best == n || x[i] > x[best])) best = i;
    return best == n ? 0 : best;
}

static float group_worth(const struct route *a, const float *x, size_t n) {
    float first = -INFINITY, second = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (x[i] > first) {
            second = first;
            first = x[i];
        } else if (x[i] > second)
            second = x[i];
    }
    return a->pairs && n > 1 ? first + second : first;
}

// Experts of all but the best groups are out of the choice.
static void keep_groups(const struct route *a, float *worth, float *of_group) {
    size_t size = a->experts / a->groups;
    for (size_t g = 0; g < a->groups; g++) of_group[g] = group_worth(a, worth + g * size, size);
    for (size_t k = 0; k < a->groups_used; k++) of_group[best_of(of_group, a->groups)] = NAN; // kept
    for (size_t g = 0; g < a->groups; g++)
        for (size_t i = 0; !isnan(of_group[g]) && i < size; i++) worth[g * size + i] = -INFINITY;
}

static void route_row(void *arg, size_t r) {
    const struct routing *t = arg;
    const struct route *a = t->a;
    const float *logits = a->logits + r * a->experts;
    float *score = t->scores + r * a->experts, *worth = t->worth + r * a->experts, sum = 0;
    int32_t *expert = a->expert + r * a->used;
    float *weight = a->weight + r * a->used;
    if (a->score == ROUTE_SOFTMAX) softmax(logits, a->experts, score);
    for (size_t i = 0; i < a->experts; i++) {
        if (a->score == ROUTE_SIGMOID) score[i] = 1.0f / (1.0f + exp_f(-logits[i]));
        if (a->score == ROUTE_CHOSEN) score[i] = logits[i];
        worth[i] = a->shift ? score[i] + a->shift[i] : score[i];
        if (isnan(worth[i])) worth[i] = -INFINITY;
    }
    float of_group[MAX_GROUPS];
    if (a->groups > 1) keep_groups(a, worth, of_group);
    for (size_t j = 0; j < a->used; j++) {
        expert[j] = (int32_t)best_of(worth, a->experts);
        weight[j] = score[expert[j]];
        worth[expert[j]] = NAN;
    }
    if (a->score == ROUTE_CHOSEN) softmax(weight, a->used, weight);
    for (size_t j = 0; j < a->used; j++) sum += weight[j];
    for (size_t j = 0; j < a->used; j++) {
        if (a->normed) weight[j] /= sum + 1e-20f;
        weight[j] *= a->scale;
        if (a->own_scale) weight[j] *= a->own_scale[expert[j]];
    }
}

void cpu_route(struct device *d, const struct route *a) {
    struct cpu *c = cpu_of(d);
    struct routing t = {a, a->work, a->work + a->rows * a->experts};
    pool_run(c->pool, a->rows, route_row, &t);
}

struct summing {
    const struct kernels *kernels;
    const struct sum_rows *a;
};

static void sum_one(void *arg, size_t r) {
    const struct summing *m = arg;
    m->kernels->sum_rows(m->a, r);
}

void cpu_sum_rows(struct device *d, const struct sum_rows *a) {
    struct summing m = {cpu_of(d)->kernels, a};
    pool_run(cpu_of(d)->pool, a->rows, sum_one, &m);
}
