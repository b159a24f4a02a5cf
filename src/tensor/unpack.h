// The quantized block formats, inline: what a block's bytes say. The layouts are ggml's (ggml-common.h), as the `gguf`
// package documents them in quants.py. Kernels include this file to compile it for their own instruction set.
//
// For each type, scales_TYPE() reads the scales of block `b`, and codes_TYPE() the 32 codes of its group i. Numbers are
// little-endian, as is every machine this is compiled for.
#ifndef TENSOR_UNPACK_H
#define TENSOR_UNPACK_H

#include "tensor/float16.h"
#include "tensor/type.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// A block's scales. Those of its groups stay packed, a word a group, so that kernels can take many apart at once.
struct scales {
    float d, dm;
    uint16_t word[8];
};

enum word {
    WORD_NONE,    // no sub-scales: 1
    WORD_BYTES,   // a signed byte for each half's scale
    WORD_NIBBLES, // from the lowest: scale and minimum of the first half, then of the second
    WORD_PAIR,    // a byte for the group's scale, one for its minimum
    WORD_E4M3,    // a float of 8 bits without sign for each half's scale, counted in steps of its smallest, 2^-9
};

#define EIGHT_OF(byte) ((byte)*UINT64_C(0x0101010101010101))

typedef uint8_t bytes16 __attribute__((vector_size(16)));
typedef uint8_t bytes32 __attribute__((vector_size(32), may_alias)); // may be written over other vectors

static inline float scale_at(const uint8_t *p) { return half_to_float((uint16_t)(p[0] | p[1] << 8)); }

// 32 bytes' fields of some bits: (byte >> shift) & mask. Shifted as 64-bit words; what crosses from a byte into its
// neighbour is masked off.
static inline void fields(const uint8_t *src, unsigned shift, uint8_t mask, bytes32 *out) {
    uint64_t v __attribute__((vector_size(32)));
    memcpy(&v, src, sizeof v);
    *out = (bytes32)(v >> shift) & mask;
}

// 16 bytes' nibbles: the low ones first.
static inline void nibbles(const uint8_t *qs, bytes32 *out) {
    uint64_t v[2], low = EIGHT_OF(15);
    memcpy(v, qs, sizeof v);
    uint64_t all __attribute__((vector_size(32))) = {v[0] & low, v[1] & low, v[0] >> 4 & low, v[1] >> 4 & low};
    *out = (bytes32)all;
}

// The fifth bit of weight i is bit i of a 32-bit word. Each byte of the word is spread over eight, each of which keeps
// its bit; adding 127 carries whatever is there into the top.
static inline void add_fifth_bits(const uint8_t *qh, bytes32 *u) {
    uint64_t v[4];
    for (int i = 0; i < 4; i++) {
        v[i] = EIGHT_OF(qh[i]) & UINT64_C(0x8040201008040201);
        v[i] = (((v[i] & EIGHT_OF(127)) + EIGHT_OF(127)) | v[i]) >> 3 & EIGHT_OF(16);
    }
    bytes32 high;
    memcpy(&high, v, sizeof high);
    *u |= high;
}

static inline void scales_q4_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void codes_q4_0(const uint8_t *b, unsigned i, bytes32 *q) {
    nibbles(b + 2, q);
    *q -= 8;
}

static inline void scales_q4_1(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b);
    s->dm = -scale_at(b + 2);
}

static inline void codes_q4_1(const uint8_t *b, unsigned i, bytes32 *q) { nibbles(b + 4, q); }

static inline void scales_q5_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void codes_q5_0(const uint8_t *b, unsigned i, bytes32 *q) {
    nibbles(b + 6, q);
    add_fifth_bits(b + 2, q);
    *q -= 16;
}

static inline void scales_q5_1(const uint8_t *b, struct scales *s) { scales_q4_1(b, s); }

static inline void codes_q5_1(const uint8_t *b, unsigned i, bytes32 *q) {
    nibbles(b + 8, q);
    add_fifth_bits(b + 4, q);
}

static inline void scales_q8_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void codes_q8_0(const uint8_t *b, unsigned i, bytes32 *q) { memcpy(q, b + 2, sizeof *q); }

// Half j's scale and minimum are the nibbles of byte j.
static inline void scales_q2_k(const uint8_t *b, struct scales *s) {
    s->d = scale_at(b + 80);
    s->dm = scale_at(b + 82);
    memcpy(s->word, b, sizeof s->word);
}

