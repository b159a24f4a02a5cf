// Activations rounded to int8 for AMX: what quantize() does, in its panels. Part of quantize.c.
#ifndef DEVICE_CPU_ROUND_Q_AMX_H
#define DEVICE_CPU_ROUND_Q_AMX_H

#include "device/cpu/panel_q_amx.h"

#ifdef AMX_HERE
INLINE void round_to_panel(const float *x, size_t r, struct panel *out) {
    int32_t sum[2];
    float d = float_of_bits(magnitude(x)) / 127.0f;
    round_group(x, d, out->q[r], sum);
    out->d[r] = d;
    out->low[r] = d * (float)(sum[0] + sum[1]);
}

// The last row also clears those that its panel lacks.
static void round_panels(const float *x, size_t groups, size_t rows, size_t r, struct segments s, struct panel *batch) {
    size_t panels = amx_panels(rows), i = r / TILE, after = r + 1 < rows ? TILE : r % TILE + 1;
    for (size_t n = s.first; n < s.end; n++) {
        size_t from = segment_start(groups, n), to = segment_start(groups, n + 1);
        struct panel *out = batch + amx_at(panels, i, from, to - from);
        for (size_t g = from; g < to; g++, out++) {
            round_to_panel(x + g * GROUP, r % TILE, out);
            for (size_t k = after; k < TILE; k++) {
                memset(out->q[k], 0, GROUP);
                out->d[k] = out->low[k] = 0;
            }
        }
    }
}
#endif

#endif
