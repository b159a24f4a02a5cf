// Rounding activations to int8 (docs/arithmetic.md, "Products with quantized weights").
#ifndef DEVICE_GPU_KERNELS_CODES_H
#define DEVICE_GPU_KERNELS_CODES_H

#include "chip.h"

// In the order of magnitudes, NaN above all.
FN uint32_t magnitude_of(float x) { return bits_of_float(x) & 0x7fffffffu; }
FN uint32_t larger(uint32_t a, uint32_t b) { return a > b ? a : b; }

// An element as a code: a float that is an integer of at most 127, ties to even; 0 where the scale is 0.
FN int code_of(float x, float d) {
    float q = x / (d == 0 ? INFINITY : d);
    q = q < 127.0f ? q : 127.0f;
    return integer_of_shifted((q > -127.0f ? q : -127.0f) + SHIFT);
}

#endif
