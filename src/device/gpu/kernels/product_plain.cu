// Products with F32 weights (docs/arithmetic.md): eight neighbouring lanes have an output, one of its segments each. Rows
// of tables of F32, F16 and BF16.
#include "chip.h"

#include "args.h"
#include "choice.h"
#include "strips.h"

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
