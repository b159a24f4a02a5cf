// Activations as products want them (docs/arithmetic.md): int8 for quantized weights, two planes of bytes for F16 and
// BF16; and the planes of such weights.
#include "chip.h"

#include "args.h"
#include "codes.h"
#include "fours.h"
#include "runs16.h"
#include "strips.h"

// BLOCK_X is the row; a thread has four elements.
EARLY_KERNEL(round_row, round_args) {
    unsigned t = BLOCK_Y * THREADS + THREAD, place = place_of_codes(&a, t);
    const float *x = a.x + (size_t)BLOCK_X * a.cols + 4 * (size_t)t;
    float v[4] = {0, 0, 0, 0};
    after_earlier();
    for (int k = 0; k < 4 && t < a.cols / 4; k++) v[k] = x[k];
    round_four_at(&a, BLOCK_X, t, place, v);
}

// Rounded and bounded.
FN int integer16(float x) {
    x = x < MAX16 ? x : MAX16;
    return integer_of_shifted((x > -MAX16 ? x : -MAX16) + SHIFT);
}

// x / d of four as integers; 0 where d is 0.
FN void integers16_of_floats(const float *v, float d, int *q) {
    float x[4];
    divide_four(v, d, x);
    UNROLL
    for (unsigned k = 0; k < 4; k++) q[k] = integer16(x[k]);
}

// A warp's worth of lanes has a run: RUN_FOURS times four neighbours each.
enum { RUN_LANES = 32, RUN_FOURS = 4 };

// The lane's four number i of a run, counted in the row's elements.
FN unsigned four_at(const struct run16 *run, unsigned i) {
    return run->first * 64 + 4 * (THREAD % RUN_LANES + RUN_LANES * i);
}
FN bool has_four(const struct run16 *run, unsigned i) { return THREAD % RUN_LANES + RUN_LANES * i < run->n * 16; }

// The largest magnitude of a run, in the order of magnitudes: NaN above all. All lanes come here.
FN uint32_t most_of_run(float (*v)[4]) {
    uint32_t most = 0;
    for (unsigned i = 0; i < RUN_FOURS; i++)
        for (unsigned k = 0; k < 4; k++) {
            uint32_t size = bits_of_float(v[i][k]) & 0x7fffffffu;
            most = size > most ? size : most;
        }
    for (unsigned mask = 1; mask < RUN_LANES; mask *= 2) {
        uint32_t other = swap_word(most, mask);
        most = other > most ? other : most;
    }
    return most;
}

// Four integers, each in two bytes; the low byte is signed.
FN void put_four(uint8_t *high, const int *v) {
    uint32_t h = 0, l = 0;
    for (unsigned k = 0; k < 4; k++) {
        h |= ((uint32_t)(v[k] + 128) >> 8 & 255) << 8 * k;
        l |= ((uint32_t)v[k] & 255) << 8 * k;
    }
    *(uint32_t *)high = h;
    *(uint32_t *)(high + PLANE16) = l;
}

// Where the lane's four number i goes.
FN uint8_t *place_of_four(uint8_t *planes, unsigned row, unsigned groups, unsigned at) {
    return planes + row16_at(row, groups) + (size_t)(at / 64) * GROUP16 + at % 64;
}

// BLOCK_X is the row; a block has RUNS16_OF_BLOCK runs of it.
KERNEL(round16, round16_args) {
    unsigned groups = groups16(a.cols), number = BLOCK_Y * RUNS16_OF_BLOCK + THREAD / RUN_LANES;
    const float *x = a.x + (size_t)BLOCK_X * a.cols;
    struct run16 run = {0, 0};
    if (number < a.runs) run = run16_of(groups, number);
    float v[RUN_FOURS][4];
    UNROLL
    for (unsigned i = 0; i < RUN_FOURS; i++)
        for (unsigned k = 0; k < 4; k++) {
            unsigned at = four_at(&run, i) + k;
            v[i][k] = has_four(&run, i) && at < a.cols ? x[at] : 0;
        }
    uint32_t most = most_of_run(v);
    bool finite = most < 0x7f800000u;
    float d = finite ? float_of_bits(most) / MAX16 : NAN;
    UNROLL
    for (unsigned i = 0; i < RUN_FOURS; i++) {
        if (!has_four(&run, i)) continue;
        int q[4];
        integers16_of_floats(v[i], finite ? d : 0, q);
        put_four(place_of_four(a.planes, BLOCK_X, groups, four_at(&run, i)), q);
    }
    if (number < a.runs && THREAD % RUN_LANES == 0) a.unit[unit16_at(BLOCK_X, a.runs) + (size_t)number * SLAB16] = d;
}

