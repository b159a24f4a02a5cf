// A step of the optimizer, tensor by tensor. Each number, and with Muon each matrix, is its own.
#include "train/adamw.h"
#include "train/muon.h"
#include "train/pretrain.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SLICE = 1 << 15 };

struct moving {
    struct gyr_train *t;
    const struct whole_part *p;
    double rate;
    atomic_bool failed; // no memory
};

static void move_slice(void *arg, size_t task) {
    const struct moving *m = arg;
    struct gyr_train *t = m->t;
    size_t from = task * SLICE, n = m->p->n - from < SLICE ? m->p->n - from : SLICE, at = m->p->at + from;
    struct adamw own = {.n = n,
                        .mean = t->mean + at,
                        .square = t->square + at,
                        .steps = t->done,
                        .decay = m->p->matrix ? t->o.weight_decay : 0};
    adamw_step(&own, t->w->numbers + at, t->sum + at, m->rate);
}

// What Muon moves: matrices, also those of experts that lie in one tensor.
static bool by_matrix(const struct gyr_train *t, const struct whole_part *p) {
    return t->o.optimizer == GYR_OPTIMIZER_MUON && p->matrix && !p->table;
}

// Matrix i of all that Muon moves.
static void move_matrix(void *arg, size_t i) {
    struct moving *m = arg;
    struct gyr_train *t = m->t;
    const struct whole_part *p = t->w->parts;
    for (;; p++) {
        size_t n = by_matrix(t, p) ? (size_t)(p->tensor->dim[2] * p->tensor->dim[3]) : 0;
        if (i < n) break;
        i -= n;
    }
    size_t rows = (size_t)p->tensor->dim[1], cols = (size_t)p->tensor->dim[0], at = p->at + i * rows * cols;
    struct muon_matrix own = {rows, cols, t->w->numbers + at, t->mean + at, t->sum + at};
    if (!muon_step(&own, m->rate, t->o.weight_decay, NULL)) atomic_store(&m->failed, true);
}

bool pretrain_move(struct gyr_train *t, double rate, gyr_error *e) {
    struct moving m = {.t = t, .rate = rate};
    size_t matrices = 0;
    for (size_t i = 0; i < t->c->n_tensors; i++) {
        m.p = &t->w->parts[i];
        if (by_matrix(t, m.p))
            matrices += (size_t)(m.p->tensor->dim[2] * m.p->tensor->dim[3]);
        else
            pool_run(t->t->pool, (m.p->n + SLICE - 1) / SLICE, move_slice, &m);
    }
    pool_run(t->t->pool, matrices, move_matrix, &m);
    return !atomic_load(&m.failed) || fail_memory(e, "training");
}
