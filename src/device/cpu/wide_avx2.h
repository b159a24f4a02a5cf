// The 64-byte vectors of wide.h as pairs of AVX2's. Its byte product saturates at 16 bits, so that weights with a sign
// are given as magnitudes, and their signs to the activations: |w| <= 128, 128 * 127 * 2 < 32768.
#ifndef DEVICE_CPU_WIDE_AVX2_H
#define DEVICE_CPU_WIDE_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define WIDE_ROWS 3
enum { FETCHED = 2, AT_ONCE = 2, FEW = 3, FEW_ROWS = 3, WIDE_TILES = 1, WIDE_CHAINS = 5, WIDE_SIGNED_ZERO = 0 };

typedef struct {
    __m256i a, b;
} w8;
typedef w8 w32;
typedef struct {
    __m256 a, b;
} wf;
typedef uint16_t wide_halves __attribute__((vector_size(32)));

INLINE w8 w8_load(const void *p) { return (w8){_mm256_loadu_si256(p), _mm256_loadu_si256((const __m256i *)p + 1)}; }

INLINE void w8_store(void *p, w8 v) {
    _mm256_storeu_si256(p, v.a);
    _mm256_storeu_si256((__m256i *)p + 1, v.b);
}

INLINE w8 w8_or(w8 a, w8 b) { return (w8){_mm256_or_si256(a.a, b.a), _mm256_or_si256(a.b, b.b)}; }

INLINE __m256i field(__m256i v, int right, uint8_t mask) {
    wide_halves h = (wide_halves)v;
    h = right >= 0 ? h >> (right & 15) : h << (-right & 15);
    return _mm256_and_si256((__m256i)h, _mm256_set1_epi8((char)mask));
}

INLINE w8 w8_field(w8 v, int right, uint8_t mask) { return (w8){field(v.a, right, mask), field(v.b, right, mask)}; }

INLINE w8 w8_pair(const void *p) {
    __m256i v = _mm256_loadu_si256(p);
    return (w8){field(v, 0, 15), field(v, 4, 15)};
}

INLINE w8 w8_lookup(const uint8_t table[16], w8 v) {
    __m256i t = _mm256_broadcastsi128_si256(_mm_loadu_si128((const void *)table));
    return (w8){_mm256_shuffle_epi8(t, v.a), _mm256_shuffle_epi8(t, v.b)};
}

INLINE w8 w8_signed(w8 v) {
    __m256i top = _mm256_set1_epi8(-128);
    return (w8){_mm256_xor_si256(v.a, top), _mm256_xor_si256(v.b, top)};
}

INLINE w32 w32_zero(void) { return (w32){_mm256_setzero_si256(), _mm256_setzero_si256()}; }

INLINE w32 w32_fill(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return (w32){_mm256_set1_epi32(v), _mm256_set1_epi32(v)};
}

INLINE __m256i dot(__m256i acc, __m256i u, __m256i a) {
    return _mm256_add_epi32(acc, _mm256_madd_epi16(_mm256_maddubs_epi16(u, a), _mm256_set1_epi16(1)));
}

INLINE w32 w32_dot(w32 acc, w8 u, w32 a) { return (w32){dot(acc.a, u.a, a.a), dot(acc.b, u.b, a.b)}; }

INLINE __m256i dot_signed(__m256i acc, __m256i w, __m256i a) {
    return dot(acc, _mm256_abs_epi8(w), _mm256_sign_epi8(a, w));
}

INLINE w32 w32_dot_signed(w32 acc, w8 w, w32 a) {
    return (w32){dot_signed(acc.a, w.a, a.a), dot_signed(acc.b, w.b, a.b)};
}

// As above with the parts changed, because it is a that may be -128.
INLINE __m256i dot_low(__m256i acc, __m256i w, __m256i a) {
    return dot(acc, _mm256_abs_epi8(a), _mm256_sign_epi8(w, a));
}

INLINE w32 w32_dot_low(w32 acc, w8 w, w32 a) { return (w32){dot_low(acc.a, w.a, a.a), dot_low(acc.b, w.b, a.b)}; }
INLINE w32 w32_add(w32 a, w32 b) { return (w32){_mm256_add_epi32(a.a, b.a), _mm256_add_epi32(a.b, b.b)}; }
INLINE w32 w32_shift8(w32 v) { return (w32){_mm256_slli_epi32(v.a, 8), _mm256_slli_epi32(v.b, 8)}; }

INLINE wf wf_load(const void *p) { return (wf){_mm256_loadu_ps(p), _mm256_loadu_ps((const float *)p + 8)}; }

INLINE void wf_store(void *p, wf v) {
    _mm256_storeu_ps(p, v.a);
    _mm256_storeu_ps((float *)p + 8, v.b);
}

INLINE wf wf_fill(float x) { return (wf){_mm256_set1_ps(x), _mm256_set1_ps(x)}; }
INLINE wf wf_add(wf a, wf b) { return (wf){_mm256_add_ps(a.a, b.a), _mm256_add_ps(a.b, b.b)}; }
INLINE wf wf_mul(wf a, wf b) { return (wf){_mm256_mul_ps(a.a, b.a), _mm256_mul_ps(a.b, b.b)}; }
INLINE wf wf_fma(wf a, wf b, wf c) { return (wf){_mm256_fmadd_ps(a.a, b.a, c.a), _mm256_fmadd_ps(a.b, b.b, c.b)}; }
INLINE wf wf_neg(wf a) { return (wf){-a.a, -a.b}; }
INLINE wf wf_words(w32 v) { return (wf){_mm256_castsi256_ps(v.a), _mm256_castsi256_ps(v.b)}; }
INLINE wf wf_of(w32 v) { return (wf){_mm256_cvtepi32_ps(v.a), _mm256_cvtepi32_ps(v.b)}; }

INLINE wf wf_f16(const void *p) {
    return (wf){_mm256_cvtph_ps(_mm_loadu_si128(p)), _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p + 1))};
}

INLINE __m256 half_of_wf_bf16(const void *p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128(p)), 16));
}

INLINE wf wf_bf16(const void *p) { return (wf){half_of_wf_bf16(p), half_of_wf_bf16((const __m128i *)p + 1)}; }

INLINE w32 widen_u8(const void *p) {
    __m128i v = _mm_loadu_si128(p);
    return (w32){_mm256_cvtepu8_epi32(v), _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8))};
}

INLINE wf wf_u8(const void *p) { return wf_of(widen_u8(p)); }

INLINE wf wf_s8(const void *p) {
    __m128i v = _mm_loadu_si128(p);
    return wf_of((w32){_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8))});
}

// As the product of two normal numbers, because the smallest are subnormal.
INLINE __m256 power(__m256i e) {
    __m256i half = _mm256_srli_epi32(e, 1), c = _mm256_set1_epi32(63);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, c), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(e, half), c), 23);
    return _mm256_mul_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b));
}

INLINE wf wf_e8m0(const void *p) {
    w32 e = widen_u8(p);
    return (wf){power(e.a), power(e.b)};
}

INLINE w8 w8_codes(w8 v) { return v; }

#endif
