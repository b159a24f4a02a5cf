// Activations as products want them (docs/arithmetic.md): int8 for quantized weights, two planes of bytes for F16 and
// BF16; and the planes of such weights.
#include "chip.h"

#include "args.h"
#include "rows.h"
#include "runs16.h"
#include "strips.h"

// An element as a code: a float that is an integer of at most 127, ties to even; 0 where the scale is 0.
FN int code_of(float x, float d) {
    float q = x / (d == 0 ? INFINITY : d);
    q = q < 127.0f ? q : 127.0f;
    return integer_of_shifted((q > -127.0f ? q : -127.0f) + SHIFT);
}

// BLOCK_X is the row; a thread has four elements, eight lanes a group, and 32 a run of four groups.
KERNEL(round_row, round_args) {
    unsigned t = BLOCK_Y * THREADS + THREAD, words = a.cols / 4, lanes = 8 * a.run;
    const float *x = a.x + (size_t)BLOCK_X * a.cols + 4 * (size_t)t;
    float v[4] = {0, 0, 0, 0};
    uint32_t most = 0;
    for (int k = 0; k < 4 && t < words; k++) {
        v[k] = x[k];
        uint32_t size = bits_of_float(v[k]) & 0x7fffffffu; // in the order of magnitudes, NaN above all
        most = size > most ? size : most;
    }
    for (unsigned mask = 1; mask < lanes; mask *= 2) {
        uint32_t other = swap_word(most, mask);
        most = other > most ? other : most;
    }
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
    if (t >= words) return;
    unsigned g = t / 8, at = strip_of(a.cols / 32 / a.unit, g / a.unit) * a.unit + g % a.unit;
    *(uint32_t *)(a.codes + (size_t)BLOCK_X * a.cols + (size_t)at * 32 + 4 * (t % 8)) = codes;
    if (t % 8) return;
    struct group_of_row *group = a.group + (size_t)BLOCK_X * (a.cols / 32) + at;
    group->d = d;
    group->sums = ((uint32_t)sum & 0xffffu) | other << 16;
}

// Rounded and bounded.
FN int integer16(float x) {
    x = x < MAX16 ? x : MAX16;
    return integer_of_shifted((x > -MAX16 ? x : -MAX16) + SHIFT);
}

// An integer in two bytes of a group of 64: high at i, low 64 bytes on.
FN void put16(uint8_t *group, unsigned i, int v) {
    int high = (v + 128) >> 8;
    group[i] = (uint8_t)high;
    group[64 + i] = (uint8_t)(v - 256 * high);
}

struct most_room {
    uint32_t most[THREADS / 32];
};

// The run BLOCK_Y of row BLOCK_X of activations.
KERNEL(round16, round16_args) {
    SHARED(struct most_room, room);
    struct run16 run = run16_of(groups16(a.cols), BLOCK_Y);
    const float *x = a.x + (size_t)BLOCK_X * a.cols;
    uint8_t *planes = a.planes + ((size_t)BLOCK_X * groups16(a.cols) + run.first) * 128;
    uint32_t most = 0;
    for (unsigned i = THREAD; i < run.n * 64; i += THREADS) {
        unsigned k = run.first * 64 + i;
        uint32_t size = k < a.cols ? bits_of_float(x[k]) & 0x7fffffffu : 0;
        most = size > most ? size : most;
    }
    most = most_of_block(most, room->most);
    bool finite = most < 0x7f800000u;
    float d = finite ? float_of_bits(most) / MAX16 : NAN;
    for (unsigned i = THREAD; i < run.n * 64; i += THREADS) {
        unsigned k = run.first * 64 + i;
        float v = finite && k < a.cols ? x[k] : 0;
        put16(planes + i / 64 * 128, i % 64, d == 0 || !finite ? 0 : integer16(v / d));
    }
    if (THREAD == 0) a.unit[(size_t)BLOCK_X * a.runs + BLOCK_Y] = d;
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

// The run BLOCK_Y of row BLOCK_X of weights, once, when they come to the card.
KERNEL(planes16, planes_args) {
    SHARED(struct most_room, room);
    struct run16 run = run16_of(groups16(a.cols), BLOCK_Y);
    const uint8_t *row = a.raw + (size_t)BLOCK_X * a.cols * 2;
    uint8_t *planes = a.planes + ((size_t)BLOCK_X * groups16(a.cols) + run.first) * 128;
    uint32_t most = 0;
    for (unsigned i = THREAD; i < run.n * 64; i += THREADS) {
        uint32_t size = bits_of_float(weight16(row, run.first * 64 + i, a.cols, a.bfloat)) & 0x7fffffffu;
        most = size > most ? size : most;
    }
    most = most_of_block(most, room->most);
    bool finite = most < 0x7f800000u;
    int e = exponent16(most);
    for (unsigned i = THREAD; i < run.n * 64; i += THREADS) {
        float v = finite ? weight16(row, run.first * 64 + i, a.cols, a.bfloat) : 0;
        put16(planes + i / 64 * 128, i % 64, finite ? integer16(v * power_of_two(-e)) : 0);
    }
    if (THREAD == 0) a.unit[(size_t)BLOCK_X * a.runs + BLOCK_Y] = finite ? power_of_two(e + 8) : NAN;
}
