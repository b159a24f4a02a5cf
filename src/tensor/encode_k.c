// K types by plain rounding: each run of 16 or 32 weights gets the scale (and minimum) that its extremes ask for; the
// scales are then rounded to the block's own, and the weights to the nearest code under what was stored.
#include <math.h>
#include <string.h>

#include "tensor/encode.h"
#include "tensor/type.h"

enum { N = 256, MAX_RUNS = 16 };

// A block's rounded scales: weight = d * sc[run] * code - dm * mn[run].
struct scales {
    uint16_t d, dm;
    int8_t sc[MAX_RUNS], mn[MAX_RUNS];
};

static void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static float ratio(float a, float b) { return b == 0 ? 0 : a / b; }

// Runs around zero: codes in [-levels, levels), scales in [-top, top). The sign of a scale is the one that lets the
// run's extreme take the longer, negative side.
static void symmetric(const float *x, int runs, int levels, int top, struct scales *s) {
    float want[MAX_RUNS], most = 0;
    for (int r = 0; r < runs; r++) {
        float peak = 0;
        for (int i = 0; i < N / runs; i++)
            if (fabsf(x[r * (N / runs) + i]) > fabsf(peak)) peak = x[r * (N / runs) + i];
        want[r] = peak / (float)-levels;
        if (fabsf(want[r]) > fabsf(most)) most = want[r];
    }
    s->d = f32_to_f16(most / (float)-top);
    s->dm = 0;
    float d = f16_to_f32(s->d);
    for (int r = 0; r < runs; r++) {
        s->sc[r] = (int8_t)bounded(rintf(ratio(want[r], d)), -top, top - 1);
        s->mn[r] = 0;
    }
}

// Runs above a minimum that is at most zero: codes in [0, levels], scales and minima in [0, top].
static void above(const float *x, int runs, int levels, int top, struct scales *s) {
    float want[MAX_RUNS], low[MAX_RUNS], most = 0, lowest = 0;
    for (int r = 0; r < runs; r++) {
        float min = 0, max = 0;
        for (int i = 0; i < N / runs; i++) {
            float v = x[r * (N / runs) + i];
            if (v < min) min = v;
            if (v > max) max = v;
        }
        want[r] = (max - min) / (float)levels;
        low[r] = -min;
        if (want[r] > most) most = want[r];
        if (low[r] > lowest) lowest = low[r];
    }
    s->d = f32_to_f16(most / (float)top);
    s->dm = f32_to_f16(lowest / (float)top);
    float d = f16_to_f32(s->d), dm = f16_to_f32(s->dm);
    for (int r = 0; r < runs; r++) {
        s->sc[r] = (int8_t)bounded(rintf(ratio(want[r], d)), 0, top);
        s->mn[r] = (int8_t)bounded(rintf(ratio(low[r], dm)), 0, top);
    }
}

// Codes under the stored scales, from `low` to `high`, kept as code - low.
static void codes_of(const float *x, int runs, const struct scales *s, int low, int high, uint8_t u[N]) {
    float d = f16_to_f32(s->d), dm = f16_to_f32(s->dm);
    for (int i = 0; i < N; i++) {
        int r = i / (N / runs);
        float scale = d * (float)s->sc[r], offset = dm * (float)s->mn[r];
        u[i] = (uint8_t)(bounded(rintf(ratio(x[i] + offset, scale)), low, high) - low);
    }
}

// Twelve bytes of 6-bit scales and minima: see pair_of_scales() in unpack.h.
static void pack_pairs(const struct scales *s, uint8_t *p) {
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
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 84) {
        struct scales s;
        memset(b, 0, 84);
        above(src + i, 16, 3, 15, &s);
        codes_of(src + i, 16, &s, 0, 3, u);
        for (int r = 0; r < 16; r++) b[r] = (uint8_t)(s.sc[r] | s.mn[r] << 4);
        put_fields(u, 2, 4, 3, b + 16);
        put16(b + 80, s.d);
        put16(b + 82, s.dm);
    }
}

void encode_q3_k(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 110) {
        struct scales s;
        memset(b, 0, 110);
        symmetric(src + i, 16, 4, 32, &s);
        codes_of(src + i, 16, &s, -4, 3, u);
        put_bit(u, 2, b);
        put_fields(u, 2, 4, 3, b + 32);
        for (int r = 0; r < 16; r++) {
            int v = s.sc[r] + 32;
            b[96 + r % 8] |= (uint8_t)((v & 15) << 4 * (r / 8));
            b[104 + r % 4] |= (uint8_t)((v >> 4) << 2 * (r / 4));
        }
        put16(b + 108, s.d);
    }
}

void encode_q4_k(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 144) {
        struct scales s;
        memset(b, 0, 144);
        above(src + i, 8, 15, 63, &s);
        codes_of(src + i, 8, &s, 0, 15, u);
        put16(b, s.d);
        put16(b + 2, s.dm);
        pack_pairs(&s, b + 4);
        put_fields(u, 4, 2, 15, b + 16);
    }
}

void encode_q5_k(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 176) {
        struct scales s;
        memset(b, 0, 176);
        above(src + i, 8, 31, 63, &s);
        codes_of(src + i, 8, &s, 0, 31, u);
        put16(b, s.d);
        put16(b + 2, s.dm);
        pack_pairs(&s, b + 4);
        put_bit(u, 4, b + 16);
        put_fields(u, 4, 2, 15, b + 48);
    }
}

void encode_q6_k(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 210) {
        struct scales s;
        memset(b, 0, 210);
        symmetric(src + i, 16, 32, 128, &s);
        codes_of(src + i, 16, &s, -32, 31, u);
        for (int k = 0; k < N; k++) {
            int g = k / 32;
            b[64 * (g / 4) + 32 * (g % 2) + k % 32] |= (uint8_t)((u[k] & 15) << 4 * (g % 4 / 2));
            b[128 + 32 * (g / 4) + k % 32] |= (uint8_t)(u[k] >> 4 << 2 * (g % 4));
        }
        memcpy(b + 192, s.sc, 16);
        put16(b + 208, s.d);
    }
}
