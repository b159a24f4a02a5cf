// Vectors of eight lanes in the compilers' own vector types, which exist for every chip; an instruction is named only
// where C has no word for it: fused multiply-add, half conversion, and the dot product of four bytes. Each gives the
// same bits as the C beside it.
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
typedef int8_t i8x32 __attribute__((vector_size(32)));

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

// Eight halves or bfloats from anywhere.
static inline f32x8 load8_f16(const void *p) {
#if defined(__AVX2__)
    return (f32x8)_mm256_cvtph_ps(_mm_loadu_si128(p));
#else
    uint16_t h[8];
    f32x8 v;
    memcpy(h, p, sizeof h);
    for (int i = 0; i < 8; i++) v[i] = half_to_float(h[i]);
    return v;
#endif
}

static inline f32x8 load8_bf16(const void *p) {
    uint16_t h __attribute__((vector_size(16)));
    memcpy(&h, p, sizeof h);
    return (f32x8)(__builtin_convertvector(h, i32x8) << 16);
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

// Signed bytes from anywhere.
static inline vec vec_load_i8(const void *p) {
#if defined(__AVX512F__)
    return (vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
#elif defined(__AVX2__)
    return (vec)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
#elif defined(__ARM_FEATURE_DOTPROD)
    int32_t four;
    memcpy(&four, p, sizeof four);
    int16x8_t wide = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return (vec)vcvtq_f32_s32(vmovl_s16(vget_low_s16(wide)));
#else
    int8_t b[VEC];
    vec v;
    memcpy(b, p, sizeof b);
    for (int i = 0; i < VEC; i++) v[i] = b[i];
    return v;
#endif
}

// (0+4, 1+5, 2+6, 3+7), then (0+2, 1+3), then (0+1).
static inline float fold8(f32x8 v) {
    float a = v[0] + v[4], b = v[1] + v[5], c = v[2] + v[6], d = v[3] + v[7];
    return (a + c) + (b + d);
}

static inline float fold16(struct lanes v) { return fold8(v.low + v.high); }

// dot4(): acc[i] += w[4i] a[4i] + ... + w[4i + 3] a[4i + 3] for |a| <= 127. The byte products of x86 take one side
// without its sign: VNNI gets w + 128, so the sum is 128 sum(a) too high, and dot4_start() is where it begins; AVX2
// gets |w| and a with w's sign, whose pairs fit 16 bits (128 * 127 * 2 < 32768).
#if defined(__AVX512VNNI__) && defined(__AVX512VL__)
static inline i32x8 dot4_start(i32x8 sum) { return sum * -128; }

static inline i32x8 dot4(i32x8 acc, i8x32 w, i8x32 a) {
    __m256i u = _mm256_xor_si256((__m256i)w, _mm256_set1_epi8(-128));
    return (i32x8)_mm256_dpbusd_epi32((__m256i)acc, u, (__m256i)a);
}
#else
static inline i32x8 dot4_start(i32x8 sum) { return (i32x8){0}; }

#if defined(__AVX2__)
static inline i32x8 dot4(i32x8 acc, i8x32 w, i8x32 a) {
    __m256i u = _mm256_sign_epi8((__m256i)w, (__m256i)w), s = _mm256_sign_epi8((__m256i)a, (__m256i)w);
    __m256i pairs = _mm256_maddubs_epi16(u, s);
    return acc + (i32x8)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#else
static inline i32x8 dot4(i32x8 acc, i8x32 w, i8x32 a) {
    int8_t x[32], y[32];
    memcpy(x, &w, 32);
    memcpy(y, &a, 32);
    for (int i = 0; i < 8; i++)
        acc[i] += x[4 * i] * y[4 * i] + x[4 * i + 1] * y[4 * i + 1] + x[4 * i + 2] * y[4 * i + 2] +
                  x[4 * i + 3] * y[4 * i + 3];
    return acc;
}
#endif
#endif

// Transposes eight rows of eight 32-bit words.
static inline void transpose8(i32x8 r[8]) {
    i32x8 t[8];
    for (int i = 0; i < 8; i += 2) {
        t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            r[i + 2 * k] = __builtin_shufflevector(t[i + k], t[i + k + 2], 0, 1, 8, 9, 4, 5, 12, 13);
            r[i + 2 * k + 1] = __builtin_shufflevector(t[i + k], t[i + k + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        t[i] = __builtin_shufflevector(r[i], r[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        t[i + 4] = __builtin_shufflevector(r[i], r[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
    for (int i = 0; i < 8; i++) r[i] = t[i];
}

#endif
