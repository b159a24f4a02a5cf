// A step of the optimizer: all numbers at once, or matrix by matrix.
#include "train/muon.h"
#include "train/tune.h"

#include <stdatomic.h>
#include <stdlib.h>

struct moving {
    struct muon_matrix *list;
    double rate, decay;
    atomic_bool failed; // no memory
};

static void move_one(void *arg, size_t i) {
    struct moving *m = arg;
    if (!muon_step(&m->list[i], m->rate, m->decay, NULL)) atomic_store(&m->failed, true);
}

static struct muon_matrix matrix(struct gyr_tune *t, size_t rows, size_t cols, size_t at) {
    return (struct muon_matrix){rows, cols, t->numbers + at, t->adam.mean + at, t->sum + at};
}

static bool move_matrices(struct gyr_tune *t, double rate, gyr_error *e) {
    size_t n = 0, in, out;
    struct moving m = {calloc(2 * (size_t)t->m->h.layers * trainee_slots(t->t) + 1, sizeof *m.list), rate,
                       t->o.weight_decay};
    if (!m.list) return fail_memory(e, "training");
    for (uint32_t i = 0; i < t->m->h.layers; i++)
        for (unsigned s = 0; s < trainee_slots(t->t); s++) {
            const struct trained *p = trainee_pair(t->t, i, s);
            if (!p->rank) continue;
            trainee_shape(t->t, i, s, &in, &out);
            m.list[n++] = matrix(t, p->rank, in, p->a);
            m.list[n++] = matrix(t, out, p->rank, p->b);
        }
    pool_run(trainee_pool(t->t), n, move_one, &m);
    free(m.list);
    t->adam.steps++;
    return !atomic_load(&m.failed) || fail_memory(e, "training");
}

// Some numbers to a task: each is moved by itself.
enum { SOME = 64 << 10 };

struct stepping {
    struct gyr_tune *t;
    double rate;
};

static void step_task(void *arg, size_t task) {
    const struct stepping *w = arg;
    struct adamw own = w->t->adam;
    size_t at = task * SOME;
    own.n = own.n - at < SOME ? own.n - at : SOME;
    own.mean += at;
    own.square += at;
    adamw_step(&own, w->t->numbers + at, w->t->sum + at, w->rate);
}

bool tune_move(struct gyr_tune *t, double rate, gyr_error *e) {
    if (t->o.optimizer == GYR_OPTIMIZER_MUON) return move_matrices(t, rate, e);
    pool_run(trainee_pool(t->t), (t->adam.n + SOME - 1) / SOME, step_task, &(struct stepping){t, rate});
    t->adam.steps++;
    return true;
}
