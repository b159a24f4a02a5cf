// Activations as the products want them: int8 for quantized weights, floats for F32 (F16 and BF16:
// planes_w16.c).
#include "device/cpu/isa.h"
#include "device/cpu/tile.h"
#include "device/cpu/wide.h"

#include "tensor/float16.h"

#if defined(__AVX512F__)
#include "device/cpu/round_avx512.h"
#else
// Integers compare as the magnitudes they encode, NaN above all: a NaN makes its scale NaN, not a lie.
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
#endif

// The sums of a run's groups, or of their halves, as digits.
static void put_digits(const int32_t *sum, size_t halves, size_t stride, struct act *out) {
    for (size_t i = 0; i < RUN * halves; i++) {
        int32_t high = (sum[i] + 128) >> 8;
        int8_t(*to)[4] = out[i / 4 * stride].digits;
        to[0][i % 4] = (int8_t)high;
        to[1][i % 4] = (int8_t)(sum[i] - 256 * high);
    }
}

// Groups whose records are `stride` apart, whole runs if the form has such.
static void quantize(const float *x, size_t groups, const struct form *f, size_t stride, struct act *out) {
    int zero = f->zero == SIGNED ? WIDE_SIGNED_ZERO : f->zero;
    size_t run = f->piece ? RUN : 1;
    for (size_t first = 0; first < groups; first += run) {
        uint32_t most = 0;
        for (size_t g = 0; g < run; g++) {
            uint32_t of_group = magnitude(x + g * GROUP);
            most = of_group > most ? of_group : most;
        }
        float d = float_of_bits(most) / 127.0f;
        int32_t of_run[RUN * 2];
        struct act *begin = out;
        for (size_t g = 0; g < run; g++, x += GROUP, out += stride) {
            int32_t sum[2];
            round_group(x, d, out->q, sum);
            out->d = d;
            if (f->halves == 1) sum[0] += sum[1];
            for (size_t h = 0; h < 2; h++) {
                out->start[h] = h < f->halves ? -zero * sum[h] : 0;
                out->low[h] = h < f->halves && !f->piece ? d * (float)sum[h] : 0;
                if (h < f->halves) of_run[g % RUN * f->halves + h] = sum[h];
            }
        }
        if (f->piece) put_digits(of_run, f->halves, stride, begin);
    }
}

#ifdef AMX_HERE
#include "device/cpu/round_q_amx.h"
#endif

void KERNEL(round_q)(enum type type, const float *x, size_t cols, size_t rows, size_t r, struct segments s,
                     void *batch) {
    const struct form *f = tile_form(type);
    size_t units = cols / GROUP / f->groups, wide = rows <= FEW ? FEW_ROWS : WIDE_ROWS;
#ifdef AMX_HERE
    if (amx_takes(f, rows)) {
        if (f->piece)
            round_runs(x, units, f->halves, rows, r, s, batch);
        else
            round_panels(x, units, rows, r, s, batch);
        return;
    }
#endif
    for (size_t i = s.first; i < s.end; i++) {
        size_t from = segment_start(units, i) * f->groups, to = segment_start(units, i + 1) * f->groups, stride;
        size_t at = act_at(wide, rows, r, from, to - from, &stride);
        quantize(x + from * GROUP, to - from, f, stride, (struct act *)batch + at);
    }
}

void KERNEL(pack)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch) {
    size_t units = (cols + GROUP - 1) / GROUP;
    for (size_t i = s.first; i < s.end; i++) {
        size_t from = segment_start(units, i) * GROUP, to = segment_start(units, i + 1) * GROUP, stride;
        uint32_t *out = (uint32_t *)batch + act_at(WIDE_ROWS, rows, r, from, to - from, &stride);
        for (size_t k = from; k < to; k++, out += stride) *out = k < cols ? bits_of_float(x[k]) : 0;
    }
}
