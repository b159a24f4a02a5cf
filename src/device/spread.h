// Walsh-Hadamard's orthogonal matrix, by the fast transform: a few large elements of a vector become many of middle
// size, and products of two vectors stay what they are. Rounded keys lose a third of what they lose otherwise (Ashkboos
// et al., "QuaRot", 2024).
#ifndef DEVICE_SPREAD_H
#define DEVICE_SPREAD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The largest power of two up to n.
static inline size_t spread_size(size_t n) {
    size_t size = 1;
    while (size * 2 <= n) size *= 2;
    return size;
}

// The stages of distance 1, 2 and 4 of eight elements in a vector: with its neighbour y in the stage's pair, an element
// becomes y + x in the first half of the pair, y - x in the second.
static inline void spread_8(float *x) {
    typedef float f32 __attribute__((vector_size(32)));
    typedef uint32_t u32 __attribute__((vector_size(32)));
    const uint32_t m = 1u << 31;
    f32 v;
    memcpy(&v, x, sizeof v);
    v = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6) + (f32)((u32)v ^ (u32){0, m, 0, m, 0, m, 0, m});
    v = __builtin_shufflevector(v, v, 2, 3, 0, 1, 6, 7, 4, 5) + (f32)((u32)v ^ (u32){0, 0, m, m, 0, 0, m, m});
    v = __builtin_shufflevector(v, v, 4, 5, 6, 7, 0, 1, 2, 3) + (f32)((u32)v ^ (u32){0, 0, 0, 0, m, m, m, m});
    memcpy(x, &v, sizeof v);
}

static inline void spread_stage(float *x, size_t size, size_t distance) {
    for (size_t i = 0; i < size; i += 2 * distance)
        for (size_t k = i; k < i + distance; k++) {
            float a = x[k], b = x[k + distance];
            x[k] = a + b;
            x[k + distance] = a - b;
        }
}

// Of `size` elements, a power of two.
static inline void spread_power(float *x, size_t size) {
    size_t distance = size < 8 ? 1 : 8;
    for (size_t i = 0; i < size && size >= 8; i += 8) spread_8(x + i);
    for (; distance < size; distance *= 2) spread_stage(x, size, distance);
    float scale = 1 / sqrtf((float)size);
    for (size_t i = 0; i < size; i++) x[i] *= scale;
}

// The first `size` elements, then, if that is not all, the last.
static inline void spread(float *x, size_t n) {
    size_t size = spread_size(n);
    spread_power(x, size);
    if (size < n) spread_power(x + n - size, size);
}

#endif
