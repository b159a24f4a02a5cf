// Which positions a row sees by an indexer's scores. Rows are taken so many at a time; a row's choice does not depend
// on the others'.
#include "device/choose.h"
#include "train/ops.h"
#include "train/product.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 48 };

struct way {
    const struct choice_op *o;
    const struct host_gradients *g;
    const float *q, *weight, *turned; // turned: keys, [dim][all]
    size_t all;                       // rows, in whole panels
    uint32_t *chosen;
    size_t words;
    atomic_bool failed; // no memory
};

size_t choice_words(size_t rows) { return (rows + 31) / 32; }

static void mark(uint32_t *chosen, size_t i) { chosen[i / 32] |= 1u << i % 32; }

static void choose_row(const struct way *w, size_t t, const float *score) {
    uint32_t *chosen = w->chosen + t * w->words;
    size_t n = t + 1, equals;
    memset(chosen, 0, w->words * sizeof *chosen);
    if (n <= w->o->most) {
        for (size_t i = 0; i < n; i++) mark(chosen, i);
        return;
    }
    uint32_t lowest = lowest_rank(score, n, w->o->most, &equals);
    for (size_t i = 0; i < n; i++) {
        uint32_t rank = score_rank(score[i]);
        if (rank < lowest || (rank == lowest && !equals)) continue;
        equals -= rank == lowest;
        mark(chosen, i);
    }
}

// score[t] += weight * max(0, dot[t] * scale), of a head.
static void add_head(const struct choice_op *o, size_t n, float weight, const float *dot, float *score) {
    for (size_t i = 0; i < n; i++) {
        float x = dot[i] * o->scale;
        score[i] = fmaf(weight, x < 0 ? 0 : x, score[i]);
    }
}

static bool score_block(const struct way *w, size_t t, size_t n, float *dot, float *score) {
    const struct choice_op *o = w->o;
    size_t wide = (t + n + HOST_PANEL - 1) / HOST_PANEL * HOST_PANEL;
    memset(score, 0, n * w->all * sizeof *score);
    for (size_t h = 0; h < o->heads; h++) {
        struct matmul p = {.x = w->q + (t * o->heads + h) * o->dim,
                           .x_row = o->heads * o->dim,
                           .x_step = 1,
                           .w = w->turned,
                           .w_step = w->all,
                           .y = dot,
                           .fresh = true,
                           .y_row = w->all,
                           .n = o->dim,
                           .rows = n,
                           .cols = wide};
        if (!product_add(w->g, &p)) return false;
        for (size_t r = 0; r < n; r++)
            add_head(o, t + r + 1, w->weight[(t + r) * o->heads + h], dot + r * w->all, score + r * w->all);
    }
    return true;
}

static void block_task(void *arg, size_t task) {
    struct way *w = arg;
    size_t t = task * BLOCK, n = w->o->rows - t < BLOCK ? w->o->rows - t : BLOCK;
    float *dot = malloc(2 * n * w->all * sizeof *dot);
    bool ok = dot && score_block(w, t, n, dot, dot + n * w->all);
    for (size_t r = 0; ok && r < n; r++) choose_row(w, t + r, dot + (n + r) * w->all);
    if (!ok) atomic_store(&w->failed, true);
    free(dot);
}

bool choice_forward(const struct choice_op *o, const float *q, const float *key, const float *weight, uint32_t *chosen,
                    size_t words, gyr_error *e) {
    size_t all = (o->rows + HOST_PANEL - 1) / HOST_PANEL * HOST_PANEL;
    float *turned = calloc(o->dim * all + 1, sizeof *turned);
    struct way w = {o, host_gradients_here(), q, weight, turned, all, chosen, words, false};
    if (!turned) return fail_memory(e, "training");
    turn_words(key, o->dim, o->rows, o->dim, turned, all);
    pool_run(o->pool, (o->rows + BLOCK - 1) / BLOCK, block_task, &w);
    free(turned);
    return !atomic_load(&w.failed) || fail_memory(e, "training");
}
