// Types whose scales are floats: see types.h. A block is 32 weights but where GROUPS says otherwise.
#ifndef DEVICE_GPU_KERNELS_TYPES_FLOAT_H
#define DEVICE_GPU_KERNELS_TYPES_FLOAT_H

#include "bytes.h"

// -127 -104 -83 -65, -49 -35 -22 -10, 1 13 25 38, 53 69 89 113
#define IQ4_TABLE                                                                                                      \
    { 0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u }
// 0 1 2 3, 4 6 8 12, and these negative
#define MXFP4_TABLE                                                                                                    \
    { 0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu }

#if TYPE == 2 // Q4_0
enum { GROUPS = 1, BODY = 16, REST = 2, HALVES = 1, PIECE = 0, OFFSET = 0, ZERO = 8 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) { nibbles(b, w); }

#elif TYPE == 3 // Q4_1
enum { GROUPS = 1, BODY = 16, REST = 4, HALVES = 1, PIECE = 0, OFFSET = 1, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) { nibbles(b, w); }

#elif TYPE == 6 || TYPE == 7 // Q5_0, Q5_1: a word of fifth bits, then nibbles
enum { GROUPS = 1, BODY = 20, REST = TYPE == 6 ? 2 : 4, HALVES = 1, PIECE = 0, OFFSET = TYPE == 7 };
enum { ZERO = TYPE == 6 ? 16 : 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    uint32_t fifth = word_at(b);
    nibbles_of_words(b + 4, w);
    for (int k = 0; k < WORDS; k++) w[k] |= spread_bits(fifth >> 4 * k) << 4;
}

#elif TYPE == 8 // Q8_0
enum { GROUPS = 1, BODY = 32, REST = 2, HALVES = 1, PIECE = 0, OFFSET = 0, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int h = 0; h < 2; h++) {
        struct quad q = quad_at(b + 16 * h);
        for (int k = 0; k < 4; k++) w[4 * h + k] = q.w[k];
    }
}

#elif TYPE == 20 || TYPE == 39 // IQ4_NL, MXFP4
enum { GROUPS = 1, BODY = 16, REST = TYPE == 20 ? 2 : 1, HALVES = 1, PIECE = 0, OFFSET = 0, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
#if TYPE == 20
    const uint32_t table[4] = IQ4_TABLE;
#else
    const uint32_t table[4] = MXFP4_TABLE;
#endif
    nibbles(b, w);
    look_up_all(table, w);
}

#elif TYPE == 40 // NVFP4: four scales, then for each 16 weights eight bytes
enum { GROUPS = 2, BODY = 36, REST = 0, HALVES = 2, PIECE = 0, OFFSET = 0, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    const uint32_t table[4] = MXFP4_TABLE;
    for (int k = 0; k < 4; k++) {
        uint32_t v = word_at(b + 4 + 16 * i + 4 * k);
        w[k / 2 * 4 + k % 2] = v & ALL(15);
        w[k / 2 * 4 + k % 2 + 2] = v >> 4 & ALL(15);
    }
    look_up_all(table, w);
}

#elif TYPE == 41 // Q1_0
enum { GROUPS = 4, BODY = 16, REST = 2, HALVES = 1, PIECE = 0, OFFSET = 0, ZERO = 1 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    uint32_t bits = word_at(b + 4 * i);
    for (int k = 0; k < WORDS; k++) w[k] = spread_bits(bits >> 4 * k) << 1;
}

#elif TYPE == 42 // Q2_0
enum { GROUPS = 2, BODY = 16, REST = 2, HALVES = 1, PIECE = 0, OFFSET = 0, ZERO = 1 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int k = 0; k < WORDS; k++) w[k] = spread_pairs(b[8 * i + k]);
}
#endif

// d, and what is added to it for each weight's offset.
struct scales {
    float d, low;
};

// A power of two, halved: the two smallest are subnormal.
FN float scale_of_byte(uint32_t b) { return float_of_bits(b < 2 ? 0x200000u << b : (b - 1) << 23); }

// A float of eight bits without sign, in steps of its smallest.
FN int scale_of_eight(unsigned v) {
    v = v == 127 ? 0 : v & 127;
    return (int)(v < 8 ? v : ((v & 7) | 8) << ((v >> 3) - 1));
}

FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {0, 0};
#if TYPE == 39
    s.d = scale_of_byte(rest[0]);
#elif TYPE == 40
    s.d = 0x1p-10f;
#else
    s.d = float_of_half(half_at(rest));
    if (OFFSET) s.low = float_of_half(half_at(rest + 2));
#endif
    return s;
}

FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) {
#if TYPE == 40
    return scale_of_eight(b[2 * i + h]);
#else
    return 1;
#endif
}

FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return OFFSET; }

#endif
