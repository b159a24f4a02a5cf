// What the kernels of 16-bit weights are given: a run of some tiles and rows.
#ifndef DEVICE_CPU_JOB_W16_H
#define DEVICE_CPU_JOB_W16_H

#include "device/cpu/product.h"
#include "device/cpu/tile_w16.h"

// A run's work: `tiles` tiles `next` bytes apart, and rows whose planes are `stride` bytes apart. What lies `ahead`
// bytes after the tiles' bytes is wanted next.
struct job {
    const uint8_t *w, *x;
    size_t next, stride, n, ahead;
    const struct act16 *unit;
};

INLINE wf scaled(const struct job *j, size_t tile, size_t r, w32 sum, wf acc) {
    wf s = wf_mul(wf_load(j->w + tile * j->next), wf_fill(j->unit[r].d));
    return wf_fma(s, wf_of(w32_add(sum, w32_fill(&j->unit[r].start))), acc);
}

#endif
