// The 64-byte vectors of wide.h in plain C: what they mean.
#ifndef DEVICE_CPU_WIDE_SCALAR_H
#define DEVICE_CPU_WIDE_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/float16.h"

// All inlined, compilers take minutes.
#define INLINE    static inline
#define WIDE_ROWS 2
enum { FETCHED = 2, AT_ONCE = 2, FEW = 2, FEW_ROWS = 2, WIDE_TILES = 1, WIDE_CHAINS = 2, WIDE_SIGNED_ZERO = 0 };

typedef struct {
    uint8_t v[64];
} w8;
typedef struct {
    int32_t v[16];
} w32;
typedef struct {
    float v[16];
} wf;

#define EACH(n, expression)                                                                                            \
    do {                                                                                                               \
        for (int i = 0; i < n; i++) r.v[i] = expression;                                                               \
        return r;                                                                                                      \
    } while (0)

INLINE w8 w8_load(const void *p) {
    w8 r;
    memcpy(&r, p, sizeof r);
    return r;
}

INLINE void w8_store(void *p, w8 v) { memcpy(p, &v, sizeof v); }

INLINE w8 w8_or(w8 a, w8 b) {
    w8 r;
    EACH(64, a.v[i] | b.v[i]);
}

INLINE w8 w8_field(w8 v, int right, uint8_t mask) {
    w8 r;
    EACH(64, (uint8_t)((right >= 0 ? v.v[i] >> right : v.v[i] << -right) & mask));
}

INLINE w8 w8_pair(const void *p) {
    const uint8_t *b = p;
    w8 r;
    EACH(64, i < 32 ? b[i] & 15 : b[i - 32] >> 4);
}

INLINE w8 w8_lookup(const uint8_t table[16], w8 v) {
    w8 r;
    EACH(64, table[v.v[i] & 15]);
}

INLINE w8 w8_signed(w8 v) {
    w8 r;
    EACH(64, v.v[i] ^ 128);
}

INLINE w32 w32_zero(void) { return (w32){{0}}; }

INLINE w32 w32_fill(const void *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    w32 r;
    EACH(16, x);
}

INLINE w32 w32_dot(w32 acc, w8 u, w32 a) {
    int8_t x[64];
    memcpy(x, &a, sizeof x);
    w32 r;
    EACH(16, acc.v[i] + u.v[4 * i] * x[4 * i] + u.v[4 * i + 1] * x[4 * i + 1] + u.v[4 * i + 2] * x[4 * i + 2] +
                 u.v[4 * i + 3] * x[4 * i + 3]);
}

INLINE w32 w32_dot_signed(w32 acc, w8 w, w32 a) {
    int8_t s[64], x[64];
    memcpy(s, &w, sizeof s);
    memcpy(x, &a, sizeof x);
    w32 r;
    EACH(16, acc.v[i] + s[4 * i] * x[4 * i] + s[4 * i + 1] * x[4 * i + 1] + s[4 * i + 2] * x[4 * i + 2] +
                 s[4 * i + 3] * x[4 * i + 3]);
}

INLINE w32 w32_dot_low(w32 acc, w8 w, w32 a) { return w32_dot_signed(acc, w, a); }

INLINE w32 w32_add(w32 a, w32 b) {
    w32 r;
    EACH(16, a.v[i] + b.v[i]);
}

INLINE w32 w32_shift8(w32 v) {
    w32 r;
    EACH(16, v.v[i] * 256);
}

INLINE wf wf_load(const void *p) {
    wf r;
    memcpy(&r, p, sizeof r);
    return r;
}

INLINE void wf_store(void *p, wf v) { memcpy(p, &v, sizeof v); }

INLINE wf wf_fill(float x) {
    wf r;
    EACH(16, x);
}

INLINE wf wf_add(wf a, wf b) {
    wf r;
    EACH(16, a.v[i] + b.v[i]);
}

INLINE wf wf_mul(wf a, wf b) {
    wf r;
    EACH(16, a.v[i] * b.v[i]);
}

INLINE wf wf_fma(wf a, wf b, wf c) {
    wf r;
    EACH(16, fmaf(a.v[i], b.v[i], c.v[i]));
}

INLINE wf wf_neg(wf a) {
    wf r;
    EACH(16, -a.v[i]);
}

INLINE wf wf_words(w32 v) {
    wf r;
    memcpy(&r, &v, sizeof r);
    return r;
}

INLINE wf wf_of(w32 v) {
    wf r;
    EACH(16, (float)v.v[i]);
}

INLINE wf wf_f16(const void *p) {
    uint16_t h[16];
    memcpy(h, p, sizeof h);
    wf r;
    EACH(16, half_to_float(h[i]));
}

INLINE wf wf_bf16(const void *p) {
    uint16_t h[16];
    memcpy(h, p, sizeof h);
    wf r;
    EACH(16, float_of_bits((uint32_t)h[i] << 16));
}

INLINE wf wf_u8(const void *p) {
    const uint8_t *b = p;
    wf r;
    EACH(16, (float)b[i]);
}

INLINE wf wf_s8(const void *p) {
    const int8_t *b = p;
    wf r;
    EACH(16, (float)b[i]);
}

INLINE wf wf_e8m0(const void *p) {
    const uint8_t *b = p;
    wf r;
    EACH(16, float_of_bits((b[i] / 2 + 63u) << 23) * float_of_bits((b[i] - b[i] / 2 + 63u) << 23));
}

INLINE w8 w8_codes(w8 v) { return v; }

#endif
