// Half and bfloat16 to float, inline: the kernels decode caches and scales with them.
#ifndef TENSOR_FLOAT16_H
#define TENSOR_FLOAT16_H

#include <stdint.h>
#include <string.h>

#if defined(__F16C__)
#include <immintrin.h>
#endif

static inline float float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

// The half's exponent and fraction, moved into place, are the value times 2^-112, subnormals too, so that one exact
// product is all it takes. NaNs come out quiet, as hardware converts them.
static inline float half_to_float(uint16_t h) {
#if defined(__F16C__)
    return _cvtsh_ss(h);
#else
    uint32_t rest = h & 0x7fffu;
    uint32_t bits = bits_of_float(float_of_bits(rest << 13) * 0x1p112f);
    if (rest >= 0x7c00) bits |= 0x7f800000u;
    if (rest > 0x7c00) bits |= 0x00400000u;
    return float_of_bits(bits | (uint32_t)(h & 0x8000u) << 16);
#endif
}

static inline float bfloat_to_float(uint16_t h) { return float_of_bits((uint32_t)h << 16); }

#endif
