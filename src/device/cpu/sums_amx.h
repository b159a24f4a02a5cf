// Sums of sixteen rows in vectors, as a chunk begins and ends: sum_begin() and sum_end() with one decision for all.
#ifndef DEVICE_CPU_SUMS_AMX_H
#define DEVICE_CPU_SUMS_AMX_H

#include "device/cpu/product.h"

INLINE void panel_begin(const struct sums *v, size_t at, struct part p, wf acc[TILE]) {
    if (p.first) {
        UNROLL(16)
        for (size_t r = 0; r < TILE; r++) acc[r] = wf_fill(0);
    } else {
        UNROLL(16)
        for (size_t r = 0; r < TILE; r++) acc[r] = wf_load(v->now + at + SUM(r, 0));
    }
}

INLINE void panel_end(struct sums *v, size_t at, struct part p, wf acc[TILE]) {
    float *to = v->now + at;
    if (p.last) {
        unsigned level = 0;
        for (; p.segment >> level & 1; level++) {
            const float *done = v->done[level] + at;
            UNROLL(16)
            for (size_t r = 0; r < TILE; r++) acc[r] = wf_add(wf_load(done + SUM(r, 0)), acc[r]);
        }
        if (level < SEGMENTS_LOG) to = v->done[level] + at;
    }
    UNROLL(16)
    for (size_t r = 0; r < TILE; r++) wf_store(to + SUM(r, 0), acc[r]);
}

#endif