static inline void codes_q2_k(const uint8_t *b, unsigned i, bytes32 *q) {
    fields(b + 16 + 32 * (i / 4), 2 * (i % 4), 3, q);
}

// Sixteen 6-bit scales: scale j has its low four bits in nibble j / 8 of byte j % 8, its high two in field j / 4 of
// byte 8 + j % 4; 32 is taken off.
static inline void scales_q3_k(const uint8_t *b, struct scales *s) {
    uint64_t low;
    uint32_t high;
    memcpy(&low, b + 96, sizeof low);
    memcpy(&high, b + 104, sizeof high);
    const uint64_t four = EIGHT_OF(15), two = EIGHT_OF(3), h = high;
    uint64_t v[2] = {(low & four) | ((h | h >> 2 << 32) & two) << 4, (low >> 4 & four) | ((h >> 4 | h >> 6 << 32) & two)
                                                                                             << 4};
    for (int k = 0; k < 2; k++) v[k] = ((v[k] | EIGHT_OF(128)) - EIGHT_OF(32)) ^ EIGHT_OF(128);
    memcpy(s->word, v, sizeof s->word);
    s->d = scale_at(b + 108);
}

// The third bit is in the mask at the block's start; 4 is taken off where it is not set.
static inline void codes_q3_k(const uint8_t *b, unsigned i, bytes32 *q) {
    bytes32 high;
    fields(b + 32 + 32 * (i / 4), 2 * (i % 4), 3, q);
    fields(b, i, 1, &high);
    *q = (*q | high << 2) - 4;
}

// Eight pairs of 6-bit scale and minimum in twelve bytes: the first four pairs in the low six bits of bytes 0-3 and
// 4-7; of the last four, the low nibbles in bytes 8-11 and the high two bits on top of bytes 0-7.
static inline void scales_q4_k(const uint8_t *b, struct scales *s) {
    uint32_t v[3];
    uint8_t sc[8], mn[8];
    memcpy(v, b + 4, sizeof v);
    const uint32_t six = 0x3f3f3f3f, four = 0x0f0f0f0f, top = 0x30303030;
    uint32_t scale[2] = {v[0] & six, (v[2] & four) | (v[0] >> 2 & top)};
    uint32_t minimum[2] = {v[1] & six, (v[2] >> 4 & four) | (v[1] >> 2 & top)};
    memcpy(sc, scale, sizeof sc);
    memcpy(mn, minimum, sizeof mn);
    for (int i = 0; i < 8; i++) s->word[i] = (uint16_t)(sc[i] | mn[i] << 8);
    s->d = scale_at(b);
    s->dm = scale_at(b + 2);
}

static inline void codes_q4_k(const uint8_t *b, unsigned i, bytes32 *q) {
    fields(b + 16 + 32 * (i / 2), 4 * (i % 2), 15, q);
}

static inline void scales_q5_k(const uint8_t *b, struct scales *s) { scales_q4_k(b, s); }

static inline void codes_q5_k(const uint8_t *b, unsigned i, bytes32 *q) {
    bytes32 high;
    fields(b + 48 + 32 * (i / 2), 4 * (i % 2), 15, q);
    fields(b + 16, i, 1, &high);
    *q |= high << 4;
}

static inline void scales_q6_k(const uint8_t *b, struct scales *s) {
    memcpy(s->word, b + 192, sizeof s->word);
    s->d = scale_at(b + 208);
}

static inline void codes_q6_k(const uint8_t *b, unsigned i, bytes32 *q) {
    bytes32 high;
    fields(b + 64 * (i / 4) + 32 * (i % 2), 4 * (i % 4 / 2), 15, q);
    fields(b + 128 + 32 * (i / 4), 2 * (i % 4), 3, &high);
    *q = (*q | high << 4) - 32;
}

// What the 16 codes of a type stand for. IQ4: steps that grow with the distance from zero, as the density of normal
// weights falls. MXFP4: twice the E2M1 values of the OCP Microscaling Formats specification, so that all are whole.
#define IQ4_VALUES                                                                                                     \
    { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113 }
#define MXFP4_VALUES                                                                                                   \
    { 0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12 }

