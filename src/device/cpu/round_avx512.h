// Rounding activations to int8 by AVX-512: what round_group() does in plain C. Part of quantize.c.
#ifndef DEVICE_CPU_ROUND_AVX512_H
#define DEVICE_CPU_ROUND_AVX512_H

#include "device/cpu/tile.h"
#include "device/cpu/wide.h"

#if defined(__AVX512F__)
INLINE w32 magnitudes(const float *x) { return _mm512_and_si512(w8_load(x), _mm512_set1_epi32(INT32_MAX)); }

INLINE uint32_t magnitude(const float *x) {
    return _mm512_reduce_max_epu32(_mm512_max_epu32(magnitudes(x), magnitudes(x + LANES)));
}

// Half a group as x / by, also as bytes; NaN becomes 127.
INLINE w32 round_half(const float *x, wf by, int8_t *q) {
    wf v = _mm512_div_ps(wf_load(x), by);
    v = _mm512_max_ps(_mm512_min_ps(v, wf_fill(127)), wf_fill(-127));
    w32 n = _mm512_sub_epi32(_mm512_castps_si512(wf_add(v, wf_fill(0x1.8p23f))), _mm512_set1_epi32(0x4b400000));
    _mm_storeu_si128((void *)q, _mm512_cvtepi32_epi8(n));
    return n;
}

INLINE void round_group(const float *x, float d, int8_t q[GROUP], int32_t sum[2]) {
    wf by = wf_fill(d == 0 ? INFINITY : d);
    sum[0] = _mm512_reduce_add_epi32(round_half(x, by, q));
    sum[1] = _mm512_reduce_add_epi32(round_half(x + LANES, by, q + LANES));
}
#endif

#endif
