// What all weights begin with.
#include "device/elementary.h"
#include "device/rope.h"
#include "engine/random.h"
#include "train/whole.h"

#include <math.h>

enum { SLICE = 1 << 16 };

struct drawing {
    struct whole *w;
    uint64_t seed;
    const struct whole_part *p;
};

// The sum of four uniform draws, whose deviation is 1 / sqrt(3).
static float normal(const struct drawing *d, uint64_t number) {
    double sum = -2;
    for (uint64_t k = 0; k < 4; k++) sum += random_at(d->seed, 4 * number + k);
    return (float)(sum * 1.7320508075688772) * d->p->deviation;
}

// What softplus makes a step of: 0.001 to 0.1, evenly by its logarithm. (Gu and Dao, 2023)
static float step(const struct drawing *d, uint64_t number) {
    double least = rope_ln(0.001), most = rope_ln(0.1);
    float s = exp_f((float)(least + random_at(d->seed, 4 * number) * (most - least)));
    return s + (float)rope_ln((double)(1 - exp_f(-s)));
}

static void draw_slice(void *arg, size_t task) {
    const struct drawing *d = arg;
    const struct whole_part *p = d->p;
    size_t from = task * SLICE, to = from + SLICE < p->n ? from + SLICE : p->n, wide = (size_t)p->tensor->dim[0];
    float *x = d->w->numbers + p->at;
    for (size_t i = from; i < to; i++) switch (p->draw) {
        case DRAW_NORMAL: x[i] = normal(d, (uint64_t)(p->at + i)); break;
        case DRAW_STEPS: x[i] = step(d, (uint64_t)(p->at + i)); break;
        case DRAW_RATES: x[i] = (float)rope_ln((double)((wide > 1 ? i % wide : i) + 1)); break;
        case DRAW_ONES: x[i] = 1; break;
        case DRAW_ZEROS: x[i] = 0; break;
        }
}

void whole_draw(struct whole *w, struct pool *pool, uint64_t seed) {
    for (size_t i = 0; i < w->m->checkpoint->n_tensors; i++) {
        struct drawing d = {w, seed, &w->parts[i]};
        pool_run(pool, (d.p->n + SLICE - 1) / SLICE, draw_slice, &d);
    }
}
