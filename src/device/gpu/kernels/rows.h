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

// A row, or a piece of a longer one, in the block's memory, which the sums go through lane by lane.
#if defined(__HIP__) || defined(__HIPCC_RTC__) // more would not fit in a thread's registers
enum { PIECE = 4096, AT_ONCE = 8 };
#else
enum { PIECE = 8192, AT_ONCE = 16 };
#endif
enum { OF_THREAD = PIECE / THREADS };

struct norm_room {
    float x[PIECE];
    float sum;
};

// x[0 .. count - 1], then `rest` up to a multiple of the lanes: all loads are on their way together. `own`, a constant:
// of how many elements a thread.
FN void keep_piece(const float *x, unsigned count, float rest, unsigned own, struct norm_room *room) {
    unsigned whole = (count + LANES - 1) / LANES * LANES;
    float v[OF_THREAD] = {0};
    UNROLL
    for (unsigned k = 0; k < own && k * THREADS < whole; k++) {
        unsigned i = k * THREADS + THREAD;
        v[k] = i < count ? x[i] : rest;
    }
    UNROLL
    for (unsigned k = 0; k < own && k * THREADS < whole; k++) {
        unsigned i = k * THREADS + THREAD;
        if (i < whole) room->x[i] = v[k];
    }
}

FN float add_element(float lane, float x, bool squares, float mean) {
    float v = x - mean;
    return squares ? fmaf(v, v, lane) : lane + x;
}

// What a lane has of a piece, added to its sum. Elements come from the block's memory ahead of the additions, each of
// which waits for the one before.
FN float add_piece(float lane, unsigned count, bool squares, float mean, const struct norm_room *room) {
    unsigned n = (count + LANES - 1) / LANES, j = 0;
    const float *x = room->x + THREAD;
    float next[AT_ONCE];
    if (n >= AT_ONCE) {
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) next[k] = x[k * LANES];
    }
    for (; j + AT_ONCE <= n; j += AT_ONCE) {
        float now[AT_ONCE];
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) now[k] = next[k];
        if (j + 2 * AT_ONCE <= n) {
            UNROLL
            for (unsigned k = 0; k < AT_ONCE; k++) next[k] = x[(j + AT_ONCE + k) * LANES];
        }
        UNROLL
        for (unsigned k = 0; k < AT_ONCE; k++) lane = add_element(lane, now[k], squares, mean);
    }
    for (; j < n; j++) lane = add_element(lane, x[j * LANES], squares, mean);
    return lane;
}

// The sum of x, or of (x - mean)^2, in lanes: each an ascending chain from zero. A row that is no longer than a piece
// is read once: `kept` says that it is there, with 0 behind its end.
FN float sum_of_row(const float *x, unsigned n, bool squares, float mean, bool kept, unsigned own,
                    struct norm_room *room) {
    float lane = 0;
    for (unsigned first = 0; first < n; first += own * THREADS) {
        unsigned count = n - first < own * THREADS ? n - first : own * THREADS;
        if (!kept) keep_piece(x + first, count, squares ? mean : 0, own, room);
        if (kept && squares && THREAD < LANES && n + THREAD < (n + LANES - 1) / LANES * LANES)
            room->x[n + THREAD] = mean;
        barrier();
        if (THREAD < LANES) lane = add_piece(lane, count, squares, mean, room);
        barrier();
    }
    lane = fold_lanes(lane); // every warp comes here; that of the first lanes has the sum
    if (THREAD == 0) room->sum = lane;
    barrier();
    return room->sum;
}

struct norm_of_row {
    float mean, inverse;
};

// A row of at most `own` elements a thread is in the block's memory then.
FN struct norm_of_row norm_of(const float *x, unsigned n, bool layer, float eps, unsigned own, struct norm_room *room) {
    struct norm_of_row r;
    r.mean = layer ? sum_of_row(x, n, false, 0, false, own, room) / (float)n : 0;
    r.inverse = 1.0f / sqrtf(sum_of_row(x, n, true, r.mean, layer && n <= own * THREADS, own, room) / (float)n + eps);
    return r;
}

#endif
