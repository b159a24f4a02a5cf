// Norms of rows (docs/arithmetic.md, "Norms"). A block is a row.
#include "rows.h"

KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    const float *x = a.x + (size_t)BLOCK_X * a.dim, *w = a.w + (size_t)(BLOCK_X % a.parts) * a.dim;
    float *y = a.y + (size_t)BLOCK_X * a.dim;
    struct norm_of_row r = norm_of(x, a.dim, a.layer, a.eps, room);
    if (a.dim <= PIECE) x = room->x;
    for (unsigned first = 0; first < a.dim; first += AT_ONCE * THREADS) {
        float by[AT_ONCE], more[AT_ONCE];
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            unsigned i = first + k * THREADS + THREAD;
            by[k] = i < a.dim ? w[i] : 0;
            more[k] = i < a.dim && a.b ? a.b[i] : 0;
        }
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) {
            unsigned i = first + k * THREADS + THREAD;
            if (i >= a.dim) continue;
            float v = (x[i] - r.mean) * r.inverse * by[k];
            y[i] = a.b ? v + more[k] : v;
        }
    }
}
