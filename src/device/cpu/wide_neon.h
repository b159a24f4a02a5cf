// The 64-byte vectors of wide.h as four of NEON's, with its dot product (Armv8.2).
#ifndef DEVICE_CPU_WIDE_NEON_H
#define DEVICE_CPU_WIDE_NEON_H

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))

#define WIDE_ROWS 3
enum { FETCHED = 2, AT_ONCE = 2, FEW = 3, FEW_ROWS = 3, WIDE_TILES = 1, WIDE_CHAINS = 5, WIDE_SIGNED_ZERO = 0 };

typedef struct {
    uint8x16_t v[4];
} w8;
typedef struct {
    int32x4_t v[4];
} w32;
typedef struct {
    float32x4_t v[4];
} wf;

// Vector i of the result, for each of the four.
#define FOUR(type, expression)                                                                                         \
    do {                                                                                                               \
        type r;                                                                                                        \
        for (int i = 0; i < 4; i++) r.v[i] = expression;                                                               \
        return r;                                                                                                      \
    } while (0)

INLINE w8 w8_load(const void *p) { FOUR(w8, vld1q_u8((const uint8_t *)p + 16 * i)); }

INLINE void w8_store(void *p, w8 v) {
    for (int i = 0; i < 4; i++) vst1q_u8((uint8_t *)p + 16 * i, v.v[i]);
}

INLINE w8 w8_or(w8 a, w8 b) { FOUR(w8, vorrq_u8(a.v[i], b.v[i])); }

INLINE uint8x16_t field(uint8x16_t v, int right, uint8_t mask) {
    return vandq_u8(vshlq_u8(v, vdupq_n_s8((int8_t)-right)), vdupq_n_u8(mask));
}

INLINE w8 w8_field(w8 v, int right, uint8_t mask) { FOUR(w8, field(v.v[i], right, mask)); }

INLINE w8 w8_pair(const void *p) {
    const uint8_t *b = p;
    FOUR(w8, field(vld1q_u8(b + 16 * (i % 2)), i / 2 * 4, 15));
}

INLINE w8 w8_lookup(const uint8_t table[16], w8 v) { FOUR(w8, vqtbl1q_u8(vld1q_u8(table), v.v[i])); }
INLINE w8 w8_signed(w8 v) { FOUR(w8, veorq_u8(v.v[i], vdupq_n_u8(128))); }

INLINE w32 w32_zero(void) { FOUR(w32, vdupq_n_s32(0)); }

INLINE w32 w32_fill(const void *p) {
    int32_t x;
    memcpy(&x, p, sizeof x);
    FOUR(w32, vdupq_n_s32(x));
}

INLINE w32 w32_dot_signed(w32 acc, w8 w, w32 a) {
    FOUR(w32, vdotq_s32(acc.v[i], vreinterpretq_s8_u8(w.v[i]), vreinterpretq_s8_s32(a.v[i])));
}

// Bytes below 128 are the same with a sign.
INLINE w32 w32_dot(w32 acc, w8 u, w32 a) { return w32_dot_signed(acc, u, a); }

INLINE w32 w32_dot_low(w32 acc, w8 w, w32 a) { return w32_dot_signed(acc, w, a); }
INLINE w32 w32_add(w32 a, w32 b) { FOUR(w32, vaddq_s32(a.v[i], b.v[i])); }
INLINE w32 w32_shift8(w32 v) { FOUR(w32, vshlq_n_s32(v.v[i], 8)); }

INLINE wf wf_load(const void *p) { FOUR(wf, vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p + 16 * i))); }

INLINE void wf_store(void *p, wf v) {
    for (int i = 0; i < 4; i++) vst1q_u8((uint8_t *)p + 16 * i, vreinterpretq_u8_f32(v.v[i]));
}

INLINE wf wf_fill(float x) { FOUR(wf, vdupq_n_f32(x)); }
INLINE wf wf_add(wf a, wf b) { FOUR(wf, vaddq_f32(a.v[i], b.v[i])); }
INLINE wf wf_mul(wf a, wf b) { FOUR(wf, vmulq_f32(a.v[i], b.v[i])); }
INLINE wf wf_fma(wf a, wf b, wf c) { FOUR(wf, vfmaq_f32(c.v[i], a.v[i], b.v[i])); }
INLINE wf wf_neg(wf a) { FOUR(wf, vnegq_f32(a.v[i])); }
INLINE wf wf_words(w32 v) { FOUR(wf, vreinterpretq_f32_s32(v.v[i])); }
INLINE wf wf_of(w32 v) { FOUR(wf, vcvtq_f32_s32(v.v[i])); }

INLINE wf wf_f16(const void *p) {
    const uint8_t *b = p;
    FOUR(wf, vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(b + 8 * i))));
}

INLINE wf wf_bf16(const void *p) {
    const uint8_t *b = p;
    FOUR(wf, vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8(b + 8 * i)), 16)));
}

INLINE w32 widen_u8(const void *p) {
    uint8x16_t b = vld1q_u8(p);
    uint16x8_t half[] = {vmovl_u8(vget_low_u8(b)), vmovl_high_u8(b)};
    FOUR(w32, vreinterpretq_s32_u32(i % 2 ? vmovl_high_u16(half[i / 2]) : vmovl_u16(vget_low_u16(half[i / 2]))));
}

INLINE wf wf_u8(const void *p) { return wf_of(widen_u8(p)); }

INLINE wf wf_s8(const void *p) {
    int8x16_t b = vld1q_s8(p);
    int16x8_t half[] = {vmovl_s8(vget_low_s8(b)), vmovl_high_s8(b)};
    FOUR(wf, vcvtq_f32_s32(i % 2 ? vmovl_high_s16(half[i / 2]) : vmovl_s16(vget_low_s16(half[i / 2]))));
}

// As the product of two normal numbers, because the smallest are subnormal.
INLINE float32x4_t power(int32x4_t e) {
    int32x4_t half = vshrq_n_s32(e, 1), c = vdupq_n_s32(63);
    int32x4_t a = vshlq_n_s32(vaddq_s32(half, c), 23), b = vshlq_n_s32(vaddq_s32(vsubq_s32(e, half), c), 23);
    return vmulq_f32(vreinterpretq_f32_s32(a), vreinterpretq_f32_s32(b));
}

INLINE wf wf_e8m0(const void *p) {
    w32 e = widen_u8(p);
    FOUR(wf, power(e.v[i]));
}

INLINE w8 w8_codes(w8 v) { return v; }

#endif
