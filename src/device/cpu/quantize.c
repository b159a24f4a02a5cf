// Activations as the products want them: int8 for quantized weights, floats or bfloat16 beside each other otherwise.
#include "device/cpu/isa.h"
#include "device/cpu/tile.h"
#include "device/cpu/wide.h"

#include "tensor/float16.h"

// Integers compare as the magnitudes they encode, NaN above all: a NaN makes its run's scale NaN, not a lie.
static uint32_t magnitude(const float *x) {
    uint32_t most = 0;
    for (int i = 0; i < GROUP; i++) {
        uint32_t a = bits_of_float(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    return most;
}

// A group as x / d, and the sums of its halves. Loops that compilers turn into vectors. Where d is 0, q is.
static void round_group(const float *x, float d, int8_t q[GROUP], int32_t sum[2]) {
    const float shift = 0x1.8p23f; // adding it rounds to an integer, ties to even
    float by = d == 0 ? INFINITY : d, v[GROUP];
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
}

enum { STEPS = 3 };

// How often `most` can be doubled and not be more than the run's.
static int steps_below(float most, float run) {
    int k = 0;
    for (; k < STEPS && most * (float)(2 << k) <= run; k++) {}
    return k;
}

void KERNEL(quantize)(const float *x, size_t groups, const struct form *f, size_t stride, struct act *out) {
    int zero = f->zero == SIGNED ? WIDE_SIGNED_ZERO : f->zero;
    for (size_t first = 0; first < groups; first += RUN) {
        size_t n = groups - first < RUN ? groups - first : RUN;
        uint32_t most[RUN], all = 0;
        for (size_t g = 0; g < n; g++) {
            most[g] = magnitude(x + g * GROUP);
            all = most[g] > all ? most[g] : all;
        }
        float run = float_of_bits(all), d = run / 127.0f;
        for (size_t g = 0; g < n; g++, x += GROUP, out += stride) {
            int32_t sum[2], k = f->piece ? 0 : steps_below(float_of_bits(most[g]), run);
            round_group(x, d / (float)(1 << k), out->q, sum);
            out->d = f->piece ? d : d / (1 << STEPS);
            out->shift = f->piece ? 0 : STEPS - k;
            if (f->halves == 1) sum[0] += sum[1];
            for (size_t h = 0; h < 2; h++) {
                out->start[h] = h < f->halves ? -zero * sum[h] : 0;
                out->low[h] = h < f->halves ? (float)(sum[h] * (1 << out->shift)) : 0;
            }
        }
    }
}

// To nearest, ties to even; a NaN stays one.
static uint32_t bfloat(float f) {
    uint32_t bits = bits_of_float(f), rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return (bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 64 : rounded;
}

void KERNEL(pack)(enum type type, const float *x, size_t n, size_t stride, uint32_t *out) {
    size_t size = (n + GROUP - 1) / GROUP * GROUP;
    if (type == TYPE_BF16) {
        for (size_t k = 0; k < size; k += 2, out += stride)
            *out = (k < n ? bfloat(x[k]) : 0) | (k + 1 < n ? bfloat(x[k + 1]) : 0) << 16;
        return;
    }
    for (size_t k = 0; k < size; k++, out += stride) *out = k < n ? bits_of_float(x[k]) : 0;
}
