// The 64-byte vectors of wide.h in AVX-512 with VNNI.
#ifndef DEVICE_CPU_WIDE_AVX512_H
#define DEVICE_CPU_WIDE_AVX512_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#if defined(__AMX_INT8__) || defined(__AMXINT8__) // the latter by Clang before 15
#define AMX_HERE
#endif

#define INLINE static inline __attribute__((always_inline))

#define WIDE_ROWS 6
#ifdef AMX_HERE
enum { FETCHED = 1, AT_ONCE = 8 };
#else
enum { FETCHED = 2, AT_ONCE = 2 };
#endif
enum { FEW = 64, FEW_ROWS = 8, WIDE_TILES = 2, WIDE_CHAINS = 12, WIDE_SIGNED_ZERO = 128 };

typedef __m512i w8;
typedef __m512i w32;
typedef __m512 wf;
typedef uint16_t wide_halves __attribute__((vector_size(64)));

INLINE w8 w8_load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void w8_store(void *p, w8 v) { _mm512_storeu_si512(p, v); }
INLINE w8 w8_or(w8 a, w8 b) { return _mm512_or_si512(a, b); }

INLINE w8 w8_field(w8 v, int right, uint8_t mask) {
    wide_halves h = (wide_halves)v;
    h = right >= 0 ? h >> (right & 15) : h << (-right & 15);
    return _mm512_and_si512((__m512i)h, _mm512_set1_epi8((char)mask));
}

INLINE w8 w8_pair(const void *p) {
    __m256i v = _mm256_loadu_si256(p), four = _mm256_set1_epi8(15);
    __m256i high = _mm256_and_si256(_mm256_srli_epi16(v, 4), four);
    return _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_and_si256(v, four)), high, 1);
}

INLINE w8 w8_lookup(const uint8_t table[16], w8 v) {
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(_mm_loadu_si128((const void *)table)), v);
}

INLINE w8 w8_signed(w8 v) { return v; }

INLINE w32 w32_zero(void) { return _mm512_setzero_si512(); }

INLINE w32 w32_fill(const void *p) {
    int32_t v;
    memcpy(&v, p, sizeof v);
    return _mm512_set1_epi32(v);
}

INLINE w32 w32_dot(w32 acc, w8 u, w32 a) { return _mm512_dpbusd_epi32(acc, u, a); }
INLINE w32 w32_dot_low(w32 acc, w8 u, w32 a) { return _mm512_dpbusd_epi32(acc, u, a); }
INLINE w32 w32_add(w32 a, w32 b) { return _mm512_add_epi32(a, b); }
INLINE w32 w32_shift8(w32 v) { return _mm512_slli_epi32(v, 8); }
INLINE w32 w32_dot_signed(w32 acc, w8 u, w32 a) { return _mm512_dpbusd_epi32(acc, u, a); }

INLINE wf wf_load(const void *p) { return _mm512_loadu_ps(p); }
INLINE void wf_store(void *p, wf v) { _mm512_storeu_ps(p, v); }
INLINE wf wf_fill(float x) { return _mm512_set1_ps(x); }
INLINE wf wf_add(wf a, wf b) { return _mm512_add_ps(a, b); }
INLINE wf wf_mul(wf a, wf b) { return _mm512_mul_ps(a, b); }
INLINE wf wf_fma(wf a, wf b, wf c) { return _mm512_fmadd_ps(a, b, c); }
INLINE wf wf_neg(wf a) { return -a; }
INLINE wf wf_words(w32 v) { return _mm512_castsi512_ps(v); }
INLINE wf wf_of(w32 v) { return _mm512_cvtepi32_ps(v); }
INLINE wf wf_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256(p)); }
INLINE wf wf_bf16(const void *p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p)), 16));
}
INLINE wf wf_u8(const void *p) { return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p))); }
INLINE wf wf_s8(const void *p) { return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p))); }

// As the product of two normal numbers, because the smallest are subnormal.
INLINE wf wf_e8m0(const void *p) {
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128(p)), half = _mm512_srli_epi32(e, 1), c = _mm512_set1_epi32(63);
    __m512i a = _mm512_slli_epi32(_mm512_add_epi32(half, c), 23);
    __m512i b = _mm512_slli_epi32(_mm512_add_epi32(_mm512_sub_epi32(e, half), c), 23);
    return _mm512_mul_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b));
}

#ifdef AMX_HERE
// Bytes of a row, and rows, of the eight tile registers: LDTILECFG in Intel's manual.
struct tile_shape {
    uint8_t palette, start, reserved[14];
    uint16_t bytes[16];
    uint8_t rows[16];
} __attribute__((aligned(64)));

// GCC's intrinsic says that it reads eight bytes, so the compiler is told of the others.
INLINE void tile_shape_load(struct tile_shape *s) {
    s->palette = 1;
    __asm__ volatile("" : : "r"(s) : "memory");
    _tile_loadconfig(s);
}
#endif

INLINE w8 w8_codes(w8 v) { return _mm512_xor_si512(v, _mm512_set1_epi8(-128)); }

#endif
