// How a row of F16 or BF16 weights is cut (docs/arithmetic.md, "Products with F16 and BF16 weights"): groups of 64,
// eight segments, and in a segment runs of at most eight groups; and how rows lie in memory. The host counts with these
// functions too.
#ifndef DEVICE_GPU_KERNELS_RUNS16_H
#define DEVICE_GPU_KERNELS_RUNS16_H

#ifndef GPU_KERNEL // chip.h has it for kernels
#include <stddef.h>
#endif

#include "strips.h"

#define MAX16 32639.0f

// Planes of weights and of activations lie in slabs of eight rows: of each group the high bytes of the eight, 64 of a
// row, then the low ones. A warp reads a plane of a slab's group as it lies, 16 bytes a lane. So do the units: of each
// run those of the eight rows.
enum { SLAB16 = 8, PLANE16 = SLAB16 * 64, GROUP16 = 2 * PLANE16 };

// Groups [first, first + n) of a row.
struct run16 {
    unsigned first, n;
};

FN unsigned groups16(unsigned cols) { return cols / 64 + (cols % 64 != 0); }

// Slabs of so many rows.
FN size_t slabs16(size_t rows) { return rows / SLAB16 + (rows % SLAB16 != 0); }

// Units of so many rows that there is room for: a block of products reads those of all its outputs, however many there
// are.
FN size_t units16(size_t rows, unsigned runs) {
    enum { MOST = 64 };
    return (rows + MOST - 1) / MOST * MOST * runs;
}

// Where the high bytes of the row's first group are, and the unit of its first run; the next ones: GROUP16 and SLAB16
// further.
FN size_t row16_at(size_t row, unsigned groups) { return row / SLAB16 * groups * GROUP16 + row % SLAB16 * 64; }
FN size_t unit16_at(size_t row, unsigned runs) { return row / SLAB16 * runs * SLAB16 + row % SLAB16; }

// Runs of a segment of n groups, and of all segments.
FN unsigned runs16_of(unsigned n) { return n / 8 + (n % 8 != 0); }
FN unsigned runs16(unsigned groups) {
    unsigned runs = 0;
    for (unsigned s = 0; s < SEGMENTS; s++) runs += runs16_of(strip_length(groups, s));
    return runs;
}

// Run `number` of a row.
FN struct run16 run16_of(unsigned groups, unsigned number) {
    unsigned s = 0, runs = runs16_of(strip_length(groups, 0));
    while (number >= runs) {
        number -= runs;
        s++;
        runs = runs16_of(strip_length(groups, s));
    }
    unsigned n = strip_length(groups, s), start = strip_start(groups, s);
    struct run16 run = {start + n * number / runs, 0};
    run.n = start + n * (number + 1) / runs - run.first;
    return run;
}

// The runs of a segment one after the other, without a division for each: where the current one ends, counted in the
// segment's groups.
struct walk16 {
    unsigned runs, least, rest, carry, end;
};

FN void next_run16(struct walk16 *w) {
    w->end += w->least;
    w->carry += w->rest;
    if (w->carry < w->runs) return;
    w->carry -= w->runs;
    w->end++;
}

// Of a segment of n groups; `end` is that of its first run.
FN struct walk16 walk16_of(unsigned n) {
    unsigned runs = runs16_of(n), some = runs ? runs : 1;
    struct walk16 w = {runs, n / some, n % some, 0, 0};
    next_run16(&w);
    return w;
}

// The number of a segment's first run.
FN unsigned first_run16(unsigned groups, unsigned segment) {
    unsigned number = 0;
    for (unsigned i = 0; i < segment; i++) number += runs16_of(strip_length(groups, i));
    return number;
}

#endif
