// IQ1, IQ2 and IQ3: blocks of 256 weights in which a code chooses several weights at once from a grid. The end of
// unpack.h, which includes it.
//
// An index of a weight is its digit in the grid's entry, with a bit on top: for IQ2 and IQ3 its sign, for IQ1 the sign
// of the eighth that all weights of its entry are off by. The 16 values of each type say what an index stands for; what
// a block's scale is multiplied by for that to be whole is in scales_TYPE().
#ifndef TENSOR_UNPACK_GRID_H
#define TENSOR_UNPACK_GRID_H

#include "tensor/unpack.h"

extern const char grid_iq1[], grid_iq2_xxs[], grid_iq2_xs[], grid_iq2_s[], grid_iq3_xxs[], grid_iq3_s[];

#define IQ1_VALUES                                                                                                     \
    { -7, 1, 9, 0, -9, -1, 7, 0 }
#define IQ2_VALUES                                                                                                     \
    { 8, 25, 43, 0, -8, -25, -43, 0 }
#define IQ3_XXS_VALUES                                                                                                 \
    { 4, 12, 20, 28, 36, 44, 52, 62, -4, -12, -20, -28, -36, -44, -52, -62 }
#define IQ3_S_VALUES                                                                                                   \
    { 1, 3, 5, 7, 9, 11, 13, 15, -1, -3, -5, -7, -9, -11, -13, -15 }

// A letter's number: from '(' on, without '?' (two of them could be a trigraph) and the backslash.
static inline unsigned grid_digits(char letter) { return (unsigned)letter - 40 - (letter > '?') - (letter > '\\'); }

// Four digits of base 3, a byte each.
static inline uint32_t grid_four(char letter) {
    unsigned v = grid_digits(letter);
    return v % 3 | v / 3 % 3 << 8 | v / 9 % 3 << 16 | v / 27 << 24;
}

// Entry k of a grid of eights, and entries k and l of a grid of fours.
static inline uint64_t grid_eight(const char *grid, unsigned k) {
    return grid_four(grid[2 * k]) | (uint64_t)grid_four(grid[2 * k + 1]) << 32;
}

static inline uint64_t grid_fours(const char *grid, unsigned k, unsigned l) {
    uint64_t out = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t v = grid_digits(grid[2 * (i < 2 ? k : l) + i % 2]);
        out |= (v % 8 | v / 8 << 8) << 16 * i;
    }
    return out;
}

// Seven bits of signs: the eighth makes their number even.
static inline unsigned even_signs(unsigned seven) {
    return (seven & 127) | (unsigned)__builtin_parity(seven & 127) << 7;
}

static inline uint32_t word_at(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Scales are odd numbers: their nibbles (or three bits) say 2 n + 1. The first half's and the second's.
static inline uint16_t odd_scales(unsigned first, unsigned second) {
    return (uint16_t)((2 * first + 1) | (2 * second + 1) << 8);
}

static inline void scales_iq2_xxs(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b) * 0.125f;
    for (int i = 0; i < 8; i++) s->word[i] = odd_scales(b[9 + 8 * i] >> 4, b[9 + 8 * i] >> 4);
}

// A group: four codes, then four times seven bits of signs, and the scale on top.
static inline void index_iq2_xxs(const uint8_t *b, unsigned i, bytes32 *u) {
    const uint8_t *p = b + 2 + 8 * i;
    uint64_t v[4];
    for (int k = 0; k < 4; k++)
        v[k] = grid_eight(grid_iq2_xxs, p[k]) | bytes_of_bits(even_signs(word_at(p + 4) >> 7 * k)) << 2;
    memcpy(u, v, sizeof v);
}

static inline void scales_iq2_xs(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b) * 0.125f;
    for (int i = 0; i < 8; i++) s->word[i] = odd_scales(b[66 + i] & 15, b[66 + i] >> 4);
}

// Nine bits of a code, seven of signs.
static inline void index_iq2_xs(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (int k = 0; k < 4; k++) {
        unsigned two = b[2 + 8 * i + 2 * k] | b[3 + 8 * i + 2 * k] << 8;
        v[k] = grid_eight(grid_iq2_xs, two & 511) | bytes_of_bits(even_signs(two >> 9)) << 2;
    }
    memcpy(u, v, sizeof v);
}

static inline void scales_iq2_s(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b) * 0.125f;
    for (int i = 0; i < 8; i++) s->word[i] = odd_scales(b[74 + i] & 15, b[74 + i] >> 4);
}

