// The unquantized types and the blocks of 32: as the `gguf` package's quantize() writes them, byte for byte.
#include <math.h>
#include <string.h>

#include "tensor/encode.h"
#include "tensor/type.h"

enum { N = 32 };

void encode_f32(const float *src, size_t n, void *row) { memcpy(row, src, n * sizeof *src); }

static void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

void encode_f16(const float *src, size_t n, void *row) {
    for (size_t i = 0; i < n; i++) put16((uint8_t *)row + 2 * i, f32_to_f16(src[i]));
}

void encode_bf16(const float *src, size_t n, void *row) {
    for (size_t i = 0; i < n; i++) put16((uint8_t *)row + 2 * i, f32_to_bf16(src[i]));
}

static float inverse(float d) { return d == 0 ? 0 : 1 / d; }

// Codes of a block around zero: the weight of the greatest magnitude becomes -levels.
static float symmetric(const float *x, int levels, uint8_t u[N]) {
    float most = x[0];
    for (int i = 1; i < N; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    float d = most / (float)-levels, id = inverse(d);
    for (int i = 0; i < N; i++) u[i] = (uint8_t)bounded(x[i] * id + ((float)levels + 0.5f), 0, 2 * levels - 1);
    return d;
}

// Codes of a block above its minimum.
static float above(const float *x, int top, float *low, uint8_t u[N]) {
    float min = x[0], max = x[0];
    for (int i = 1; i < N; i++) {
        if (x[i] < min) min = x[i];
        if (x[i] > max) max = x[i];
    }
    float d = (max - min) / (float)top, id = inverse(d);
    for (int i = 0; i < N; i++) u[i] = (uint8_t)bounded((x[i] - min) * id + 0.5f, 0, top);
    *low = min;
    return d;
}

static void pack_nibbles(const uint8_t u[N], uint8_t *qs) {
    for (int i = 0; i < N / 2; i++) qs[i] = (uint8_t)((u[i] & 15) | (u[i + N / 2] & 15) << 4);
}

static void pack_fifth(const uint8_t u[N], uint8_t *qh) {
    memset(qh, 0, N / 8);
    for (int i = 0; i < N; i++) qh[i / 8] |= (uint8_t)(u[i] >> 4 << i % 8);
}

void encode_q4_0(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 18) {
        put16(b, f32_to_f16(symmetric(src + i, 8, u)));
        pack_nibbles(u, b + 2);
    }
}

void encode_q5_0(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    for (size_t i = 0; i < n; i += N, b += 22) {
        put16(b, f32_to_f16(symmetric(src + i, 16, u)));
        pack_fifth(u, b + 2);
        pack_nibbles(u, b + 6);
    }
}

void encode_q4_1(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    float low;
    for (size_t i = 0; i < n; i += N, b += 20) {
        put16(b, f32_to_f16(above(src + i, 15, &low, u)));
        put16(b + 2, f32_to_f16(low));
        pack_nibbles(u, b + 4);
    }
}

void encode_q5_1(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[N];
    float low;
    for (size_t i = 0; i < n; i += N, b += 24) {
        put16(b, f32_to_f16(above(src + i, 31, &low, u)));
        put16(b + 2, f32_to_f16(low));
        pack_fifth(u, b + 4);
        pack_nibbles(u, b + 8);
    }
}

void encode_q8_0(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 34) {
        float most = 0;
        for (int k = 0; k < N; k++)
            if (fabsf(src[i + k]) > most) most = fabsf(src[i + k]);
        float d = most / 127, id = inverse(d);
        put16(b, f32_to_f16(d));
        for (int k = 0; k < N; k++) b[2 + k] = (uint8_t)bounded(roundf(src[i + k] * id), -127, 127);
    }
}
