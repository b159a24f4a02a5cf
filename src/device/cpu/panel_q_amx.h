// Activations as AMX takes them for quantized weights: sixteen rows' groups, which are a tile, and their scales. A
// batch lies segment by segment, in a segment panel by panel, and in a panel group by group; the last panel's missing
// rows are zeros.
#ifndef DEVICE_CPU_PANEL_Q_AMX_H
#define DEVICE_CPU_PANEL_Q_AMX_H

#include "device/cpu/isa.h"
#include "device/cpu/tile.h"

struct panel {
    int8_t q[TILE][GROUP];
    float d[TILE], low[TILE]; // low: d times the sum of q
} __attribute__((aligned(64)));

// The same for types whose scales are integers: a run, as two tiles, and the sums of its codes beside each other in
// pairs of sixteen bits: of its groups, or of their halves.
struct run_panel {
    int8_t q[RUN / 2][TILE][2 * GROUP];
    float d[TILE];
    int32_t low[TILE][RUN];
} __attribute__((aligned(64)));

// Fewer rows are not worth unpacking a tile for, and the rows that the last panel lacks might have no room in what
// cpu_bind() sets aside, which is a struct act for each row and group. NVFP4, whose groups have two scales, and types
// of several groups whose scales are floats are left to AVX-512.
static inline bool amx_takes(const struct form *f, size_t rows) {
    enum { FEWEST = 44, FEWEST_PIECES = 28 }; // the latter where sums go on for more than a group
    return rows >= (f->piece > 1 ? FEWEST_PIECES : FEWEST) && (f->piece || (f->groups == 1 && f->halves == 1));
}

static inline size_t amx_panels(size_t rows) { return (rows + TILE - 1) / TILE; }

// Of a batch of so many panels, where panel i's groups, or runs, [first, first + n) of a segment begin.
static inline size_t amx_at(size_t panels, size_t i, size_t first, size_t n) { return panels * first + i * n; }

void KERNEL(matmul_runs)(const struct weight *w, const void *x, size_t rows, const float *bias, float *y, size_t first,
                         size_t last);

#endif
