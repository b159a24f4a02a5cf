// Norms of rows (docs/arithmetic.md, "Norms"). A block has a row: its sums, which are most of the work where there are
// many rows; where there are few, several blocks have the same row's sums, and a share each of what follows.
#include "chip.h"

#include "codes.h"
#include "rows.h"

FN float normed(const struct norm_of_row *r, float x, float w) { return (x - r->mean) * r->inverse * w; }

// A block's share of its row.
struct share_of_row {
    unsigned first, end;
};
FN struct share_of_row share_of_block(const struct norm_args *a) {
    unsigned first = BLOCK_Y * a->each, left = a->dim - first;
    struct share_of_row s = {first, first + (a->each < left ? a->each : left)};
    return s;
}

// Weights do not depend on the kernel before: they are on their way from memory while that one ends.
enum { HINTED = 32 }; // floats of a line of the cache
FN void hint_weights(const struct norm_args *a, struct share_of_row s) {
    for (unsigned i = s.first + THREAD * HINTED; i < s.end; i += THREADS * HINTED) {
        hint_at(a->w + (size_t)(BLOCK_X % a->parts) * a->dim + i);
        if (a->b) hint_at(a->b + i);
    }
}

// A row that the block's memory has room for; the share is there behind it.
FN void norm_kept(const struct norm_args *a, struct share_of_row s, struct norm_room *room) {
    const float *w = a->w + (size_t)(BLOCK_X % a->parts) * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim;
    struct norm_of_row r = norm_of(a->x + (size_t)BLOCK_X * a->dim, a->dim, a->layer, a->eps, OF_THREAD, room);
    for (unsigned i = s.first + THREAD; i < s.end; i += THREADS) {
        float v = normed(&r, room->x[i], w[i]);
        y[i] = room->x[i] = a->b ? v + a->b[i] : v;
    }
}

FN void norm_row(const struct norm_args *a, struct share_of_row s, struct norm_room *room) {
    hint_weights(a, s);
    after_earlier();
    if (a->dim <= PIECE) {
        norm_kept(a, s, room);
        return;
    }
    const float *x = a->x + (size_t)BLOCK_X * a->dim, *w = a->w + (size_t)(BLOCK_X % a->parts) * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim;
    struct norm_of_row r = norm_of(x, a->dim, a->layer, a->eps, OF_THREAD, room);
    for (unsigned i = s.first + THREAD; i < s.end; i += THREADS) {
        float v = normed(&r, x[i], w[i]);
        y[i] = a->b ? v + a->b[i] : v;
    }
}

EARLY_KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    norm_row(&a, share_of_block(&a), room);
}

// And the row as a product will want it.
EARLY_KERNEL(norm_rounded, norm_rounded_args) {
    SHARED(struct norm_room, room);
    struct share_of_row s = share_of_block(&a.norm);
    norm_row(&a.norm, s, room);
    barrier();
    const float *y = a.norm.dim <= PIECE ? room->x : a.norm.y + (size_t)BLOCK_X * a.norm.dim;
    round_share(&a.round, BLOCK_X, s.first, s.end, y);
}
