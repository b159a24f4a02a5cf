// Which positions an indexer chooses: those of the highest scores, found by their bits and not by sorting.
#ifndef DEVICE_CHOOSE_H
#define DEVICE_CHOOSE_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A whole number in the order of scores: both zeros the same, NaN above all.
static inline uint32_t score_rank(float x) {
    uint32_t bits;
    if (isnan(x)) return UINT32_MAX;
    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | 1u << 31;
}

// The `most`-th highest rank of n, at least as many, digit by digit; and how many of those that have it are among the
// `most`: the first.
static inline uint32_t lowest_rank(const float *score, size_t n, size_t most, size_t *equals) {
    uint32_t rank = 0, known = 0;
    for (int shift = 24; shift >= 0; shift -= 8) {
        size_t count[256] = {0}, digit = 255;
        for (size_t i = 0; i < n; i++) {
            uint32_t r = score_rank(score[i]);
            if ((r & known) == rank) count[r >> shift & 255]++;
        }
        while (count[digit] < most) most -= count[digit--];
        rank |= (uint32_t)digit << shift;
        known |= 255u << shift;
    }
    *equals = most;
    return rank;
}

#endif
