// Types with a grid, IQ1 to IQ3: see types.h and tensor/unpack_grid.h. `grid` has the entries of the type's grid as the
// host resolved them (../grid.c): of eight or four bytes, for IQ2 and IQ3 magnitudes, for IQ1 eight times the digit. A
// block is 256 weights; its d, where it is apart, does not count in the numbers of bytes here.
#ifndef DEVICE_GPU_KERNELS_TYPES_GRID_H
#define DEVICE_GPU_KERNELS_TYPES_GRID_H

#include "bytes.h"

struct scales {
    float d, low;
};

// Two words of magnitudes with eight bits of signs. No magnitude is 0, so that no byte carries into the next.
FN void put_signed(uint32_t first, uint32_t second, unsigned signs, uint32_t *w) {
    uint32_t a = spread_bits(signs), b = spread_bits(signs >> 4);
    w[0] = (first ^ a * 255) + a;
    w[1] = (second ^ b * 255) + b;
}

// Seven bits of signs: the eighth makes their number even.
FN unsigned even_signs(unsigned seven) {
    unsigned odd = seven & 127;
    odd ^= odd >> 4;
    odd ^= odd >> 2;
    return (seven & 127) | ((odd ^ odd >> 1) & 1) << 7;
}

enum { GROUPS = 8, OFFSET = 0 };

#if TYPE == 16 // IQ2_XXS: for each group four codes, then four times seven signs, and the scale on top
enum { BODY = 64, REST = 2, HALVES = 1, PIECE = 2, ZERO = 0 };
#define D_BY 0.125f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    const uint8_t *p = b + 8 * i;
    uint32_t signs = word_at(p + 4);
    for (int k = 0; k < 4; k++) put_signed(grid[2 * p[k]], grid[2 * p[k] + 1], even_signs(signs >> 7 * k), w + 2 * k);
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[8 * i + 7] >> 4) + 1; }

#elif TYPE == 17 // IQ2_XS: nine bits of a code and seven of signs; scales
enum { BODY = 72, REST = 2, HALVES = 2, PIECE = 2, ZERO = 0 };
#define D_BY 0.125f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int k = 0; k < 4; k++) {
        unsigned two = half_at(b + 8 * i + 2 * k), code = two & 511;
        put_signed(grid[2 * code], grid[2 * code + 1], even_signs(two >> 9), w + 2 * k);
    }
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[64 + i] >> 4 * h & 15) + 1; }

#elif TYPE == 22 // IQ2_S: low eight bits of codes, signs, codes' high pairs, scales
enum { BODY = 80, REST = 2, HALVES = 2, PIECE = 2, ZERO = 0 };
#define D_BY 0.125f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int k = 0; k < 4; k++) {
        unsigned code = b[4 * i + k] | (b[64 + i] >> 2 * k & 3) << 8;
        put_signed(grid[2 * code], grid[2 * code + 1], b[32 + 4 * i + k], w + 2 * k);
    }
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[72 + i] >> 4 * h & 15) + 1; }

#elif TYPE == 18 // IQ3_XXS: codes, then for each group what IQ2_XXS has
enum { BODY = 96, REST = 2, HALVES = 1, PIECE = 2, ZERO = 0 };
#define D_BY 0.25f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    const uint8_t *p = b + 8 * i;
    uint32_t signs = word_at(b + 64 + 4 * i);
    for (int k = 0; k < 4; k++) put_signed(grid[p[2 * k]], grid[p[2 * k + 1]], even_signs(signs >> 7 * k), w + 2 * k);
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[67 + 4 * i] >> 4) + 1; }

#elif TYPE == 21 // IQ3_S: low eight bits of codes, their ninth ones, signs, scales
enum { BODY = 108, REST = 2, HALVES = 1, PIECE = 4, ZERO = 0 };
#define D_BY 1.0f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int k = 0; k < 4; k++) {
        const uint8_t *p = b + 8 * i + 2 * k;
        unsigned high = b[64 + i] >> 2 * k;
        put_signed(grid[p[0] | (high & 1) << 8], grid[p[1] | (high & 2) << 7], b[72 + 4 * i + k], w + 2 * k);
    }
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[104 + i / 2] >> 4 * (i % 2) & 15) + 1; }

#elif TYPE == 19 // IQ1_S: low eight bits of codes; for each group four times three high ones, the scale, the sign
enum { BODY = 48, REST = 2, HALVES = 1, PIECE = 4, ZERO = 9 };
#define D_BY 0.125f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    unsigned two = half_at(b + 32 + 2 * i);
    uint32_t up = two >> 15 ? 0 : ALL(2);
    for (int k = 0; k < 4; k++) {
        unsigned code = b[4 * i + k] | (two >> 3 * k & 7) << 8;
        w[2 * k] = grid[2 * code] + up;
        w[2 * k + 1] = grid[2 * code + 1] + up;
    }
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) { return 2 * (b[33 + 2 * i] >> 4 & 7) + 1; }

#elif TYPE == 29 // IQ1_M: low eight bits of codes, a nibble for each: three high ones and the sign; scales
enum { BODY = 56, REST = 0, HALVES = 2, PIECE = 4, ZERO = 9 };
#define D_BY 0.125f
FN void codes_of_group(const uint8_t *b, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (int k = 0; k < 4; k++) {
        unsigned four = b[32 + 2 * i + k / 2] >> 4 * (k % 2) & 15, code = b[4 * i + k] | (four & 7) << 8;
        uint32_t up = four >> 3 ? 0 : ALL(2);
        w[2 * k] = grid[2 * code] + up;
        w[2 * k + 1] = grid[2 * code + 1] + up;
    }
}
FN int scale_of_half(const uint8_t *b, unsigned i, unsigned h) {
    return (int)(2 * (half_at(b + 48 + 2 * (i / 2)) >> (6 * (i % 2) + 3 * h) & 7) + 1);
}
#endif

FN struct scales scales_of_block(const uint8_t *b, const uint8_t *rest) {
    struct scales s = {0, 0};
#if TYPE == 29 // four bits of it in each of four pairs of bytes
    uint32_t d = b[49] >> 4 | (b[51] & 0xf0u) | (b[53] & 0xf0u) << 4 | (b[55] & 0xf0u) << 8;
#else
    uint32_t d = half_at(rest);
#endif
    s.d = float_of_half(d) * D_BY;
    return s;
}

FN int minimum_of_half(const uint8_t *b, unsigned i, unsigned h) { return 0; }

#endif
