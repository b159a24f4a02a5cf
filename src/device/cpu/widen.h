// A head's keys or values of one page as floats.
#ifndef DEVICE_CPU_WIDEN_H
#define DEVICE_CPU_WIDEN_H

#include "device/cpu/simd.h"
#include "device/kv_page.h"

// n consecutive elements; codes to be multiplied by `scale`.
static inline void widen_f32(const uint8_t *in, size_t n, float *out) { memcpy(out, in, n * sizeof *out); }

static inline void widen_f16(const uint8_t *in, size_t n, float *out) {
    size_t whole = n / VEC * VEC;
    for (size_t i = 0; i < whole; i += VEC) vec_store(out + i, vec_load_f16(in + 2 * i));
    for (size_t i = whole; i < n; i++) out[i] = half_to_float(((const uint16_t *)(const void *)in)[i]);
}

static inline void widen_q8(const uint8_t *in, size_t n, float scale, float *out) {
    size_t whole = n / VEC * VEC;
    for (size_t i = 0; i < whole; i += VEC) vec_store(out + i, vec_load_i8(in + i) * vec_fill(scale));
    for (size_t i = whole; i < n; i++) out[i] = (float)(int8_t)in[i] * scale;
}

static inline void widen_run(enum type type, const uint8_t *in, size_t n, float *out) {
    if (type == TYPE_F32)
        widen_f32(in, n, out);
    else
        widen_f16(in, n, out);
}

// Codes of one block of keys, [dim][token], with a scale for each token.
static inline void widen_keys_q8(const uint8_t *in, size_t dims, const uint16_t *scales, float *out) {
    float scale[PAGE_TOKENS];
    widen_f16((const uint8_t *)scales, PAGE_TOKENS, scale);
    for (size_t i = 0; i < dims; i++)
        for (size_t t = 0; t < PAGE_TOKENS; t += VEC)
            vec_store(out + i * PAGE_TOKENS + t, vec_load_i8(in + i * PAGE_TOKENS + t) * vec_load(scale + t));
}

static inline void widen_keys(enum type type, const uint8_t *page, size_t dim, float *out) {
    if (type != TYPE_Q8_0) {
        widen_run(type, page, PAGE_TOKENS * dim, out);
        return;
    }
    const uint16_t *scales = (const uint16_t *)(const void *)(page + PAGE_TOKENS * dim);
    for (size_t i = 0; i < dim; i += KV_BLOCK, scales += PAGE_TOKENS)
        widen_keys_q8(page + i * PAGE_TOKENS, dim - i < KV_BLOCK ? dim - i : KV_BLOCK, scales, out + i * PAGE_TOKENS);
}

// A token's row of `out` has `room` elements.
static inline void widen_values(enum type type, const uint8_t *page, size_t dim, size_t room, float *out) {
    const uint16_t *scales = (const uint16_t *)(const void *)(page + PAGE_TOKENS * dim);
    size_t size = type == TYPE_F32 ? 4 : type == TYPE_F16 ? 2 : 1, blocks = kv_blocks(dim);
    for (size_t t = 0; t < PAGE_TOKENS; t++) {
        const uint8_t *row = page + t * dim * size;
        if (type != TYPE_Q8_0)
            widen_run(type, row, dim, out + t * room);
        else
            for (size_t b = 0; b < blocks; b++)
                widen_q8(row + b * KV_BLOCK, b + 1 < blocks ? KV_BLOCK : dim - b * KV_BLOCK,
                         half_to_float(scales[t * blocks + b]), out + t * room + b * KV_BLOCK);
    }
}

#endif
