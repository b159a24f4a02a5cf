// Norms of rows (docs/arithmetic.md, "Norms"). A block is a row.
#include "rows.h"

KERNEL(norm_rows, norm_args) {
    SHARED(struct norm_room, room);
    const float *x = a.x + (size_t)BLOCK_X * a.dim, *w = a.w + (size_t)(BLOCK_X % a.parts) * a.dim;
    float *y = a.y + (size_t)BLOCK_X * a.dim;
    struct norm_of_row r = norm_of(x, a.dim, a.layer, a.eps, room);
    for (unsigned i = THREAD; i < a.dim; i += THREADS) {
        float v = (x[i] - r.mean) * r.inverse * w[i];
        y[i] = a.b ? v + a.b[i] : v;
    }
}
