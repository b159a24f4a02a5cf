// What a lane takes of a group of weights on tensor cores, in two steps, so that memory has time in between: raw words
// first, codes and scales of them later (many.h). A lane has words k and k + 4 of a group's eight.
//
//   raw_of_group(body, own, rest, i, grid, k)   of group i of a block; own is body + 4 * k
//   codes_of_raw(raw, k, w)                w[0], w[1]: codes without their zero point, times 2^LIFT
//   scale_of_raw(raw, h)                   where scales are floats: of half h; and low_of_raw(raw)
#ifndef DEVICE_GPU_KERNELS_RAW_H
#define DEVICE_GPU_KERNELS_RAW_H

#include "types.h"

struct raw {
    uint32_t w[2], scale;
};

// Codes that are raised by ZERO, without it.
FN uint32_t lowered(uint32_t w) { return ZERO ? (w + ALL((0x80 - ZERO) & 255)) ^ ALL(0x80) : w; }

FN uint32_t one_of_four(const uint32_t *w, unsigned i) { return i & 2 ? (i & 1 ? w[3] : w[2]) : i & 1 ? w[1] : w[0]; }

#if TYPE == 2 || TYPE == 3 || TYPE == 6 || TYPE == 7 || TYPE == 8 || TYPE == 20 || TYPE == 39
FN uint32_t raw_scale(const uint8_t *rest) { return REST == 1 ? *rest : REST == 2 ? half_at(rest) : word_at(rest); }
#endif

#if TYPE == 2 || TYPE == 3 || TYPE == 20 || TYPE == 39 // nibbles
enum { LIFT = TYPE == 2 ? 4 : 0 };
FN struct raw raw_of_group(const uint8_t *b, const uint8_t *own, const uint8_t *rest, unsigned i, const uint32_t *grid,
                           unsigned k) {
    struct raw r = {{word_at(own), 0}, raw_scale(rest)};
    return r;
}
FN void codes_of_raw(const struct raw *r, unsigned k, uint32_t *w) {
#if TYPE == 2 // in the upper half of bytes n - 8 is n with its highest bit turned
    uint32_t turned = r->w[0] ^ ALL(0x88);
    FORGET_WORD(turned); // or this is done to each half
    w[0] = turned << 4 & ALL(0xf0);
    w[1] = turned & ALL(0xf0);
#elif TYPE == 3
    w[0] = r->w[0] & ALL(15);
    w[1] = r->w[0] >> 4 & ALL(15);
#else
#if TYPE == 20
    const uint32_t table[4] = IQ4_TABLE;
#else
    const uint32_t table[4] = MXFP4_TABLE;
#endif
    w[0] = look_up(table, r->w[0] & ALL(15));
    w[1] = look_up(table, r->w[0] >> 4 & ALL(15));
#endif
}

#elif TYPE == 6 || TYPE == 7 // fifth bits and nibbles
enum { LIFT = 0 };
FN struct raw raw_of_group(const uint8_t *b, const uint8_t *own, const uint8_t *rest, unsigned i, const uint32_t *grid,
                           unsigned k) {
    struct raw r = {{word_at(b), word_at(own + 4)}, raw_scale(rest)};
    return r;
}
FN void codes_of_raw(const struct raw *r, unsigned k, uint32_t *w) {
    uint32_t fifth = r->w[0] >> 4 * k;
    w[0] = lowered((r->w[1] & ALL(15)) | spread_bits(fifth) << 4);
    w[1] = lowered((r->w[1] >> 4 & ALL(15)) | spread_bits(fifth >> 16) << 4);
}

#elif TYPE == 8 // bytes
enum { LIFT = 0 };
FN struct raw raw_of_group(const uint8_t *b, const uint8_t *own, const uint8_t *rest, unsigned i, const uint32_t *grid,
                           unsigned k) {
    struct raw r = {{word_at(own), word_at(own + 16)}, raw_scale(rest)};
    return r;
}
FN void codes_of_raw(const struct raw *r, unsigned k, uint32_t *w) {
    w[0] = r->w[0];
    w[1] = r->w[1];
}

#elif TYPE == 10 || TYPE == 12 // fields
enum { LIFT = 0 };
FN struct raw raw_of_group(const uint8_t *b, const uint8_t *own, const uint8_t *rest, unsigned i, const uint32_t *grid,
                           unsigned k) {
    const uint8_t *p = own + 16 + (TYPE == 10 ? 32 * (i / 4) : 32 * (i / 2));
    unsigned shift = TYPE == 10 ? 2 * (i % 4) : 4 * (i % 2);
    uint32_t mask = TYPE == 10 ? ALL(3) : ALL(15);
    struct raw r = {{word_at(p) >> shift & mask, word_at(p + 16) >> shift & mask}, 0};
    return r;
}
FN void codes_of_raw(const struct raw *r, unsigned k, uint32_t *w) {
    w[0] = r->w[0];
    w[1] = r->w[1];
}

#else // the whole group is unpacked, and two words of it kept
enum { LIFT = 0 };
FN struct raw raw_of_group(const uint8_t *b, const uint8_t *own, const uint8_t *rest, unsigned i, const uint32_t *grid,
                           unsigned k) {
    uint32_t all[WORDS];
    codes_of_group(b, i, grid, all);
    struct raw r = {{one_of_four(all, k), one_of_four(all + 4, k)}, 0};
#if TYPE == 40
    r.scale = half_at(b + 2 * i);
#elif TYPE == 41 || TYPE == 42
    r.scale = half_at(rest);
#endif
    return r;
}
FN void codes_of_raw(const struct raw *r, unsigned k, uint32_t *w) {
    w[0] = lowered(r->w[0]);
    w[1] = lowered(r->w[1]);
}
#endif

#if TYPE == 39
FN float scale_of_raw(const struct raw *r, unsigned h) { return scale_of_byte(r->scale); }
#elif TYPE == 40
FN float scale_of_raw(const struct raw *r, unsigned h) {
    return 0x1p-10f * (float)scale_of_eight(r->scale >> 8 * h & 255);
}
#else
FN float scale_of_raw(const struct raw *r, unsigned h) { return float_of_half(r->scale); }
#endif
FN float low_of_raw(const struct raw *r) { return float_of_half(r->scale >> 16); }

#endif
