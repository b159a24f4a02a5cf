// The KV cache's pages (device/kv_page.h) as kernels see them, and the integers that are kept in an 8-bit cache.
#ifndef DEVICE_GPU_KERNELS_CACHE_H
#define DEVICE_GPU_KERNELS_CACHE_H

#include "rows.h"

enum { PAGE = 32, SLAB = 32, FOUR = 4, MOST_DIM = 1024 };

FN unsigned cache_room(uint32_t type, unsigned dim) { return type == CACHE_Q8 ? (dim + FOUR - 1) / FOUR * FOUR : dim; }

// Bytes of a head's `dim` elements of the tokens of a page.
FN size_t cache_head_bytes(uint32_t type, unsigned dim) {
    unsigned element = type == CACHE_F32 ? 4 : type == CACHE_F16 ? 2 : 1;
    return PAGE * ((size_t)cache_room(type, dim) * element + (type == CACHE_Q8 ? 4 : 0));
}

// Where a head's keys, or its values, begin in a page.
FN uint8_t *cache_page(const struct cache_shape *s, struct cached c, unsigned dim, unsigned page, unsigned head) {
    size_t head_bytes = cache_head_bytes(s->type, dim);
    return c.slab[page / SLAB] + c.at + ((size_t)(page % SLAB) * s->heads + head) * head_bytes;
}

// Where element i of a token lies, counted in elements.
FN size_t cache_index(uint32_t type, bool key, unsigned dim, unsigned token, unsigned i) {
    if (type != CACHE_Q8) return key ? (size_t)i * PAGE + token : (size_t)token * dim + i;
    return key ? ((size_t)(i / FOUR) * PAGE + token) * FOUR + i % FOUR
               : ((size_t)(token / FOUR) * cache_room(type, dim) + i) * FOUR + token % FOUR;
}

FN float *cache_scale(uint8_t *page, unsigned dim, unsigned token) {
    return (float *)(page + PAGE * (size_t)cache_room(CACHE_Q8, dim)) + token;
}

// Of a cache of floats or halves.
FN float cache_float(uint32_t type, const uint8_t *page, size_t at) {
    return type == CACHE_F32 ? float_of_bits(word_at(page + 4 * at)) : float_of_half(half_at(page + 2 * at));
}

// Spreads x, of the block, by the fast Walsh-Hadamard transform: its first elements, as many as a power of two, and
// where these are not all, its last ones (docs/arithmetic.md, "Attention").
FN void spread_power(float *x, unsigned size) {
    for (unsigned distance = 1; distance < size; distance *= 2) {
        for (unsigned i = THREAD; i < size / 2; i += THREADS) {
            unsigned k = i / distance * 2 * distance + i % distance;
            float first = x[k], second = x[k + distance];
            x[k] = first + second;
            x[k + distance] = first - second;
        }
        barrier();
    }
    float scale = 1 / sqrtf((float)size);
    for (unsigned i = THREAD; i < size; i += THREADS) x[i] *= scale;
    barrier();
}

FN void spread_row(float *x, unsigned n) {
    unsigned size = 1;
    while (size * 2 <= n) size *= 2;
    spread_power(x, size);
    if (size < n) spread_power(x + n - size, size);
}

// The scale of n floats of the block: NaN where there is a NaN or an infinity.
FN float scale_of_row(const float *x, unsigned n, uint32_t *room) {
    uint32_t most = 0;
    for (unsigned i = THREAD; i < n; i += THREADS) {
        uint32_t size = bits_of_float(x[i]) & 0x7fffffffu;
        most = size > most ? size : most;
    }
    most = most_of_block(most, room);
    return most < 0x7f800000u ? float_of_bits(most) / 127.0f : NAN;
}

// 0 where the scale is 0 or NaN.
FN int cache_code(float x, float scale) {
    float q = scale > 0 ? x / scale : 0;
    q = q < 127.0f ? q : 127.0f;
    return integer_of_shifted((q > -127.0f ? q : -127.0f) + SHIFT);
}

#endif
