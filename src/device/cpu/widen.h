// A head's keys or values of one page as floats.
#ifndef DEVICE_CPU_WIDEN_H
#define DEVICE_CPU_WIDEN_H

#include "device/cpu/simd.h"
#include "device/kv_page.h"

// n consecutive elements, floats or halves.
static inline void widen_run(enum type type, const uint8_t *in, size_t n, float *out) {
    size_t whole = n / VEC * VEC;
    if (type == TYPE_F32) {
        memcpy(out, in, n * sizeof *out);
        return;
    }
    for (size_t i = 0; i < whole; i += VEC) vec_store(out + i, vec_load_f16(in + 2 * i));
    for (size_t i = whole; i < n; i++) out[i] = half_to_float(((const uint16_t *)(const void *)in)[i]);
}

// A token's row of `out` has `room` elements.
static inline void widen_values(enum type type, const uint8_t *page, size_t dim, size_t room, float *out) {
    size_t size = type == TYPE_F32 ? 4 : 2;
    for (size_t t = 0; t < PAGE_TOKENS; t++) widen_run(type, page + t * dim * size, dim, out + t * room);
}

#endif
