// Norms of rows (docs/arithmetic.md, "Norms"). A block is a row.
#include "chip.h"

#include "codes.h"
#include "rows.h"

// With `keep`, a row of at most PIECE elements is in the block's memory behind it.
FN void norm_row(const struct norm_args *a, bool keep, struct norm_room *room) {
    const float *x = a->x + (size_t)BLOCK_X * a->dim, *w = a->w + (size_t)(BLOCK_X % a->parts) * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim;
    struct norm_of_row r = norm_of(x, a->dim, a->layer, a->eps, room);
    if (a->dim <= PIECE) x = room->x;
    for (unsigned first = 0; first < a->dim; first += AT_ONCE * THREADS) {
        float by[AT_ONCE], more[AT_ONCE];
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            unsigned i = first + k * THREADS + THREAD;
            by[k] = i < a->dim ? w[i] : 0;
            more[k] = i < a->dim && a->b ? a->b[i] : 0;
        }
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            unsigned i = first + k * THREADS + THREAD;
            if (i >= a->dim) continue;
            float v = (x[i] - r.mean) * r.inverse * by[k];
            y[i] = v = a->b ? v + more[k] : v;
            if (keep && a->dim <= PIECE) room->x[i] = v;
        }
    }
}

KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    norm_row(&a, false, room);
}

// And the row as a product will want it.
KERNEL(norm_rounded, norm_rounded_args) {
    SHARED(struct norm_room, room);
    norm_row(&a.norm, true, room);
    barrier();
    const float *y = a.norm.dim <= PIECE ? room->x : a.norm.y + (size_t)BLOCK_X * a.norm.dim;
    for (unsigned first = 0; first < a.norm.dim / 4; first += THREADS) {
        unsigned t = first + THREAD;
        float v[4] = {0, 0, 0, 0};
        for (int k = 0; k < 4 && t < a.norm.dim / 4; k++) v[k] = y[4 * t + k];
        round_four(&a.round, BLOCK_X, t, v);
    }
}
