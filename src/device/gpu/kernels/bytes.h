// Codes of a few bits, four to a word, a byte each.
#ifndef DEVICE_GPU_KERNELS_BYTES_H
#define DEVICE_GPU_KERNELS_BYTES_H

#include "chip.h"

#define ALL(byte) ((uint32_t)(byte)*0x01010101u)

enum { WORDS = 8 }; // of a group of 32 codes

// The sum of half h of a group of activations (struct group_of_row).
FN int half_sum(uint32_t sums, unsigned h) { return (int16_t)(sums >> 16 * h); }

// The low four bits of v, a byte each.
FN uint32_t spread_bits(uint32_t v) { return (v & 15) * 0x00204081u & ALL(1); }

// The low four pairs of bits of v, a byte each.
FN uint32_t spread_pairs(uint32_t v) {
    return (v & 3) | (v << 6 & 0x300u) | (v << 12 & 0x30000u) | (v << 18 & 0x3000000u);
}

// 16 bytes' nibbles: the low ones first.
FN void nibbles(const uint8_t *p, uint32_t *w) {
    struct quad q = quad_at(p);
    for (int k = 0; k < 4; k++) {
        w[k] = q.w[k] & ALL(15);
        w[k + 4] = q.w[k] >> 4 & ALL(15);
    }
}

// The same where p is a multiple of four only.
FN void nibbles_of_words(const uint8_t *p, uint32_t *w) {
    for (int k = 0; k < 4; k++) {
        uint32_t v = word_at(p + 4 * k);
        w[k] = v & ALL(15);
        w[k + 4] = v >> 4 & ALL(15);
    }
}

// A field of each of 32 bytes.
FN void fields(const uint8_t *p, unsigned shift, uint32_t mask, uint32_t *w) {
    for (int k = 0; k < WORDS; k++) w[k] = word_at(p + 4 * k) >> shift & ALL(mask);
}

// Adds a field of each of 32 bytes, moved up.
FN void add_fields(const uint8_t *p, unsigned shift, uint32_t mask, unsigned up, uint32_t *w) {
    for (int k = 0; k < WORDS; k++) w[k] |= (word_at(p + 4 * k) >> shift & ALL(mask)) << up;
}

// What nibbles stand for, in a table of sixteen bytes.
FN uint32_t look_up(const uint32_t table[4], uint32_t nibble) {
    uint32_t high = (nibble >> 3 & ALL(1)) * 255, at = nibble & ALL(7);
    return (pick4(table[0], table[1], at) & ~high) | (pick4(table[2], table[3], at) & high);
}

FN void look_up_all(const uint32_t table[4], uint32_t *w) {
    for (int k = 0; k < WORDS; k++) w[k] = look_up(table, w[k]);
}

#endif
