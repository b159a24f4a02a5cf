// Activations as the products want them: int8 for quantized weights, floats for F32 (F16 and BF16:
// planes_w16.c).
#include "device/cpu/isa.h"
#include "device/cpu/wide.h"

#include "tensor/float16.h"

// Integers compare as the magnitudes they encode, NaN above all: a NaN makes its block's scale NaN, not a lie.
static float magnitude(const float *x) {
    uint32_t most = 0;
    for (int i = 0; i < GROUP; i++) {
        uint32_t a = bits_of_float(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    return float_of_bits(most);
}

// Loops that compilers turn into vectors. Where d is 0, q is.
static float block(const float *x, int8_t q[GROUP], int32_t sum[2]) {
    const float shift = 0x1.8p23f; // adding it rounds to an integer, ties to even
    float d = magnitude(x) / 127.0f, by = d == 0 ? INFINITY : d, v[GROUP];
    int32_t n[GROUP];
    for (int i = 0; i < GROUP; i++) {
        v[i] = x[i] / by;
        v[i] = v[i] < 127.0f ? v[i] : 127.0f;
        v[i] = (v[i] > -127.0f ? v[i] : -127.0f) + shift;
    }
    memcpy(n, v, sizeof n);
    for (int i = 0; i < GROUP; i++) n[i] -= 0x4b400000; // the bits of `shift`
    for (int i = 0; i < GROUP; i++) q[i] = (int8_t)n[i];
    for (int h = 0; h < 2; h++) {
        sum[h] = 0;
        for (int i = 0; i < GROUP / 2; i++) sum[h] += n[h * (GROUP / 2) + i];
    }
    return d;
}

void KERNEL(quantize)(const float *x, size_t groups, size_t halves, int zero, size_t stride, struct act *out) {
    if (zero == SIGNED) zero = WIDE_SIGNED_ZERO;
    for (size_t g = 0; g < groups; g++, x += GROUP, out += stride) {
        int32_t sum[2];
        out->d = block(x, out->q, sum);
        if (halves == 1) sum[0] += sum[1];
        for (size_t h = 0; h < 2; h++) {
            out->start[h] = h < halves ? -zero * sum[h] : 0;
            out->low[h] = h < halves ? out->d * (float)sum[h] : 0;
        }
    }
}

void KERNEL(pack)(const float *x, size_t n, size_t stride, uint32_t *out) {
    size_t size = (n + GROUP - 1) / GROUP * GROUP;
    for (size_t k = 0; k < size; k++, out += stride) *out = k < n ? bits_of_float(x[k]) : 0;
}