// The low eight bits of codes, then all signs, then the codes' high pairs.
static inline void index_iq2_s(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++) {
        unsigned code = b[2 + 4 * i + k] | (b[66 + i] >> 2 * k & 3) << 8;
        v[k] = grid_eight(grid_iq2_s, code) | bytes_of_bits(b[34 + 4 * i + k]) << 2;
    }
    memcpy(u, v, sizeof v);
}

static inline void scales_iq3_xxs(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b) * 0.25f;
    for (int i = 0; i < 8; i++) s->word[i] = odd_scales(b[69 + 4 * i] >> 4, b[69 + 4 * i] >> 4);
}

// All codes of eight bits, then for each group what IQ2_XXS has.
static inline void index_iq3_xxs(const uint8_t *b, unsigned i, bytes32 *u) {
    const uint8_t *p = b + 2 + 8 * i;
    uint64_t v[4];
    for (int k = 0; k < 4; k++)
        v[k] = grid_fours(grid_iq3_xxs, p[2 * k], p[2 * k + 1]) |
               bytes_of_bits(even_signs(word_at(b + 66 + 4 * i) >> 7 * k)) << 3;
    memcpy(u, v, sizeof v);
}

static inline void scales_iq3_s(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b);
    for (int i = 0; i < 8; i++) {
        unsigned n = b[106 + i / 2] >> 4 * (i % 2) & 15;
        s->word[i] = odd_scales(n, n);
    }
}

// The low eight bits of codes, their ninth ones, the signs.
static inline void index_iq3_s(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++) {
        unsigned high = b[66 + i] >> 2 * k;
        const uint8_t *p = b + 2 + 8 * i + 2 * k;
        v[k] = grid_fours(grid_iq3_s, p[0] | (high & 1) << 8, p[1] | (high >> 1 & 1) << 8) |
               bytes_of_bits(b[74 + 4 * i + k]) << 3;
    }
    memcpy(u, v, sizeof v);
}

static inline void scales_iq1_s(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b) * 0.125f;
    for (int i = 0; i < 8; i++) s->word[i] = odd_scales(b[35 + 2 * i] >> 4 & 7, b[35 + 2 * i] >> 4 & 7);
}

// The low eight bits of codes; then for each group four times three high ones, the scale, the sign.
static inline void index_iq1_s(const uint8_t *b, unsigned i, bytes32 *u) {
    unsigned two = b[34 + 2 * i] | b[35 + 2 * i] << 8;
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++)
        v[k] = grid_eight(grid_iq1, b[4 * i + 2 + k] | (two >> 3 * k & 7) << 8) | EIGHT_OF(two >> 15) << 2;
    memcpy(u, v, sizeof v);
}

// The last eight bytes: in each two of them four scales of three bits, and four bits of the block's own scale.
static inline uint16_t iq1_m_scale(const uint8_t *b) {
    return (uint16_t)(b[49] >> 4 | (b[51] & 0xf0) | (b[53] & 0xf0) << 4 | (b[55] & 0xf0) << 8);
}

static inline void scales_iq1_m(const uint8_t *b, struct scales *s) {
    for (int k = 0; k < 4; k++) {
        unsigned two = b[48 + 2 * k] | b[49 + 2 * k] << 8;
        s->word[2 * k] = odd_scales(two & 7, two >> 3 & 7);
        s->word[2 * k + 1] = odd_scales(two >> 6 & 7, two >> 9 & 7);
    }
    s->d = half_to_float(iq1_m_scale(b)) * 0.125f;
}

// The low eight bits of codes; then a nibble for each: three high ones and the sign.
static inline void index_iq1_m(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (unsigned k = 0; k < 4; k++) {
        unsigned four = b[32 + 2 * i + k / 2] >> 4 * (k % 2) & 15;
        v[k] = grid_eight(grid_iq1, b[4 * i + k] | (four & 7) << 8) | EIGHT_OF(four >> 3) << 2;
    }
    memcpy(u, v, sizeof v);
}

#define GRID_CODES(name, list)                                                                                         \
    static inline void codes_##name(const uint8_t *b, unsigned i, bytes32 *q) {                                        \
        static const int8_t values[16] = list;                                                                         \
        index_##name(b, i, q);                                                                                         \
        look_up(values, q);                                                                                            \
    }
GRID_CODES(iq1_s, IQ1_VALUES)
GRID_CODES(iq1_m, IQ1_VALUES)
GRID_CODES(iq2_xxs, IQ2_VALUES)
GRID_CODES(iq2_xs, IQ2_VALUES)
GRID_CODES(iq2_s, IQ2_VALUES)
GRID_CODES(iq3_xxs, IQ3_XXS_VALUES)
GRID_CODES(iq3_s, IQ3_S_VALUES)

#endif
