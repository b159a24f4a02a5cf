// K types: the scales that lose least (fit.h), packed.
#include <string.h>

#include "tensor/encode.h"
#include "tensor/fit.h"

enum { N = 256 };

static void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

// Twelve bytes of 6-bit scales and minima: see pair_of_scales() in unpack.h.
static void pack_pairs(const struct fit *s, uint8_t *p) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(s->sc[i] | s->sc[i + 4] >> 4 << 6);
        p[4 + i] = (uint8_t)(s->mn[i] | s->mn[i + 4] >> 4 << 6);
        p[8 + i] = (uint8_t)((s->sc[i + 4] & 15) | (s->mn[i + 4] & 15) << 4);
    }
}

// ORs field `value` of weight i into bytes of `per` fields: group g of 32 lies `shift` bits up in bytes of its own.
static void put_fields(const uint8_t u[N], int bits, int per, uint8_t mask, uint8_t *p) {
    for (int i = 0; i < N; i++) {
        int g = i / 32;
        p[32 * (g / per) + i % 32] |= (uint8_t)((u[i] & mask) << bits * (g % per));
    }
}

static void put_bit(const uint8_t u[N], int bit, uint8_t *p) {
    for (int i = 0; i < N; i++) p[i % 32] |= (uint8_t)((u[i] >> bit & 1) << i / 32);
}

void encode_q2_k(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 84) {
        struct fit s;
        memset(b, 0, 84);
        fit_above(src + i, 16, 16, 3, 15, &s);
        for (int r = 0; r < 16; r++) b[r] = (uint8_t)(s.sc[r] | s.mn[r] << 4);
        put_fields(s.u, 2, 4, 3, b + 16);
        put16(b + 80, s.d);
        put16(b + 82, s.dm);
    }
}

void encode_q3_k(const float *src, size_t n, void *row) {
    static const struct values values = {-4, 3, NULL};
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 110) {
        struct fit s;
        memset(b, 0, 110);
        fit_scaled(src + i, 16, 16, &values, 32, &s);
        put_bit(s.u, 2, b);
        put_fields(s.u, 2, 4, 3, b + 32);
        for (int r = 0; r < 16; r++) {
            int v = s.sc[r] + 32;
            b[96 + r % 8] |= (uint8_t)((v & 15) << 4 * (r / 8));
            b[104 + r % 4] |= (uint8_t)((v >> 4) << 2 * (r / 4));
        }
        put16(b + 108, s.d);
    }
}

void encode_q4_k(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 144) {
        struct fit s;
        memset(b, 0, 144);
        fit_above(src + i, 8, 32, 15, 63, &s);
        put16(b, s.d);
        put16(b + 2, s.dm);
        pack_pairs(&s, b + 4);
        put_fields(s.u, 4, 2, 15, b + 16);
    }
}

void encode_q5_k(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 176) {
        struct fit s;
        memset(b, 0, 176);
        fit_above(src + i, 8, 32, 31, 63, &s);
        put16(b, s.d);
        put16(b + 2, s.dm);
        pack_pairs(&s, b + 4);
        put_bit(s.u, 4, b + 16);
        put_fields(s.u, 4, 2, 15, b + 48);
    }
}

void encode_q6_k(const float *src, size_t n, void *row) {
    static const struct values values = {-32, 31, NULL};
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 210) {
        struct fit s;
        memset(b, 0, 210);
        fit_scaled(src + i, 16, 16, &values, 128, &s);
        for (int k = 0; k < N; k++) {
            int g = k / 32;
            b[64 * (g / 4) + 32 * (g % 2) + k % 32] |= (uint8_t)((s.u[k] & 15) << 4 * (g % 4 / 2));
            b[128 + 32 * (g / 4) + k % 32] |= (uint8_t)(s.u[k] >> 4 << 2 * (g % 4));
        }
        memcpy(b + 192, s.sc, 16);
        put16(b + 208, s.d);
    }
}
