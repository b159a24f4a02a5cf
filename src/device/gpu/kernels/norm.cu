// Norms of rows (docs/arithmetic.md, "Norms"). A block has a row: its sums, which are most of the work where there are
// many rows; where there are few, several blocks have the same row's sums, and a share each of what follows.
#include "chip.h"

#include "codes.h"
#include "fours.h"
#include "norm.h"

// A block's share of its row.
struct share_of_row {
    unsigned first, end;
};
FN struct share_of_row share_of_block(const struct norm_args *a) {
    unsigned first = BLOCK_Y * a->each, left = a->dim - first;
    struct share_of_row s = {first, first + (a->each < left ? a->each : left)};
    return s;
}

// Weights and biases of a thread's four elements.
struct weights {
    float w[4], b[4];
};
FN const float *weights_of_row(const struct norm_args *a) {
    return a->parts > 1 ? a->w + (size_t)(BLOCK_X % a->parts) * a->dim : a->w;
}
FN struct weights weights_at(const struct norm_args *a, unsigned i, unsigned end) {
    struct weights w;
    unsigned n = i < end ? end - i : 0;
    four_from(weights_of_row(a) + i, n, w.w);
    if (a->b) four_from(a->b + i, n, w.b);
    return w;
}

// Weights do not depend on the kernel before. The first of them are asked for before that one ends, and all of them are
// on their way from memory.
enum { HINTED = 32, AT_A_TIME = 4 * THREADS }; // floats of a line of the cache; elements of the block
FN void hint_weights(const struct norm_args *a, struct share_of_row s) {
    ROLLED
    for (unsigned i = s.first + AT_A_TIME + THREAD * HINTED; i < s.end; i += THREADS * HINTED) {
        hint_at(weights_of_row(a) + i);
        if (a->b) hint_at(a->b + i);
    }
}

// A thread has four neighbours at a time; `round` where a product will want them.
FN void norm_row(const struct norm_args *a, const struct round_args *round, struct norm_room *room) {
    struct share_of_row s = share_of_block(a);
    const float *x = a->x + (size_t)BLOCK_X * a->dim;
    float *y = a->y + (size_t)BLOCK_X * a->dim, v[4];
    struct weights next = weights_at(a, s.first + 4 * THREAD, s.end);
    unsigned place = round ? place_of_codes(round, s.first / 4 + THREAD) : 0;
    hint_weights(a, s);
    after_earlier();
    struct norm_of_row r = norm_of(x, a->dim, a->layer, a->eps, room);
    ROLLED
    for (unsigned start = s.first; start < s.end; start += AT_A_TIME) {
        struct weights now = next;
        unsigned i = start + 4 * THREAD, n = i < s.end ? s.end - i : 0;
        if (start + AT_A_TIME < s.end) next = weights_at(a, i + AT_A_TIME, s.end);
        four_from((a->dim <= PIECE ? room->x : x) + i, n, v);
        for (unsigned k = 0; k < 4; k++) {
            v[k] = (v[k] - r.mean) * r.inverse * now.w[k];
            if (a->b) v[k] += now.b[k];
        }
        four_to(y + i, n, v);
        if (!round) continue;
        round_four_at(round, BLOCK_X, n ? i / 4 : a->dim, place, v);
        if (start + AT_A_TIME < s.end) place = place_of_codes(round, (i + AT_A_TIME) / 4);
    }
}

EARLY_KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    norm_row(&a, (const struct round_args *)0, room);
}

// And the row as a product will want it.
EARLY_KERNEL(norm_rounded, norm_rounded_args) {
    SHARED(struct norm_room, room);
    norm_row(&a.norm, &a.round, room);
}
