// A tile's blocks in vectors: for each type, tile_scales_TYPE() gives the scales of a block and planes_TYPE() the codes
// of a group as w[0..7]. See tile.h for the layout.
#ifndef DEVICE_CPU_UNPACK_TILE_H
#define DEVICE_CPU_UNPACK_TILE_H

#include "device/cpu/tile.h"
#include "device/cpu/wide.h"
#include "tensor/unpack.h"

// A block's scales: for each group, or half, `s` and, where the type has an offset, `m`; those of a block with integer
// scales are to be multiplied by d and dm (the latter less than 0), and its minima are in `least`, too, four of a row
// side by side. What is NULL of m and `least` is not asked for.
struct tile_scales {
    wf *s, *m, *d, *dm;
    w8 *least;
};

// Minima, sixteen rows' of each group or half.
INLINE void put_minima(const uint8_t *from, int n, struct tile_scales t) {
    uint8_t fours[64];
    for (int i = 0; t.m && i < n; i++) t.m[i] = wf_u8(from + 16 * i);
    for (int i = 0; t.least && i < n / 4; i++, from += 64) {
        for (int row = 0; row < 16; row++)
            for (int k = 0; k < 4; k++) fours[4 * row + k] = from[16 * k + row];
        t.least[i] = w8_load(fours);
    }
}

INLINE void planes4(const uint8_t *p, w8 w[8]) {
    for (int i = 0; i < 4; i++) {
        w8 v = w8_load(p + 64 * i);
        w[i] = w8_field(v, 0, 15);
        w[i + 4] = w8_field(v, 4, 15);
    }
}

INLINE void planes1_by_twos(const uint8_t *p, w8 w[8]) {
    w8 v = w8_load(p);
    UNROLL(8)
    for (int i = 0; i < 8; i++) w[i] = w8_field(v, i - 1, 2);
}

INLINE void planes2(const uint8_t *p, w8 w[8]) {
    for (int i = 0; i < 2; i++) {
        w8 v = w8_load(p + 64 * i);
        w[i] = w8_field(v, 0, 3);
        w[i + 2] = w8_field(v, 2, 3);
        w[i + 4] = w8_field(v, 4, 3);
        w[i + 6] = w8_field(v, 6, 3);
    }
}

INLINE void planes3(const uint8_t *p, w8 w[8]) {
    w8 v[3] = {w8_load(p), w8_load(p + 64), w8_load(p + 128)};
    for (int i = 0; i < 3; i++) {
        w[2 * i] = w8_field(v[i], 0, 7);
        w[2 * i + 1] = w8_field(v[i], 3, 7);
    }
    w[6] = w8_or(w8_field(v[0], 6, 3), w8_field(v[1], 4, 4));
    w[7] = w8_or(w8_field(v[2], 6, 3), w8_field(v[1], 5, 4));
}

INLINE void planes5(const uint8_t *p, w8 w[8]) {
    w8 v[5];
    for (int i = 0; i < 5; i++) {
        v[i] = w8_load(p + 64 * i);
        w[i] = w8_field(v[i], 0, 31);
    }
    w[5] = w8_or(w8_field(v[0], 5, 7), w8_field(v[1], 2, 24));
    w[6] = w8_or(w8_field(v[2], 5, 7), w8_field(v[3], 2, 24));
    w[7] = w8_or(w8_or(w8_field(v[4], 5, 7), w8_field(v[1], 4, 8)), w8_field(v[3], 3, 16));
}

INLINE void planes6(const uint8_t *p, w8 w[8]) {
    w8 v[6];
    for (int i = 0; i < 6; i++) {
        v[i] = w8_load(p + 64 * i);
        w[i] = w8_field(v[i], 0, 63);
    }
    for (int i = 0; i < 2; i++)
        w[6 + i] = w8_or(w8_or(w8_field(v[3 * i], 6, 3), w8_field(v[3 * i + 1], 4, 12)), w8_field(v[3 * i + 2], 2, 48));
}

INLINE void planes_q4_0(const uint8_t *p, w8 w[8]) { planes4(p, w); }
INLINE void planes_q4_1(const uint8_t *p, w8 w[8]) { planes4(p, w); }
INLINE void planes_q4_k(const uint8_t *p, w8 w[8]) { planes4(p, w); }
INLINE void planes_q2_k(const uint8_t *p, w8 w[8]) { planes2(p, w); }

