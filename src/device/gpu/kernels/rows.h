// What kernels of rows have in common: folds of a block's threads, sums in the sixteen lanes of docs/arithmetic.md.
#ifndef DEVICE_GPU_KERNELS_ROWS_H
#define DEVICE_GPU_KERNELS_ROWS_H

#include "chip.h"

#include "args.h"

enum { LANES = 16 };

// fold16() of docs/arithmetic.md, of neighbouring lanes.
FN float fold_lanes(float v) {
    for (unsigned mask = LANES / 2; mask; mask /= 2) v += swap_float(v, mask);
    return v;
}

// The largest word of the block's threads; `room` is THREADS / 32 words of the block. In integers the order is free.
FN uint32_t most_of_block(uint32_t x, uint32_t *room) {
    for (unsigned mask = 1; mask < 32; mask *= 2) {
        uint32_t other = swap_word(x, mask);
        x = other > x ? other : x;
    }
    if (THREAD % 32 == 0) room[THREAD / 32] = x;
    barrier();
    x = room[0];
    for (unsigned i = 1; i < THREADS / 32; i++) x = room[i] > x ? room[i] : x;
    barrier();
    return x;
}

// The same of floats, where a NaN is less than any number: of two the larger, or the one that is a number.
FN float max_of_block(float x, float *room) {
    for (unsigned mask = 1; mask < 32; mask *= 2) {
        float other = swap_float(x, mask);
        x = other > x || x != x ? other : x;
    }
    if (THREAD % 32 == 0) room[THREAD / 32] = x;
    barrier();
    x = room[0];
    for (unsigned i = 1; i < THREADS / 32; i++) x = room[i] > x || x != x ? room[i] : x;
    barrier();
    return x;
}

struct norm_of_row {
    float mean, inverse;
};

FN float add_element(float lane, float x, bool squares, float mean) {
    float v = x - mean;
    return squares ? fmaf(v, v, lane) : lane + x;
}

#endif
