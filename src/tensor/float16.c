#include "tensor/float16.h"
#include "tensor/type.h"

float f16_to_f32(uint16_t h) { return half_to_float(h); }

float bf16_to_f32(uint16_t h) { return bfloat_to_float(h); }

// Adding a power of two whose unit in the last place is the half's own makes the hardware round to nearest even at the
// right bit, whatever the half's exponent, subnormals included; the fraction is then read off.
uint16_t f32_to_f16(float f) {
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (rest >> 13 & 0x3ffu));
    if (rest >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); // 65520 and above round to infinity
    if (rest < 0x38800000u) {                                   // below 2^-14: a multiple of 2^-24
        uint32_t n = bits_of_float(float_of_bits(rest) + 0.5f) - bits_of_float(0.5f);
        return (uint16_t)(sign | n);
    }
    uint32_t odd = rest >> 13 & 1u;
    return (uint16_t)(sign | ((rest - (112u << 23) + 0xfffu + odd) >> 13));
}

uint16_t f32_to_bf16(float f) {
    uint32_t bits = bits_of_float(f);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
