// How a row of F16 or BF16 weights is cut (docs/arithmetic.md, "Products with F16 and BF16 weights"): groups of 64,
// eight segments, and in a segment runs of at most eight groups. The host counts them with these functions too.
#ifndef DEVICE_GPU_KERNELS_RUNS16_H
#define DEVICE_GPU_KERNELS_RUNS16_H

#include "strips.h"

#define MAX16 32639.0f

// Groups [first, first + n) of a row.
struct run16 {
    unsigned first, n;
};

FN unsigned groups16(unsigned cols) { return cols / 64 + (cols % 64 != 0); }

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

#endif
