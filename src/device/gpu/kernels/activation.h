// Activation functions (docs/arithmetic.md, "Activation functions"): left to right, each operation rounded.
#ifndef DEVICE_GPU_KERNELS_ACTIVATION_H
#define DEVICE_GPU_KERNELS_ACTIVATION_H

#include "chip.h"

enum { GELU, GELU_TANH, SILU, RELU, RELU2, SIGMOID }; // enum activation of device.h

FN float gelu_by_tanh(float x) {
    float u = 0x1.988454p-1f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanh_f(u));
}

FN float activated(unsigned kind, float x) {
    switch (kind) {
    case GELU: return 0.5f * x * (1.0f + erf_f(x * 0x1.6a09e6p-1f));
    case GELU_TANH: return gelu_by_tanh(x);
    case SILU: return x / (1.0f + exp_f(-x));
    case RELU: return x < 0 ? 0 : x;
    case RELU2: return (x < 0 ? 0 : x) * (x < 0 ? 0 : x);
    default: return 1.0f / (1.0f + exp_f(-x));
    }
}

#endif
