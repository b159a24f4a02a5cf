// Activations rounded to int8 for AMX: what quantize() does, in its panels. Part of quantize.c.
#ifndef DEVICE_CPU_ROUND_Q_AMX_H
#define DEVICE_CPU_ROUND_Q_AMX_H

#include "device/cpu/panel_q_amx.h"

#if defined(__AMX_INT8__)
// Sixteen of a group as x / by; NaN becomes 127, as in round_group().
INLINE w32 round_half(const float *x, wf by) {
    wf shift = wf_fill(0x1.8p23f), v = _mm512_div_ps(wf_load(x), by);
    v = _mm512_max_ps(_mm512_min_ps(v, wf_fill(127)), wf_fill(-127));
    return _mm512_sub_epi32(_mm512_castps_si512(wf_add(v, shift)), _mm512_set1_epi32(0x4b400000));
}

INLINE void round_to_panel(const float *x, size_t r, struct panel *out) {
    w32 sign = _mm512_set1_epi32(INT32_MAX);
    w32 most = _mm512_max_epu32(_mm512_and_si512(w8_load(x), sign), _mm512_and_si512(w8_load(x + LANES), sign));
    float d = float_of_bits(_mm512_reduce_max_epu32(most)) / 127.0f;
    wf by = wf_fill(d == 0 ? INFINITY : d);
    w32 low = round_half(x, by), high = round_half(x + LANES, by);
    _mm_storeu_si128((void *)out->q[r], _mm512_cvtepi32_epi8(low));
    _mm_storeu_si128((void *)(out->q[r] + LANES), _mm512_cvtepi32_epi8(high));
    out->d[r] = d;
    out->low[r] = d * (float)_mm512_reduce_add_epi32(w32_add(low, high));
}

// The last row also clears those that its panel lacks.
static void round_panels(const float *x, size_t groups, size_t rows, size_t r, struct panel *batch) {
    size_t panels = amx_panels(rows), i = r / TILE, after = r + 1 < rows ? TILE : r % TILE + 1;
    for (size_t s = 0; s < SEGMENTS; s++) {
        size_t from = segment_start(groups, s), to = segment_start(groups, s + 1);
        struct panel *out = batch + amx_at(panels, i, from, to - from);
        for (size_t g = from; g < to; g++, x += GROUP, out++) {
            round_to_panel(x, r % TILE, out);
            for (size_t k = after; k < TILE; k++) {
                memset(out->q[k], 0, GROUP);
                out->d[k] = out->low[k] = 0;
            }
        }
    }
}
#endif

#endif
