// Rounding activations to int8 (docs/arithmetic.md, "Products with quantized weights").
#ifndef DEVICE_GPU_KERNELS_CODES_H
#define DEVICE_GPU_KERNELS_CODES_H

#include "chip.h"

#include "args.h"
#include "strips.h"

// In the order of magnitudes, NaN above all.
FN uint32_t magnitude_of(float x) { return bits_of_float(x) & 0x7fffffffu; }
FN uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

// A float that is an integer of at most 127 once it is rounded, ties to even.
FN int code_of_quotient(float q) {
    q = q < 127.0f ? q : 127.0f;
    return integer_of_shifted((q > -127.0f ? q : -127.0f) + SHIFT);
}

// x / d of several x, by r = 1 / d: rounded as a division rounds it, where d and x / d are well inside float's range.
// The first correction is within a place of x / d, the second one exact (Markstein, "Computation of elementary
// functions on the IBM RISC System/6000 processor", 1990, theorem 8.4). Smaller ones are off, and small.
FN float divided(float x, float d, float r) {
    float q = x * r;
    q = fmaf(fmaf(-d, q, x), r, q);
    return fmaf(fmaf(-d, q, x), r, q);
}

// x / d of four; 0 where d is 0.
FN void divide_four(const float *x, float d, float *q) {
    if (d > 0x1p-80f && d < 0x1p80f) {
        float r = 1.0f / d;
        UNROLL
        for (int k = 0; k < 4; k++) q[k] = divided(x[k], d, r);
        return;
    }
    UNROLL
    for (int k = 0; k < 4; k++) q[k] = d == 0 ? 0 : x[k] / d;
}

// Elements as codes; 0 where the scale is 0.
FN void codes_of_floats(const float *v, float d, int *q) {
    float x[4];
    divide_four(v, d, x);
    UNROLL
    for (int k = 0; k < 4; k++) q[k] = code_of_quotient(x[k]);
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
    int q[4];
    codes_of_floats(v, c.d, q);
    for (int k = 0; k < 4; k++) {
        c.sum[0] += q[k];
        c.codes |= ((uint32_t)q[k] & 255) << 8 * k;
    }
    for (unsigned mask = 1; mask < 4; mask *= 2) c.sum[0] += (int)swap_word((uint32_t)c.sum[0], mask);
    c.sum[1] = (int)swap_word((uint32_t)c.sum[0], 4);
    return c;
}

FN uint32_t both_halves(const struct four_codes *c) {
    return ((uint32_t)c->sum[0] & 0xffffu) | (uint32_t)c->sum[1] << 16;
}

// Where the group of elements 4 t .. 4 t + 3 lies. Divisions take their time: who has to wait for elements asks before.
FN unsigned place_of_codes(const struct round_args *a, unsigned t) {
    unsigned n = a->cols / 32 / a->unit, g = t / 8, at = g;
    if (t < a->cols / 4) at = strip_of(n, g / a->unit) * a->unit + g % a->unit;
    return kept(at);
}

// Elements 4 t .. 4 t + 3 of a row, put where products of few rows take them.
FN void round_four_at(const struct round_args *a, unsigned row, unsigned t, unsigned at, const float *v) {
    struct four_codes c = codes_of_four(v, 8 * a->run);
    if (t >= a->cols / 4) return;
    *(uint32_t *)(a->codes + (size_t)row * a->cols + (size_t)at * 32 + 4 * (t % 8)) = c.codes;
    if (t % 8) return;
    struct group_of_row *group = a->group + (size_t)row * (a->cols / 32) + at;
    group->d = c.d;
    group->sums = both_halves(&c);
}

FN void round_four(const struct round_args *a, unsigned row, unsigned t, const float *v) {
    round_four_at(a, row, t, place_of_codes(a, t), v);
}

// A block has THREADS elements of a row, each of a thread's own; a quarter of the threads round them, with `place` of
// place_of_codes() for those.
struct round_room {
    ALIGNED16 float x[THREADS];
};
enum { ROUNDING = THREADS / 4 };
FN unsigned four_of_thread(unsigned block) { return block * ROUNDING + THREAD % ROUNDING; }
FN void round_block(const struct round_args *a, unsigned row, unsigned block, unsigned place, float own,
                    struct round_room *room) {
    room->x[THREAD] = own;
    barrier();
    if (THREAD >= ROUNDING) return;
    struct quad q = quad_at(room->x + 4 * THREAD);
    float v[4];
    for (unsigned k = 0; k < 4; k++) v[k] = float_of_bits(q.w[k]);
    round_four_at(a, row, four_of_thread(block), place, v);
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
