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

INLINE void round_to_run(const float *x, size_t r, size_t halves, struct run_panel *out) {
    uint32_t most = 0;
    for (size_t g = 0; g < RUN; g++) {
        uint32_t of_group = magnitude(x + g * GROUP);
        most = of_group > most ? of_group : most;
    }
    float d = float_of_bits(most) / 127.0f;
    int16_t low[2 * RUN] = {0};
    for (size_t g = 0; g < RUN; g++) {
        int32_t sum[2];
        round_group(x + g * GROUP, d, out->q[g / 2][r] + g % 2 * GROUP, sum);
        if (halves == 1) sum[0] += sum[1];
        for (size_t h = 0; h < halves; h++) low[g * halves + h] = (int16_t)sum[h];
    }
    out->d[r] = d;
    memcpy(out->low[r], low, sizeof low);
}

// The same in runs, of so many blocks.
static void round_runs(const float *x, size_t blocks, size_t halves, size_t rows, size_t r, struct segments s,
                       struct run_panel *batch) {
    enum { RUNS = 2 };
    size_t panels = amx_panels(rows), i = r / TILE, after = r + 1 < rows ? TILE : r % TILE + 1;
    for (size_t n = s.first; n < s.end; n++) {
        size_t from = segment_start(blocks, n) * RUNS, to = segment_start(blocks, n + 1) * RUNS;
        struct run_panel *out = batch + amx_at(panels, i, from, to - from);
        for (size_t k = from; k < to; k++, out++) {
            round_to_run(x + k * RUN * GROUP, r % TILE, halves, out);
            for (size_t m = after; m < TILE; m++) {
                memset(out->q[0][m], 0, sizeof out->q[0][m]);
                memset(out->q[1][m], 0, sizeof out->q[1][m]);
                memset(out->low[m], 0, sizeof out->low[m]);
                out->d[m] = 0;
            }
        }
    }
}
#endif

#endif
