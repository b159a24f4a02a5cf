// Vectors of eight lanes in the compilers' own vector types, which exist for every chip; an instruction is named only
// where C has no word for it: fused multiply-add and conversion from half precision. Each gives the same bits as the C
// beside it.
#ifndef DEVICE_CPU_SIMD_H
#define DEVICE_CPU_SIMD_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/float16.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

typedef float f32x8 __attribute__((vector_size(32)));
typedef int32_t i32x8 __attribute__((vector_size(32)));

// 16 lanes of a float sum.
struct lanes {
    f32x8 low, high;
};

static inline f32x8 load8(const float *p) {
    f32x8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store8(float *p, f32x8 v) { memcpy(p, &v, sizeof v); }

static inline f32x8 fill8(float x) { return (f32x8){x, x, x, x, x, x, x, x}; }

static inline i32x8 words(const void *p) {
    i32x8 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline f32x8 fma8(f32x8 a, f32x8 b, f32x8 c) {
#if defined(__AVX2__)
    return (f32x8)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_DOTPROD)
    float32x4_t x[2], y[2], z[2];
    memcpy(x, &a, sizeof a);
    memcpy(y, &b, sizeof b);
    memcpy(z, &c, sizeof c);
    for (int i = 0; i < 2; i++) z[i] = vfmaq_f32(z[i], x[i], y[i]);
    memcpy(&c, z, sizeof c);
    return c;
#else
    for (int i = 0; i < 8; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

// As many floats as one register of this instruction set holds: for sums whose lanes never meet, which may be of any
// width.
#if defined(__AVX512F__)
enum { VEC = 16 };
#elif defined(__AVX2__)
enum { VEC = 8 };
#else
enum { VEC = 4 };
#endif
typedef float vec __attribute__((vector_size(4 * VEC)));
typedef int32_t ivec __attribute__((vector_size(4 * VEC)));

static inline vec vec_load(const float *p) {
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void vec_store(float *p, vec v) { memcpy(p, &v, sizeof v); }

static inline vec vec_fill(float x) { return x - (vec){0}; }

static inline vec vec_fma(vec a, vec b, vec c) {
#if defined(__AVX512F__)
    return (vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__)
    return (vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__ARM_FEATURE_DOTPROD)
    return (vec)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
    for (int i = 0; i < VEC; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
#endif
}

// Two vectors of each of some rows will be wanted. Where each is in a page of its own, nothing fetches them unasked.
static inline void vec_fetch(const float *p, size_t row, size_t rows) {
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < 2 * VEC; i += 16) __builtin_prefetch(p + r * row + i, 1);
}

// Halves from anywhere.
static inline vec vec_load_f16(const void *p) {
#if defined(__AVX512F__)
    return (vec)_mm512_cvtph_ps(_mm256_loadu_si256(p));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtph_ps(_mm_loadu_si128(p));
#elif defined(__ARM_FEATURE_DOTPROD)
    return (vec)vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p)));
#else
    uint16_t h[VEC];
    vec v;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < VEC; i++) v[i] = half_to_float(h[i]);
    return v;
#endif
}

// (0+4, 1+5, 2+6, 3+7), then (0+2, 1+3), then (0+1).
static inline float fold8(f32x8 v) {
    float a = v[0] + v[4], b = v[1] + v[5], c = v[2] + v[6], d = v[3] + v[7];
    return (a + c) + (b + d);
}

static inline float fold16(struct lanes v) { return fold8(v.low + v.high); }

#endif
