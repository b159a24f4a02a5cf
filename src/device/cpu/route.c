// Mixtures of experts: which experts a row goes to, and the sum of what they give.
#include "device/route.h"
#include "device/cpu/cpu.h"
#include "device/elementary.h"

struct routing {
    const struct route *a;
    float *scores, *worth; // [rows][experts]: what weights come from, and what is chosen by
};

static void route_row(void *arg, size_t r) {
    const struct routing *t = arg;
    const struct route *a = t->a;
    const float *logits = a->logits + r * a->experts;
    float *score = t->scores + r * a->experts, *worth = t->worth + r * a->experts, sum = 0;
    int32_t *expert = a->expert + r * a->used;
    float *weight = a->weight + r * a->used;
    if (a->score == ROUTE_SOFTMAX) route_softmax(logits, a->experts, score);
    for (size_t i = 0; i < a->experts; i++) {
        if (a->score == ROUTE_SIGMOID) score[i] = 1.0f / (1.0f + exp_f(-logits[i]));
        if (a->score == ROUTE_CHOSEN) score[i] = logits[i];
    }
    struct route_choice choice = {a->experts, a->used, a->groups, a->groups_used, a->pairs, a->shift};
    route_choose(&choice, score, worth, expert);
    for (size_t j = 0; j < a->used; j++) weight[j] = score[expert[j]];
    if (a->score == ROUTE_CHOSEN) route_softmax(weight, a->used, weight);
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
