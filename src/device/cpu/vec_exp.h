// e^x of elementary.h for a register of x that are 0 or less, or NaN: the same bits.
#ifndef DEVICE_CPU_VEC_EXP_H
#define DEVICE_CPU_VEC_EXP_H

#include "device/cpu/simd.h"

// a > b ? a : b
static inline vec vec_max(vec a, vec b) {
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX2__)
    return (vec)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__ARM_FEATURE_DOTPROD)
    return (vec)vbslq_f32(vcgtq_f32((float32x4_t)a, (float32x4_t)b), (float32x4_t)a, (float32x4_t)b);
#else
    for (int i = 0; i < VEC; i++) b[i] = a[i] > b[i] ? a[i] : b[i];
    return b;
#endif
}

// p * 2^n, rounded once. `shifted` is n + 0x1.8p23, whose low bits are those of n.
static inline vec vec_scale(vec p, vec n, vec shifted) {
#if defined(__AVX512F__)
    return (vec)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
    ivec whole = (ivec)shifted - 0x4b400000, half = whole >> 1;
    return p * (vec)((half + 127) << 23) * (vec)((whole - half + 127) << 23);
#endif
}

static inline vec vec_exp(vec x) {
    const vec shift = vec_fill(0x1.8p23f);
    vec c = vec_max(vec_fill(-105.0f), x);
    vec s = vec_fma(c, vec_fill(0x1.715476p0f), shift), k = s - shift;
    vec r = vec_fma(k, vec_fill(-0x1.62e4p-1f), c);
    r = vec_fma(k, vec_fill(-0x1.7f7d1cp-20f), r);
    vec p = vec_fma(vec_fill(0x1.6d113cp-10f), r, vec_fill(0x1.120ba2p-7f));
    p = vec_fma(p, r, vec_fill(0x1.55551ap-5f));
    p = vec_fma(p, r, vec_fill(0x1.5554dcp-3f));
    p = vec_fma(p, r, vec_fill(0.5f));
    p = vec_fma(p * r, r, r) + 1.0f;
    return vec_scale(p, k, s);
}

#endif
