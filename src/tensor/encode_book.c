// The types whose codes stand for the values of a book.
#include <math.h>
#include <string.h>

#include "tensor/encode.h"
#include "tensor/fit.h"
#include "tensor/unpack.h"

enum { N = 32 };

static const int8_t iq4[16] = IQ4_VALUES, mxfp4[16] = MXFP4_VALUES;
static const struct values iq4_values = {-127, 113, iq4};

static void put16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static void pack_nibbles(const uint8_t *u, uint8_t *qs) {
    for (int i = 0; i < N / 2; i++) qs[i] = (uint8_t)(u[i] | u[i + N / 2] << 4);
}

void encode_iq4_nl(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += N, b += 18) {
        struct fit f;
        fit_scaled(src + i, 1, N, &iq4_values, 0, &f);
        put16(b, f.d);
        pack_nibbles(f.u, b + 2);
    }
}

void encode_iq4_xs(const float *src, size_t n, void *row) {
    uint8_t *b = row;
    for (size_t i = 0; i < n; i += 8 * N, b += 136) {
        struct fit f;
        fit_scaled(src + i, 8, N, &iq4_values, 32, &f);
        memset(b, 0, 8);
        put16(b, f.d);
        for (int g = 0; g < 8; g++) {
            int sc = f.sc[g] + 32;
            b[2 + g / 4] |= (uint8_t)((sc >> 4) << 2 * (g % 4));
            b[4 + g / 2] |= (uint8_t)((sc & 15) << 4 * (g % 2));
            pack_nibbles(f.u + g * N, b + 8 + 16 * g);
        }
    }
}

// The code of the value nearest to x; of two as near, the one closer to zero.
static uint8_t nearest_mxfp4(float x) {
    float size = fabsf(x);
    uint8_t u = 0;
    while (u < 7 && size > (float)(mxfp4[u] + mxfp4[u + 1]) * 0.5f) u++;
    return (uint8_t)(x < 0 && u ? u + 8 : u);
}

static double block_mxfp4(const float *x, uint8_t e, uint8_t u[N]) {
    float d = e8m0_half(e);
    double error = 0;
    for (int i = 0; i < N; i++) {
        u[i] = nearest_mxfp4(x[i] / d);
        double miss = (double)x[i] - (double)d * mxfp4[u[i]];
        error += miss * miss;
    }
    return error;
}

// The Microscaling specification takes the greatest weight's exponent, less that of the largest value, 2^2, and clips
// what lies between 6 and 8. One more loses less where much would be clipped.
void encode_mxfp4(const float *src, size_t n, void *row) {
    uint8_t *b = row, u[2][N];
    for (size_t i = 0; i < n; i += N, b += 17) {
        float most = 0;
        int exponent = 0;
        for (int k = 0; k < N; k++) most = fabsf(src[i + k]) > most ? fabsf(src[i + k]) : most;
        if (most > 0 && most < INFINITY) frexpf(most, &exponent);
        int e = most > 0 ? exponent - 1 - 2 + 127 : 0;
        e = e < 0 ? 0 : e > 253 ? 253 : e;
        bool up = block_mxfp4(src + i, (uint8_t)(e + 1), u[1]) < block_mxfp4(src + i, (uint8_t)e, u[0]);
        b[0] = (uint8_t)(e + up);
        pack_nibbles(u[up], b + 1);
    }
}
