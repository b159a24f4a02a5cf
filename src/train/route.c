// Which experts a row goes to and how much each counts, as cpu/route.c chooses them, and the gradient of the latter.
#include "device/elementary.h"
#include "train/ops.h"

#include <math.h>
#include <stdlib.h>

static void softmax(const float *x, size_t n, float *y) {
    float most = x[0], sum = 0;
    for (size_t i = 1; i < n; i++) most = x[i] > most ? x[i] : most;
    for (size_t i = 0; i < n; i++) sum += y[i] = exp_f(x[i] - most);
    for (size_t i = 0; i < n; i++) y[i] /= sum;
}

// The best that is not taken, which NaN marks; of equals, the first.
static size_t best_of(const float *x, size_t n) {
    size_t best = n;
    for (size_t i = 0; i < n; i++)
        if (!isnan(x[i]) && (best == n || x[i] > x[best])) best = i;
    return best == n ? 0 : best;
}

static float group_worth(const struct route_op *o, const float *x, size_t n) {
    float first = -INFINITY, second = -INFINITY;
    for (size_t i = 0; i < n; i++)
        if (x[i] > first)
            second = first, first = x[i];
        else if (x[i] > second)
            second = x[i];
    return o->pairs && n > 1 ? first + second : first;
}

// Experts of all but the best groups are out of the choice.
static void keep_groups(const struct route_op *o, float *worth) {
    float of_group[MAX_GROUPS];
    size_t size = o->experts / o->groups;
    for (size_t g = 0; g < o->groups; g++) of_group[g] = group_worth(o, worth + g * size, size);
    for (size_t k = 0; k < o->groups_used; k++) of_group[best_of(of_group, o->groups)] = (float)NAN; // kept
    for (size_t g = 0; g < o->groups; g++)
        for (size_t i = 0; !isnan(of_group[g]) && i < size; i++) worth[g * size + i] = -INFINITY;
}

static void scores(const struct route_op *o, const float *logits, float *score) {
    if (o->score == ROUTE_SOFTMAX) softmax(logits, o->experts, score);
    if (o->score == ROUTE_SIGMOID) host_gradients_here()->values(UNIT_SIGMOID, logits, o->experts, score);
    for (size_t i = 0; o->score == ROUTE_CHOSEN && i < o->experts; i++) score[i] = logits[i];
}

static void choose(const struct route_op *o, const float *score, float *worth, int32_t *expert) {
    for (size_t i = 0; i < o->experts; i++) {
        worth[i] = o->shift ? score[i] + o->shift[i] : score[i];
        if (isnan(worth[i])) worth[i] = -INFINITY;
    }
    if (o->groups > 1) keep_groups(o, worth);
    for (size_t j = 0; j < o->used; j++) {
        expert[j] = (int32_t)best_of(worth, o->experts);
        worth[expert[j]] = (float)NAN;
    }
}

// The scores of a row's chosen experts.
static void take(const struct route_op *o, const int32_t *expert, const float *score, float *chosen) {
    for (size_t j = 0; j < o->used; j++) chosen[j] = score[expert[j]];
    if (o->score == ROUTE_CHOSEN) softmax(chosen, o->used, chosen);
}

static float factor(const struct route_op *o, int32_t expert) {
    return o->own_scale ? o->scale * o->own_scale[expert] : o->scale;
}

static float whole(const struct route_op *o, const float *chosen) {
    float sum = 0;
    for (size_t j = 0; j < o->used; j++) sum += chosen[j];
    return o->normed ? sum + 1e-20f : 1;
}

bool route_forward(const struct route_op *o, const float *logits, int32_t *expert, float *weight, float *saved,
                   gyr_error *e) {
    float *worth = malloc(o->experts * sizeof *worth);
    if (!worth) return fail_memory(e, "training");
    for (size_t r = 0; r < o->rows; r++, expert += o->used, weight += o->used, saved += o->experts) {
        scores(o, logits + r * o->experts, saved);
        choose(o, saved, worth, expert);
        take(o, expert, saved, weight);
        float sum = whole(o, weight);
        for (size_t j = 0; j < o->used; j++) weight[j] = weight[j] / sum * factor(o, expert[j]);
    }
    free(worth);
    return true;
}

// The gradient by the scores of the chosen, in place of that by their weights.
static void back_to_scores(const struct route_op *o, const int32_t *expert, const float *chosen, float *d) {
    float sum = whole(o, chosen), along = 0;
    for (size_t j = 0; j < o->used; j++) {
        d[j] = d[j] * factor(o, expert[j]) / sum;
        along += d[j] * chosen[j];
    }
    for (size_t j = 0; o->normed && j < o->used; j++) d[j] -= along / sum;
}

static void back_row(const struct route_op *o, const int32_t *expert, const float *score, const float *dweight,
                     float *dlogits) {
    float chosen[MAX_USED] = {0}, d[MAX_USED] = {0}, along = 0;
    for (size_t j = 0; j < o->used; j++) d[j] = dweight[j];
    for (size_t i = 0; i < o->experts; i++) dlogits[i] = 0;
    take(o, expert, score, chosen);
    back_to_scores(o, expert, chosen, d);
    for (size_t j = 0; j < o->used; j++) along += d[j] * chosen[j];
    for (size_t j = 0; j < o->used; j++)
        dlogits[expert[j]] = o->score == ROUTE_SIGMOID  ? d[j] * chosen[j] * (1 - chosen[j])
                             : o->score == ROUTE_CHOSEN ? chosen[j] * (d[j] - along)
                                                        : d[j];
    for (size_t i = 0; o->score == ROUTE_SOFTMAX && i < o->experts; i++) dlogits[i] = score[i] * (dlogits[i] - along);
}

void route_backward(const struct route_op *o, const int32_t *expert, const float *saved, const float *dweight,
                    float *dlogits) {
    for (size_t r = 0; r < o->rows; r++)
        back_row(o, expert + r * o->used, saved + r * o->experts, dweight + r * o->used, dlogits + r * o->experts);
}
