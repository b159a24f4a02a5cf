// Weights as floats, as type_decode() has them.
#include "tensor/decode.h"

#include "device/cpu/isa.h"
#include "device/cpu/simd.h"

void KERNEL(decode)(enum type type, const void *row, size_t first, size_t n, float *out) {
    size_t i = 0;
    const uint8_t *halves = (const uint8_t *)row + 2 * first;
    for (; type == TYPE_F16 && i + VEC <= n; i += VEC) vec_store(out + i, vec_load_f16(halves + 2 * i));
    decode(type, row, first + i, n - i, out + i);
}