// The same of few rows: a run is the work of four warps' worth of lanes, which have one four each.
struct round16_room {
    uint32_t most[THREADS / RUN_LANES];
};
EARLY_KERNEL(round16_few, round16_args) {
    SHARED(struct round16_room, room);
    enum { OF_RUN = THREADS / FEW_RUNS16, WARPS = OF_RUN / RUN_LANES };
    unsigned groups = groups16(a.cols), number = BLOCK_Y * FEW_RUNS16 + THREAD / OF_RUN, lane = THREAD % OF_RUN;
    struct run16 run = {0, 0};
    if (number < a.runs) run = run16_of(groups, number);
    unsigned at = run.first * 64 + 4 * lane, n = lane < run.n * 16 && at < a.cols ? a.cols - at : 0;
    uint8_t *planes = place_of_four(a.planes, BLOCK_X, groups, at);
    float v[4];
    uint32_t most = 0;
    after_earlier();
    four_from(a.x + (size_t)BLOCK_X * a.cols + at, n, v);
    for (unsigned k = 0; k < 4; k++) most = larger(most, magnitude_of(v[k]));
    UNROLL
    for (unsigned mask = 1; mask < RUN_LANES; mask *= 2) most = larger(most, swap_word(most, mask));
    room->most[THREAD / RUN_LANES] = most;
    barrier();
    for (unsigned i = 0; i < WARPS; i++) most = larger(most, room->most[THREAD / OF_RUN * WARPS + i]);
    bool finite = most < 0x7f800000u;
    float d = finite ? float_of_bits(most) / MAX16 : NAN;
    int q[4];
    integers16_of_floats(v, finite ? d : 0, q);
    if (lane < run.n * 16) put_four(planes, q);
    if (number < a.runs && lane == 0) a.unit[unit16_at(BLOCK_X, a.runs) + (size_t)number * SLAB16] = d;
}

// The least e of at least -126 for which no magnitude divided by 2^e is above MAX16.
FN int exponent16(uint32_t most) {
    uint32_t bound = bits_of_float(MAX16) & 0x7fffffu;
    int e = (int)(most >> 23) - 127 - 14 + ((most & 0x7fffffu) > bound);
    return e > -126 ? e : -126;
}

FN float power_of_two(int e) { return float_of_bits((uint32_t)(e + 127) << 23); }

FN float weight16(const uint8_t *row, unsigned k, unsigned cols, bool bfloat) {
    if (k >= cols) return 0;
    uint32_t h = half_at(row + 2 * (size_t)k);
    return bfloat ? float_of_bits(h << 16) : float_of_half(h);
}

// The same of a row of weights, once, when they come to the card.
KERNEL(planes16, planes_args) {
    unsigned groups = groups16(a.cols), number = BLOCK_Y * RUNS16_OF_BLOCK + THREAD / RUN_LANES;
    const uint8_t *row = a.raw + (size_t)BLOCK_X * a.cols * 2;
    struct run16 run = {0, 0};
    if (number < a.runs) run = run16_of(groups, number);
    float v[RUN_FOURS][4];
    UNROLL
    for (unsigned i = 0; i < RUN_FOURS; i++)
        for (unsigned k = 0; k < 4; k++)
            v[i][k] = has_four(&run, i) ? weight16(row, four_at(&run, i) + k, a.cols, a.bfloat) : 0;
    uint32_t most = most_of_run(v);
    bool finite = most < 0x7f800000u;
    int e = exponent16(most);
    UNROLL
    for (unsigned i = 0; i < RUN_FOURS; i++) {
        if (!has_four(&run, i)) continue;
        int q[4];
        for (unsigned k = 0; k < 4; k++) q[k] = finite ? integer16(v[i][k] * power_of_two(-e)) : 0;
        put_four(place_of_four(a.planes, BLOCK_X, groups, four_at(&run, i)), q);
    }
    if (number < a.runs && THREAD % RUN_LANES == 0)
        a.unit[unit16_at(BLOCK_X, a.runs) + (size_t)number * SLAB16] = finite ? power_of_two(e + 8) : NAN;
}