// Codes, below 16, to what they stand for.
static inline void look_up(const int8_t values[16], bytes32 *q) {
#if defined(__AVX2__)
    __m128i v;
    memcpy(&v, values, sizeof v);
    *q = (bytes32)_mm256_shuffle_epi8(_mm256_broadcastsi128_si256(v), (__m256i)*q);
#else
    uint8_t c[32];
    memcpy(c, q, sizeof c);
    for (int i = 0; i < 32; i++) c[i] = (uint8_t)values[c[i]];
    memcpy(q, c, sizeof c);
#endif
}

static inline void scales_iq4_nl(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void codes_iq4_nl(const uint8_t *b, unsigned i, bytes32 *q) {
    static const int8_t values[16] = IQ4_VALUES;
    nibbles(b + 2, q);
    look_up(values, q);
}

// Eight 6-bit scales, one a group: the high two bits in the word after d, the low four in the nibbles after that; 32 is
// taken off. Both halves of a group have the same.
static inline void scales_iq4_xs(const uint8_t *b, struct scales *s) {
    unsigned high = (unsigned)(b[2] | b[3] << 8);
    for (unsigned i = 0; i < 8; i++) {
        unsigned low = b[4 + i / 2] >> 4 * (i % 2) & 15, scale = (low | (high >> 2 * i & 3) << 4) - 32;
        s->word[i] = (uint16_t)((scale & 255) * 0x101);
    }
    s->d = scale_at(b);
}

static inline void codes_iq4_xs(const uint8_t *b, unsigned i, bytes32 *q) {
    static const int8_t values[16] = IQ4_VALUES;
    nibbles(b + 8 + 16 * i, q);
    look_up(values, q);
}

// The scale's byte is E8M0, a power of two: 2^(e - 127); halved, since the values are doubled. The two smallest halves
// are subnormal floats.
static inline float e8m0_half(uint8_t e) { return float_of_bits(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23); }

static inline void scales_mxfp4(const uint8_t *b, struct scales *s) { s->d = e8m0_half(b[0]); }

static inline void codes_mxfp4(const uint8_t *b, unsigned i, bytes32 *q) {
    static const int8_t values[16] = MXFP4_VALUES;
    nibbles(b + 1, q);
    look_up(values, q);
}

// Four floats of 8 bits, then for each 16 weights eight bytes, weight i in the low half of byte i and i + 8 beside it.
// Half of each scale counts, since the values are doubled. As in ggml, the sign is not looked at and NaN is 0, but with
// a sign, where it is 480.
static inline uint8_t clean_e4m3(uint8_t v) { return v == 127 ? 0 : v & 127; }
static inline int e4m3_steps(int v) { return v < 8 ? v : ((v & 7) | 8) << ((v >> 3) - 1); }

static inline void scales_nvfp4(const uint8_t *b, struct scales *s) {
    s->d = 0x1p-10f;
    for (int i = 0; i < 2; i++) s->word[i] = (uint16_t)(clean_e4m3(b[2 * i]) | clean_e4m3(b[2 * i + 1]) << 8);
}

static inline void index_nvfp4(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (int h = 0; h < 2; h++) {
        memcpy(&v[2 * h], b + 4 + 16 * i + 8 * h, 8);
        v[2 * h + 1] = v[2 * h] >> 4 & EIGHT_OF(15);
        v[2 * h] &= EIGHT_OF(15);
    }
    memcpy(u, v, sizeof v);
}

static inline void codes_nvfp4(const uint8_t *b, unsigned i, bytes32 *q) {
    static const int8_t values[16] = MXFP4_VALUES;
    index_nvfp4(b, i, q);
    look_up(values, q);
}

// Eight bits, a byte each.
static inline uint64_t bytes_of_bits(unsigned bits) {
    uint64_t v = EIGHT_OF(bits & 255) & UINT64_C(0x8040201008040201);
    return (((v & EIGHT_OF(127)) + EIGHT_OF(127)) | v) >> 7 & EIGHT_OF(1);
}

// A bit each: -1 or 1.
static inline void scales_q1_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void index_q1_0(const uint8_t *b, unsigned i, bytes32 *u) {
    uint64_t v[4];
    for (int k = 0; k < 4; k++) v[k] = bytes_of_bits(b[2 + 4 * i + k]);
    memcpy(u, v, sizeof v);
}

static inline void codes_q1_0(const uint8_t *b, unsigned i, bytes32 *q) {
    index_q1_0(b, i, q);
    *q = *q + *q - 1;
}

// Two bits each, from -1 to 2, four neighbours in a byte.
static inline void scales_q2_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b); }

