// Activations as training has them, and their slopes: of the host (cpu/gradient.c) and of cards (gpu/kernels/units.cu).
#ifndef DEVICE_UNITS_H
#define DEVICE_UNITS_H

#ifndef GPU_KERNEL
#include "device/elementary.h"
#endif

enum unit { UNIT_GELU, UNIT_GELU_TANH, UNIT_SILU, UNIT_RELU, UNIT_RELU2, UNIT_SIGMOID, UNIT_TANH };

// 1 / sqrt(2), sqrt(2 / pi) and 1 / sqrt(2 pi), as docs/arithmetic.md has the first two.
#define UNIT_HALF_ROOT 0x1.6a09e6p-1f
#define UNIT_TANH_BY   0x1.988454p-1f
#define UNIT_DENSITY   0x1.988454p-2f

ELEMENTARY float unit_sigmoid(float x) { return 1 / (1 + exp_f(-x)); }

ELEMENTARY float unit_value(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * x * (1 + erf_f(x * UNIT_HALF_ROOT));
    case UNIT_GELU_TANH: return 0.5f * x * (1 + tanh_f(UNIT_TANH_BY * (x + 0.044715f * x * x * x)));
    case UNIT_SILU: return x * unit_sigmoid(x);
    case UNIT_RELU: return either(x < 0, 0, x);
    case UNIT_SIGMOID: return unit_sigmoid(x);
    case UNIT_TANH: return tanh_f(x);
    default: return either(x < 0, 0, x * x);
    }
}

ELEMENTARY float unit_slope(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * (1 + erf_f(x * UNIT_HALF_ROOT)) + x * UNIT_DENSITY * exp_f(-0.5f * x * x);
    case UNIT_GELU_TANH: {
        float t = tanh_f(UNIT_TANH_BY * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * UNIT_TANH_BY * (1 + 3 * 0.044715f * x * x);
    }
    case UNIT_SILU: {
        float s = unit_sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    case UNIT_RELU: return either(x > 0, 1, 0);
    case UNIT_SIGMOID: return unit_sigmoid(x) * (1 - unit_sigmoid(x));
    case UNIT_TANH: return 1 - tanh_f(x) * tanh_f(x);
    default: return either(x < 0, 0, 2 * x);
    }
}

#endif
