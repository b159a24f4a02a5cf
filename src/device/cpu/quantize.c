// Activations to int8, straight into the product's order.
#include "device/cpu/isa.h"
#include "tensor/float16.h"

// Integers compare as the magnitudes they encode, NaN above all: a NaN makes its block's scale NaN, not a lie.
static float magnitude(const float *x) {
    uint32_t most = 0;
    for (int i = 0; i < GROUP; i++) {
        uint32_t a = bits_of_float(x[i]) & 0x7fffffffu;
        most = a > most ? a : most;
    }
    return float_of_bits(most);
}

static float block(const float *x, int8_t q[GROUP], int32_t sum[2]) {
    const float shift = 0x1.8p23f; // adding it rounds to an integer, ties to even
    float d = magnitude(x) / 127.0f;
    for (int i = 0; i < GROUP; i++) {
        float v = d == 0 ? 0 : x[i] / d;
        v = v < 127.0f ? v : 127.0f;
        v = v > -127.0f ? v : -127.0f;
        q[i] = (int8_t)(int32_t)(bits_of_float(v + shift) - bits_of_float(shift));
    }
    for (int h = 0; h < 2; h++) {
        sum[h] = 0;
        for (int i = 0; i < GROUP / 2; i++) sum[h] += q[h * (GROUP / 2) + i];
    }
    return d;
}

void KERNEL(quantize)(const float *x, size_t n, struct qact *out) {
    size_t blocks = n / GROUP, steps = act_steps(blocks);
    for (size_t s = 0; s < SEGMENTS; s++) {
        size_t start = segment_start(blocks, s), end = segment_start(blocks, s + 1);
        for (size_t j = 0; j < steps; j++) {
            int8_t q[GROUP] = {0};
            int32_t sum[2] = {0, 0};
            out[j].d[s] = start + j < end ? block(x + (start + j) * GROUP, q, sum) : 0;
            for (int h = 0; h < 2; h++) out[j].sum[h][s] = sum[h];
            for (int k = 0; k < GROUP / 4; k++) memcpy(out[j].q[k][s], q + 4 * k, 4);
        }
    }
}
