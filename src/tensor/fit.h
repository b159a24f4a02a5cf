// The search for the scales of a block that lose least: the sum of squared differences between the weights and what is
// decoded, all weights counting alike.
//
// A block is up to 16 runs of weights; its scales are stored with few bits, as multiples of the block's own:
// weight = (d * sc[run]) * value(code) - dm * mn[run]. Given the codes, the best real scales are a least-squares
// solution; given the scales, the best codes are the nearest. The search alternates between the two from several
// starts, and does the same once more for the block's scales with the runs' rounded ones.
#ifndef TENSOR_FIT_H
#define TENSOR_FIT_H

#include <stdint.h>

enum { MAX_FIT = 256, FIT_RUNS = 16 };

struct fit {
    uint16_t d, dm; // halves
    int8_t sc[FIT_RUNS], mn[FIT_RUNS];
    uint8_t u[MAX_FIT]; // codes, counted from the lowest value
};

// The values that codes stand for: all whole numbers of [low, high], or the 16 of a book in ascending order.
struct values {
    float low, high;
    const int8_t *book; // NULL: whole numbers
};

// Runs of `size` around zero, without a minimum; sc in [-top, top), or just 1 if top is 0.
void fit_scaled(const float *x, int runs, int size, const struct values *v, int top, struct fit *f);

// Runs of `size` above a minimum that is at most zero: codes in [0, high], sc and mn in [0, top].
void fit_above(const float *x, int runs, int size, int high, int top, struct fit *f);

#endif
