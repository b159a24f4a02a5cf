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

// A piece of a row in the block's memory, which the sums go through lane by lane.
enum { PIECE = 4096 };

struct norm_room {
    float x[PIECE];
    float sum;
};

// The sum of x, or of (x - mean)^2, in lanes: each an ascending chain from zero.
FN float sum_of_row(const float *x, unsigned n, bool squares, float mean, struct norm_room *room) {
    float lane = 0;
    for (unsigned first = 0; first < n; first += PIECE) {
        unsigned count = n - first < PIECE ? n - first : PIECE, whole = (count + LANES - 1) / LANES * LANES;
        for (unsigned i = THREAD; i < whole; i += THREADS) room->x[i] = i < count ? x[first + i] : squares ? mean : 0;
        barrier();
        for (unsigned i = THREAD; THREAD < LANES && i < whole; i += LANES) {
            float v = room->x[i] - mean;
            lane = squares ? fmaf(v, v, lane) : lane + room->x[i];
        }
        barrier();
    }
    lane = fold_lanes(lane); // every warp comes here; that of the first lanes has the sum
    if (THREAD == 0) room->sum = lane;
    barrier();
    lane = room->sum;
    barrier();
    return lane;
}

struct norm_of_row {
    float mean, inverse;
};

FN struct norm_of_row norm_of(const float *x, unsigned n, bool layer, float eps, struct norm_room *room) {
    struct norm_of_row r;
    r.mean = layer ? sum_of_row(x, n, false, 0, room) / (float)n : 0;
    r.inverse = 1.0f / sqrtf(sum_of_row(x, n, true, r.mean, room) / (float)n + eps);
    return r;
}

#endif
