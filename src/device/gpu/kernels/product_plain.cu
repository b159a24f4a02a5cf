// Products with F32 weights, and with F16 and BF16 weights as integers in two planes (docs/arithmetic.md); rows of such
// tables. Eight neighbouring lanes have an output, one of its segments each.
#include "chip.h"

#include "args.h"
#include "choice.h"
#include "many16.h"
#include "runs16.h"

enum { TEAM = SEGMENTS };

// Sum of the eight lanes' segments, then the bias and the multiplier.
FN float finished(float sum, const float *bias, float by) {
    for (unsigned mask = 1; mask < TEAM; mask *= 2) sum += swap_float(sum, mask);
    if (bias) sum += *bias;
    return by != 1 ? sum * by : sum;
}

// BLOCK_Y is the row of activations. The padding counts: a sum may be -0 before it, and is 0 behind it.
KERNEL(product_f32, product_f_args) {
    unsigned o = (BLOCK_X * THREADS + THREAD) / TEAM, s = THREAD % TEAM, groups = a.cols / 32 + (a.cols % 32 != 0);
    bool mine = o < a.outputs;
    struct chosen_matrix m = {(const uint8_t *)a.w, (const uint8_t *)0, (const float *)0, a.bias, a.by, 0};
    if (!choose_matrix(&a.choice, BLOCK_Y, &m)) return;
    const float *w = (const float *)m.body + (size_t)o * groups * 32, *x = a.x + (size_t)BLOCK_Y * a.cols;
    unsigned first = strip_start(groups, s) * 32, end = mine ? strip_start(groups, s + 1) * 32 : 0;
    float acc = 0;
    for (unsigned k = first; k < end; k++) acc = fmaf(w[k], k < a.cols ? x[k] : 0, acc);
    acc = finished(acc, m.bias && mine ? m.bias + o : (const float *)0, m.by);
    if (mine && s == 0) a.y[(size_t)BLOCK_Y * a.outputs + o] = acc;
}

// 256 times the products of high bytes, and those of high and low ones.
FN int dot16(const uint8_t *w, const uint8_t *x, unsigned groups) {
    int high = 0, cross = 0;
    for (unsigned g = 0; g < groups; g++, w += 128, x += 128)
        for (unsigned k = 0; k < 64; k += 16) {
            struct quad wh = quad_at(w + k), wl = quad_at(w + 64 + k), xh = quad_at(x + k), xl = quad_at(x + 64 + k);
            for (int i = 0; i < 4; i++) {
                high = dot4(wh.w[i], xh.w[i], high);
                cross = dot4(wl.w[i], xh.w[i], dot4(wh.w[i], xl.w[i], cross));
            }
        }
    return 256 * high + cross;
}

KERNEL(product16, product16_args) {
    unsigned o = (BLOCK_X * THREADS + THREAD) / TEAM, s = THREAD % TEAM, groups = groups16(a.cols), number = 0;
    bool mine = o < a.outputs;
    struct chosen_matrix m = {a.w, (const uint8_t *)0, a.w_unit, a.bias, a.by, 0};
    if (!choose_matrix(&a.choice, BLOCK_Y, &m)) return;
    const uint8_t *w = m.body + (size_t)o * groups * 128, *x = a.x + (size_t)BLOCK_Y * groups * 128;
    const float *w_unit = m.unit + (size_t)o * a.runs, *x_unit = a.x_unit + (size_t)BLOCK_Y * a.runs;
    for (unsigned i = 0; i < s; i++) number += runs16_of(strip_length(groups, i));
    unsigned runs = mine ? runs16_of(strip_length(groups, s)) : 0;
    float acc = 0;
    for (unsigned i = number; i < number + runs; i++) {
        struct run16 run = run16_of(groups, i);
        int sum = dot16(w + (size_t)run.first * 128, x + (size_t)run.first * 128, run.n);
        acc = fmaf(w_unit[i] * x_unit[i], (float)sum, acc);
    }
    acc = finished(acc, m.bias && mine ? m.bias + o : (const float *)0, m.by);
    if (mine && s == 0) a.y[(size_t)BLOCK_Y * a.outputs + o] = acc;
}

// Many rows, on tensor cores: BLOCK_X has MANY_OUTPUTS outputs.
KERNEL(product16_many, product16_args) {
    SHARED(struct many16_room, room);
    multiply_many16(&a, room);
}

// BLOCK_X is the row, y goes along it.
KERNEL(embed_plain, embed_plain_args) {
    unsigned i = BLOCK_Y * THREADS + THREAD;
    if (i >= a.cols) return;
    bool floats = a.kind == PLAIN_FLOATS;
    size_t row = floats ? ((size_t)a.cols + 31) / 32 * 32 : a.cols, at = (size_t)a.ids[BLOCK_X] * row + i;
    float *y = a.y + (size_t)BLOCK_X * a.cols + i;
    if (floats) {
        *y = float_of_bits(word_at(a.raw + 4 * at));
        return;
    }
    uint32_t h = half_at(a.raw + 2 * at);
    *y = a.kind == PLAIN_BFLOATS ? float_of_bits(h << 16) : float_of_half(h);
}
