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

// Elements 4 t .. 4 t + 3 of a row as codes: eight lanes have a group, 32 a run of four groups. All lanes of a warp
// come here, those behind the row's end too.
FN void round_four(const struct round_args *a, unsigned row, unsigned t, const float *v) {
    unsigned lanes = 8 * a->run, groups = a->cols / 32;
    uint32_t most = 0;
    for (int k = 0; k < 4; k++) most = larger(most, magnitude_of(v[k]));
    for (unsigned mask = 1; mask < lanes; mask *= 2) most = larger(most, swap_word(most, mask));
    float d = float_of_bits(most) / 127.0f;
    uint32_t codes = 0;
    int sum = 0;
    for (int k = 0; k < 4; k++) {
        int q = code_of(v[k], d);
        sum += q;
        codes |= ((uint32_t)q & 255) << 8 * k;
    }
    for (unsigned mask = 1; mask < 4; mask *= 2) sum += (int)swap_word((uint32_t)sum, mask);
    uint32_t other = swap_word((uint32_t)sum, 4);
    if (t >= a->cols / 4) return;
    unsigned g = t / 8, at = strip_of(groups / a->unit, g / a->unit) * a->unit + g % a->unit;
    *(uint32_t *)(a->codes + (size_t)row * a->cols + (size_t)at * 32 + 4 * (t % 8)) = codes;
    if (t % 8) return;
    struct group_of_row *group = a->group + (size_t)row * groups + at;
    group->d = d;
    group->sums = ((uint32_t)sum & 0xffffu) | other << 16;
}

#endif
