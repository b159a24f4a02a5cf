// Rounding activations to int8 (docs/arithmetic.md, "Products with quantized weights").
#ifndef DEVICE_GPU_KERNELS_CODES_H
#define DEVICE_GPU_KERNELS_CODES_H

#include "chip.h"

#include "args.h"
#include "strips.h"

// In the order of magnitudes, NaN above all.
FN uint32_t magnitude_of(float x) { return bits_of_float(x) & 0x7fffffffu; }
FN uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

// An element as a code: a float that is an integer of at most 127, ties to even; 0 where the scale is 0.
FN int code_of(float x, float d) {
    float q = x / (d == 0 ? INFINITY : d);
    q = q < 127.0f ? q : 127.0f;
    return integer_of_shifted((q > -127.0f ? q : -127.0f) + SHIFT);
}

// Four neighbours of a row as codes, with the scale that they share with the lanes beside, and the sums of both halves
// of their group.
struct four_codes {
    uint32_t codes;
    float d;
    int sum[2]; // good in the first lane of a group
};

// Eight lanes have a group, `lanes` what has one scale. All lanes of a warp come here, those behind the row's end too.
FN struct four_codes codes_of_four(const float *v, unsigned lanes) {
    struct four_codes c = {0, 0, {0, 0}};
    uint32_t most = 0;
    for (int k = 0; k < 4; k++) most = larger(most, magnitude_of(v[k]));
    for (unsigned mask = 1; mask < lanes; mask *= 2) most = larger(most, swap_word(most, mask));
    c.d = float_of_bits(most) / 127.0f;
    for (int k = 0; k < 4; k++) {
        int q = code_of(v[k], c.d);
        c.sum[0] += q;
        c.codes |= ((uint32_t)q & 255) << 8 * k;
    }
    for (unsigned mask = 1; mask < 4; mask *= 2) c.sum[0] += (int)swap_word((uint32_t)c.sum[0], mask);
    c.sum[1] = (int)swap_word((uint32_t)c.sum[0], 4);
    return c;
}

FN uint32_t both_halves(const struct four_codes *c) {
    return ((uint32_t)c->sum[0] & 0xffffu) | (uint32_t)c->sum[1] << 16;
}

// Elements 4 t .. 4 t + 3 of a row, put where products of few rows take them.
FN void round_four(const struct round_args *a, unsigned row, unsigned t, const float *v) {
    unsigned groups = a->cols / 32, g = t / 8;
    struct four_codes c = codes_of_four(v, 8 * a->run);
    if (t >= a->cols / 4) return;
    unsigned at = strip_of(groups / a->unit, g / a->unit) * a->unit + g % a->unit;
    *(uint32_t *)(a->codes + (size_t)row * a->cols + (size_t)at * 32 + 4 * (t % 8)) = c.codes;
    if (t % 8) return;
    struct group_of_row *group = a->group + (size_t)row * groups + at;
    group->d = c.d;
    group->sums = both_halves(&c);
}

// Elements [first, end) of a row, which is x, or where they are in x, by a block: whole groups, and what has one scale.
FN void round_share(const struct round_args *a, unsigned row, unsigned first, unsigned end, const float *x) {
    for (unsigned start = first / 4; start < end / 4; start += THREADS) {
        unsigned t = start + THREAD;
        float v[4] = {0, 0, 0, 0};
        for (unsigned k = 0; k < 4 && t < end / 4; k++) v[k] = x[4 * t + k];
        round_four(a, row, t < end / 4 ? t : a->cols, v);
    }
}

#endif