INLINE void planes_q5_0(const uint8_t *p, w8 w[8]) { planes5(p, w); }
INLINE void planes_q5_1(const uint8_t *p, w8 w[8]) { planes5(p, w); }
INLINE void planes_q5_k(const uint8_t *p, w8 w[8]) { planes5(p, w); }
INLINE void planes_q3_k(const uint8_t *p, w8 w[8]) { planes3(p, w); }
INLINE void planes_q6_k(const uint8_t *p, w8 w[8]) { planes6(p, w); }

INLINE void planes_q8_0(const uint8_t *p, w8 w[8]) {
    for (int j = 0; j < 8; j++) w[j] = w8_signed(w8_load(p + 64 * j));
}

INLINE void planes_iq4_nl(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {1, 24, 45, 63, 79, 93, 106, 118, 129, 141, 153, 166, 181, 197, 217, 241};
    planes4(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_signed(w8_lookup(raised, w[j]));
}

INLINE void planes_iq4_xs(const uint8_t *p, w8 w[8]) { planes_iq4_nl(p, w); }

INLINE void planes_mxfp4(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
    planes4(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_lookup(raised, w[j]);
}

INLINE void planes_nvfp4(const uint8_t *p, w8 w[8]) { planes_mxfp4(p, w); }
INLINE void planes_tq1_0(const uint8_t *p, w8 w[8]) { planes2(p, w); }
INLINE void planes_tq2_0(const uint8_t *p, w8 w[8]) { planes2(p, w); }
INLINE void planes_q2_0(const uint8_t *p, w8 w[8]) { planes2(p, w); }
INLINE void planes_q1_0(const uint8_t *p, w8 w[8]) { planes1_by_twos(p, w); }

// The values of tensor/unpack_grid.h, raised so that the lowest is 0.
INLINE void planes_iq1_s(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {2, 10, 18, 0, 0, 8, 16};
    planes3(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_lookup(raised, w[j]);
}

INLINE void planes_iq1_m(const uint8_t *p, w8 w[8]) { planes_iq1_s(p, w); }

INLINE void planes_iq2_xxs(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {51, 68, 86, 0, 35, 18, 0};
    planes3(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_lookup(raised, w[j]);
}

INLINE void planes_iq2_xs(const uint8_t *p, w8 w[8]) { planes_iq2_xxs(p, w); }
INLINE void planes_iq2_s(const uint8_t *p, w8 w[8]) { planes_iq2_xxs(p, w); }

INLINE void planes_iq3_xxs(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {66, 74, 82, 90, 98, 106, 114, 124, 58, 50, 42, 34, 26, 18, 10, 0};
    planes4(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_lookup(raised, w[j]);
}

INLINE void planes_iq3_s(const uint8_t *p, w8 w[8]) {
    static const uint8_t raised[16] = {16, 18, 20, 22, 24, 26, 28, 30, 14, 12, 10, 8, 6, 4, 2, 0};
    planes4(p, w);
    for (int j = 0; j < 8; j++) w[j] = w8_lookup(raised, w[j]);
}

#define ONE_SCALE(name)                                                                                                \
    INLINE void tile_scales_##name(const uint8_t *b, struct tile_scales t) { t.s[0] = wf_f16(b); }
ONE_SCALE(q4_0)
ONE_SCALE(q5_0)
ONE_SCALE(q8_0)
ONE_SCALE(iq4_nl)

// One scale for several groups.
#define SAME_SCALE(name, groups)                                                                                       \
    INLINE void tile_scales_##name(const uint8_t *b, struct tile_scales t) {                                           \
        for (int g = 0; g < groups; g++) t.s[g] = wf_f16(b);                                                           \
    }
SAME_SCALE(q1_0, 4)
SAME_SCALE(q2_0, 2)

INLINE void tile_scales_tq1_0(const uint8_t *b, struct tile_scales t) {
    *t.d = wf_f16(b);
    for (int g = 0; g < 8; g++) t.s[g] = wf_fill(1);
}

INLINE void tile_scales_tq2_0(const uint8_t *b, struct tile_scales t) { tile_scales_tq1_0(b, t); }

INLINE void tile_scales_mxfp4(const uint8_t *b, struct tile_scales t) { t.s[0] = wf_e8m0(b); }

INLINE void tile_scales_q4_1(const uint8_t *b, struct tile_scales t) {
    t.s[0] = wf_f16(b);
    t.m[0] = wf_f16(b + 32);
}

INLINE void tile_scales_q5_1(const uint8_t *b, struct tile_scales t) { tile_scales_q4_1(b, t); }

INLINE void tile_scales_q2_k(const uint8_t *b, struct tile_scales t) {
    *t.d = wf_f16(b);
    *t.dm = wf_neg(wf_f16(b + 32));
    uint8_t sc[256], mn[256];
    for (int i = 0; i < 4; i++) {
        w8 v = w8_load(b + 64 + 64 * i);
        w8_store(sc + 64 * i, w8_field(v, 0, 15));
        w8_store(mn + 64 * i, w8_field(v, 4, 15));
    }
    for (int h = 0; h < 16; h++) t.s[h] = wf_u8(sc + 16 * h);
    put_minima(mn, 16, t);
}

INLINE void tile_scales_q3_k(const uint8_t *b, struct tile_scales t) {
    wf raise = wf_fill(-32);
    w8 low[2] = {w8_load(b + 32), w8_load(b + 96)}, high = w8_load(b + 160);
    uint8_t sc[256];
    *t.d = wf_f16(b);
    UNROLL(4)
    for (int q = 0; q < 4; q++)
        w8_store(sc + 64 * q, w8_or(w8_field(low[q % 2], q / 2 * 4, 15), w8_field(high, 2 * q - 4, 48)));
    for (int h = 0; h < 16; h++) t.s[h] = wf_add(wf_u8(sc + 16 * h), raise);
}

INLINE void tile_scales_q6_k(const uint8_t *b, struct tile_scales t) {
    *t.d = wf_f16(b);
    for (int h = 0; h < 16; h++) t.s[h] = wf_s8(b + 32 + 16 * h);
}

// Eight numbers of 6 bits for each row.
INLINE void six_bits(const uint8_t *p, uint8_t out[128]) {
    w8 v = w8_load(p);
    w8_store(out, w8_field(v, 0, 63));
    w8_store(out + 64, w8_or(w8_pair(p + 64), w8_field(v, 2, 48)));
}

INLINE void tile_scales_q4_k(const uint8_t *b, struct tile_scales t) {
    uint8_t sc[128], mn[128];
    *t.d = wf_f16(b);
    *t.dm = wf_neg(wf_f16(b + 32));
    six_bits(b + 64, sc);
    six_bits(b + 160, mn);
    for (int g = 0; g < 8; g++) t.s[g] = wf_u8(sc + 16 * g);
    put_minima(mn, 8, t);
}

INLINE void tile_scales_q5_k(const uint8_t *b, struct tile_scales t) { tile_scales_q4_k(b, t); }

INLINE void tile_scales_iq4_xs(const uint8_t *b, struct tile_scales t) {
    wf raise = wf_fill(-32);
    uint8_t sc[128];
    *t.d = wf_f16(b);
    six_bits(b + 32, sc);
    for (int g = 0; g < 8; g++) t.s[g] = wf_add(wf_u8(sc + 16 * g), raise);
}

// Moved into a half's place, the bits of an E4M3 are its value times 2^-8; half of it is wanted.
INLINE void tile_scales_nvfp4(const uint8_t *b, struct tile_scales t) {
    uint16_t half[64];
    for (int i = 0; i < 64; i++) half[i] = (uint16_t)(b[i] << 7);
    for (int h = 0; h < 4; h++) t.s[h] = wf_mul(wf_f16(half + 16 * h), wf_fill(128));
}

// 2 n + 1, for n in each of so many rows of nibbles' halves; d is the file's times `unit`.
INLINE void odd_scales_of(const uint8_t *b, float unit, int rows, struct tile_scales t) {
    uint8_t n[256];
    *t.d = wf_mul(wf_f16(b), wf_fill(unit));
    for (int i = 0; i < rows / 4; i++) {
        w8 v = w8_load(b + 32 + 64 * i);
        w8_store(n + 64 * i, w8_field(v, 0, 15));
        w8_store(n + 16 * rows + 64 * i, w8_field(v, 4, 15));
    }
    for (int i = 0; i < 2 * rows; i++) t.s[i] = wf_fma(wf_u8(n + 16 * i), wf_fill(2), wf_fill(1));
}

#define ODD_SCALES(name, unit, rows)                                                                                   \
    INLINE void tile_scales_##name(const uint8_t *b, struct tile_scales t) { odd_scales_of(b, unit, rows, t); }
ODD_SCALES(iq1_s, 0.125f, 4)
ODD_SCALES(iq1_m, 0.125f, 8)
ODD_SCALES(iq2_xxs, 0.125f, 4)
ODD_SCALES(iq2_xs, 0.125f, 8)
ODD_SCALES(iq2_s, 0.125f, 8)
ODD_SCALES(iq3_xxs, 0.25f, 4)
ODD_SCALES(iq3_s, 1, 4)

#endif
