// Norms of rows (docs/arithmetic.md, "Norms"). A block is a row.
#include "chip.h"

#include "codes.h"
#include "rows.h"

FN float normed(const struct norm_of_row *r, float x, float w) { return (x - r->mean) * r->inverse * w; }

// Weights do not depend on the kernel before: they are on their way from memory while that one ends.
enum { HINTED = 32 }; // floats of a line of the cache
FN void hint_weights(const struct norm_args *a) {
    for (unsigned i = THREAD * HINTED; i < a->dim; i += THREADS * HINTED) {
        hint_at(a->w + (size_t)(BLOCK_X % a->parts) * a->dim + i);
        if (a->b) hint_at(a->b + i);
    }
}

// A row that the block's memory has room for; it is there behind it.
FN void norm_kept(const struct norm_args *a, struct norm_room *room) {
    const float *w = a->w + (size_t)(BLOCK_X % a->parts) * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim;
    struct norm_of_row r = norm_of(a->x + (size_t)BLOCK_X * a->dim, a->dim, a->layer, a->eps, OF_THREAD, room);
    for (unsigned i = THREAD; i < a->dim; i += THREADS) {
        float v = normed(&r, room->x[i], w[i]);
        y[i] = room->x[i] = a->b ? v + a->b[i] : v;
    }
}

FN void norm_row(const struct norm_args *a, struct norm_room *room) {
    hint_weights(a);
    after_earlier();
    if (a->dim <= PIECE) {
        norm_kept(a, room);
        return;
    }
    const float *x = a->x + (size_t)BLOCK_X * a->dim, *w = a->w + (size_t)(BLOCK_X % a->parts) * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim;
    struct norm_of_row r = norm_of(x, a->dim, a->layer, a->eps, OF_THREAD, room);
    for (unsigned i = THREAD; i < a->dim; i += THREADS) {
        float v = normed(&r, x[i], w[i]);
        y[i] = a->b ? v + a->b[i] : v;
    }
}

EARLY_KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    norm_row(&a, room);
}

// And the row as a product will want it.
EARLY_KERNEL(norm_rounded, norm_rounded_args) {
    SHARED(struct norm_room, room);
    norm_row(&a.norm, room);
    barrier();
    const float *y = a.norm.dim <= PIECE ? room->x : a.norm.y + (size_t)BLOCK_X * a.norm.dim;
    for (unsigned first = 0; first < a.norm.dim / 4; first += THREADS) {
        unsigned t = first + THREAD;
        float v[4] = {0, 0, 0, 0};
        for (int k = 0; k < 4 && t < a.norm.dim / 4; k++) v[k] = y[4 * t + k];
        round_four(&a.round, BLOCK_X, t, v);
    }
}
