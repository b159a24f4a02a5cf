// Repeatable random data for the device tests.
#ifndef TESTS_DEVICE_RANDOM_H
#define TESTS_DEVICE_RANDOM_H

#include <stdint.h>
#include <stdlib.h>

#include "device/device.h"

static uint64_t random_state = 1;

static inline uint32_t random_bits(void) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

// In [low, high].
static inline size_t random_size(size_t low, size_t high) { return low + random_bits() % (high - low + 1); }

static inline float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }

// n floats: mostly in [-2, 2], now and then large, tiny or zero. malloc'd.
static inline float *random_floats(size_t n) {
    static const float odd[] = {0, -0.0f, 1e-40f, -1e-30f, 100, -1000};
    float *x = malloc(n * sizeof *x + 1);
    for (size_t i = 0; i < n; i++) x[i] = random_bits() % 64 ? 2 * random_float() : odd[random_bits() % 6];
    return x;
}

// A matrix of random bytes, no infinities or NaNs among its numbers; free((void *)w.data).
static inline struct weight random_weight(enum type type, size_t rows, size_t cols) {
    size_t n = rows * type_row_bytes(type, cols);
    uint8_t *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(random_bits() & 0xbf); // bit 14 of a half, 30 of a float
    return (struct weight){type, rows, cols, p, NULL};
}

#endif
