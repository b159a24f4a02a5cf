// Which experts a row goes to and how much each counts, and the gradient of the latter.
#include "device/route.h"
#include "train/ops.h"

#include <stdlib.h>

static void scores(const struct route_op *o, const float *logits, float *score) {
    if (o->score == ROUTE_SOFTMAX) route_softmax(logits, o->experts, score);
    if (o->score == ROUTE_SIGMOID) host_gradients_here()->values(UNIT_SIGMOID, logits, o->experts, score);
    for (size_t i = 0; o->score == ROUTE_CHOSEN && i < o->experts; i++) score[i] = logits[i];
}

// The scores of a row's chosen experts.
static void take(const struct route_op *o, const int32_t *expert, const float *score, float *chosen) {
    for (size_t j = 0; j < o->used; j++) chosen[j] = score[expert[j]];
    if (o->score == ROUTE_CHOSEN) route_softmax(chosen, o->used, chosen);
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
    struct route_choice choice = {o->experts, o->used, o->groups, o->groups_used, o->pairs, o->shift};
    float *worth = malloc(o->experts * sizeof *worth);
    if (!worth) return fail_memory(e, "training");
    for (size_t r = 0; r < o->rows; r++, expert += o->used, weight += o->used, saved += o->experts) {
        scores(o, logits + r * o->experts, saved);
        route_choose(&choice, saved, worth, expert);
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
