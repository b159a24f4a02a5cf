// Types whose scales are integers and whose codes are fields of bits: see types.h. A block is 256 weights.
#ifndef DEVICE_GPU_KERNELS_TYPES_K_H
#define DEVICE_GPU_KERNELS_TYPES_K_H

#include "bytes.h"

enum { GROUPS = 8 };

struct scales {
    float d, low;
};

#if TYPE == 10 // Q2_K: a byte for each half group's scale and minimum, the codes, d, dm
enum { BODY = 84, REST = 0, HALVES = 2, PIECE = 4, OFFSET = 1, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    fields(b + 16 + 32 * (i / 4), 2 * (i % 4), 3, w);
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(b + 80)), -float_of_half(half_at(b + 82))};
    return s;
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return b[2 * i + h] & 15; }
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return b[2 * i + h] >> 4; }

#elif TYPE == 11 // Q3_K: third bits, low pairs, sixteen scales of six bits
enum { BODY = 108, REST = 2, HALVES = 2, PIECE = 4, OFFSET = 0, ZERO = 4 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    fields(b + 32 + 32 * (i / 4), 2 * (i % 4), 3, w);
    add_fields(b, i, 1, 2, w);
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(rest)), 0};
    return s;
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) {
    unsigned j = 2 * i + h, low = b[96 + j % 8] >> 4 * (j / 8) & 15, high = b[104 + j % 4] >> 2 * (j / 4) & 3;
    return (int)(low | high << 4) - 32;
}
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return 0; }

#elif TYPE == 12 || TYPE == 13 // Q4_K, Q5_K: d, dm, eight scales and minima of six bits, fifth bits, nibbles
enum { BODY = TYPE == 12 ? 144 : 176, REST = 0, HALVES = 1, PIECE = TYPE == 12 ? 4 : 2, OFFSET = 1, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    fields(b + (TYPE == 12 ? 16 : 48) + 32 * (i / 2), 4 * (i % 2), 15, w);
    if (TYPE == 13) add_fields(b + 16, i, 1, 4, w);
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(b)), -float_of_half(half_at(b + 2))};
    return s;
}
// Of a block's first 16 bytes the second and third four as they would be if its second run were the first.
FN void scales_of_head(const struct quad *q, bool second, uint32_t *to) {
    to[0] = second ? (q->w[3] & ALL(15)) | (q->w[1] >> 2 & ALL(48)) : q->w[1] & ALL(63);
    to[1] = second ? (q->w[3] >> 4 & ALL(15)) | (q->w[2] >> 2 & ALL(48)) : q->w[2] & ALL(63);
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) {
    return i < 4 ? b[4 + i] & 63 : (b[8 + i] & 15) | b[i] >> 6 << 4;
}
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) {
    return i < 4 ? b[8 + i] & 63 : b[8 + i] >> 4 | b[4 + i] >> 6 << 4;
}

#elif TYPE == 14 // Q6_K: nibbles, high pairs, sixteen signed bytes
enum { BODY = 208, REST = 2, HALVES = 2, PIECE = 1, OFFSET = 0, ZERO = 32 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    fields(b + 64 * (i / 4) + 32 * (i % 2), 4 * (i % 4 / 2), 15, w);
    add_fields(b + 128 + 32 * (i / 4), 2 * (i % 4), 3, 4, w);
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(rest)), 0};
    return s;
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return (int8_t)b[192 + 2 * i + h]; }
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return 0; }

#elif TYPE == 23 // IQ4_XS: d, eight scales' high pairs and low nibbles, nibbles of codes
enum { BODY = 136, REST = 0, HALVES = 1, PIECE = 1, OFFSET = 0, ZERO = 0 };
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    const uint32_t table[4] = {0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u}; // as in types_float.h
    nibbles_of_words(b + 8 + 16 * i, w);
    look_up_all(table, w);
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(b)), 0};
    return s;
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) {
    return (int)((b[4 + i / 2] >> 4 * (i % 2) & 15) | (half_at(b + 2) >> 2 * i & 3) << 4) - 32;
}
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return 0; }

#elif TYPE == 34 || TYPE == 35 // TQ1_0, TQ2_0: -1, 0 or 1
enum { BODY = TYPE == 34 ? 52 : 64, REST = 2, HALVES = 1, PIECE = 4, OFFSET = 0, ZERO = 1 };
// Five digits of base 3 in a byte (tensor/unpack.h): those of groups 0 to 4 in 32 bytes, of the halves that follow in
// 16, of the last half four in each of four bytes. The digit of each of four bytes, two and two of them at a time.
FN uint32_t digits_of(uint32_t v, unsigned digit) {
    unsigned power = 1;
    for (unsigned n = 0; n < digit; n++) power *= 3;
    uint32_t even = (v & 0xff00ffu) * power & 0xff00ffu, odd = (v >> 8 & 0xff00ffu) * power & 0xff00ffu;
    return (even * 3 >> 8 & 0xff00ffu) | (odd * 3 & 0xff00ff00u);
}
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    if (TYPE == 35) {
        fields(b + 32 * (i / 4), 2 * (i % 4), 3, w);
        return;
    }
    for (unsigned k = 0; k < WORDS; k++) {
        unsigned half = 2 * i + k / 4, digit = i < 5 ? i : half < 15 ? half - 10 : k % 4;
        w[k] = digits_of(word_at(b + (i < 5 ? 4 * k : half < 15 ? 32 + 4 * (k % 4) : 48)), digit);
    }
}
FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {float_of_half(half_at(rest)), 0};
    return s;
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 1; }
FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return 0; }
#endif

#endif