static inline void codes_q2_0(const uint8_t *b, unsigned i, bytes32 *q) {
    uint8_t v[32];
    for (unsigned k = 0; k < 32; k++) v[k] = b[2 + 8 * i + k / 4] >> 2 * (k % 4) & 3;
    memcpy(q, v, sizeof v);
    *q -= 1;
}

static inline void scales_tq2_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b + 64); }

static inline void codes_tq2_0(const uint8_t *b, unsigned i, bytes32 *q) {
    fields(b + 32 * (i / 4), 2 * (i % 4), 3, q);
    *q -= 1;
}

static inline void scales_tq1_0(const uint8_t *b, struct scales *s) { s->d = scale_at(b + 52); }

// Five digits of base 3 in a byte, as a fraction of 256: three times what is left after the point is the next digit and
// what is left then. 32 bytes have a digit of each of groups 0 to 4, 16 bytes of the halves that follow, and of the
// last half four bytes have four digits each.
static inline void codes_tq1_0(const uint8_t *b, unsigned i, bytes32 *q) {
    static const uint8_t power[5] = {1, 3, 9, 27, 81};
    uint8_t v[32];
    for (unsigned k = 0; k < 32; k++) {
        unsigned half = 2 * i + k / 16, digit = i < 5 ? i : half < 15 ? half - 10 : k % 16 / 4;
        v[k] = (uint8_t)(b[i < 5 ? k : half < 15 ? 32 + k % 16 : 48 + k % 4] * power[digit]);
    }
    for (int k = 0; k < 32; k++) v[k] = (uint8_t)(v[k] * 3 >> 8);
    memcpy(q, v, sizeof v);
    *q -= 1;
}

#include "tensor/unpack_grid.h"

// X(TYPE, name, bytes and groups of a block, what its words are, whether dm is used) for every quantized type.
#define QUANTIZED_TYPES(X)                                                                                             \
    X(Q4_0, q4_0, 18, 1, WORD_NONE, false)                                                                             \
    X(Q4_1, q4_1, 20, 1, WORD_NONE, true)                                                                              \
    X(Q5_0, q5_0, 22, 1, WORD_NONE, false)                                                                             \
    X(Q5_1, q5_1, 24, 1, WORD_NONE, true)                                                                              \
    X(Q8_0, q8_0, 34, 1, WORD_NONE, false)                                                                             \
    X(Q2_K, q2_k, 84, 8, WORD_NIBBLES, true)                                                                           \
    X(Q3_K, q3_k, 110, 8, WORD_BYTES, false)                                                                           \
    X(Q4_K, q4_k, 144, 8, WORD_PAIR, true)                                                                             \
    X(Q5_K, q5_k, 176, 8, WORD_PAIR, true)                                                                             \
    X(Q6_K, q6_k, 210, 8, WORD_BYTES, false)                                                                           \
    X(IQ4_NL, iq4_nl, 18, 1, WORD_NONE, false)                                                                         \
    X(IQ4_XS, iq4_xs, 136, 8, WORD_BYTES, false)                                                                       \
    X(MXFP4, mxfp4, 17, 1, WORD_NONE, false)                                                                           \
    X(NVFP4, nvfp4, 36, 2, WORD_E4M3, false)                                                                           \
    X(IQ1_S, iq1_s, 50, 8, WORD_BYTES, false)                                                                          \
    X(IQ1_M, iq1_m, 56, 8, WORD_BYTES, false)                                                                          \
    X(IQ2_XXS, iq2_xxs, 66, 8, WORD_BYTES, false)                                                                      \
    X(IQ2_XS, iq2_xs, 74, 8, WORD_BYTES, false)                                                                        \
    X(IQ2_S, iq2_s, 82, 8, WORD_BYTES, false)                                                                          \
    X(IQ3_XXS, iq3_xxs, 98, 8, WORD_BYTES, false)                                                                      \
    X(IQ3_S, iq3_s, 110, 8, WORD_BYTES, false)                                                                         \
    X(TQ1_0, tq1_0, 54, 8, WORD_NONE, false)                                                                           \
    X(TQ2_0, tq2_0, 66, 8, WORD_NONE, false)                                                                           \
    X(Q1_0, q1_0, 18, 4, WORD_NONE, false)                                                                             \
    X(Q2_0, q2_0, 18, 2, WORD_NONE, false)

#endif
