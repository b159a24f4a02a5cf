#include "device/elementary.h"
#include "train/ops.h"

#include <math.h>

// 1 / sqrt(2), sqrt(2 / pi) and 1 / sqrt(2 pi), as docs/arithmetic.md has the first two.
#define HALF_ROOT 0x1.6a09e6p-1f
#define TANH_BY   0x1.988454p-1f
#define DENSITY   0x1.988454p-2f

static float sigmoid(float x) { return 1 / (1 + exp_f(-x)); }

static float value(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * x * (1 + erf_f(x * HALF_ROOT));
    case UNIT_GELU_TANH: return 0.5f * x * (1 + tanh_f(TANH_BY * (x + 0.044715f * x * x * x)));
    case UNIT_SILU: return x * sigmoid(x);
    case UNIT_RELU: return x < 0 ? 0 : x;
    default: return x < 0 ? 0 : x * x;
    }
}

static float slope(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * (1 + erf_f(x * HALF_ROOT)) + x * DENSITY * exp_f(-0.5f * x * x);
    case UNIT_GELU_TANH: {
        float t = tanh_f(TANH_BY * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * TANH_BY * (1 + 3 * 0.044715f * x * x);
    }
    case UNIT_SILU: {
        float s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    case UNIT_RELU: return x > 0;
    default: return x < 0 ? 0 : 2 * x;
    }
}

void unit_forward(enum unit f, size_t n, const float *x, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = value(f, x[i]);
}

void unit_backward(enum unit f, size_t n, const float *x, const float *dy, float *dx) {
    for (size_t i = 0; i < n; i++) dx[i] = dy[i] * slope(f, x[i]);
}

void gated_forward(enum unit f, size_t n, const float *gate, const float *up, float *y) {
    for (size_t i = 0; i < n; i++) y[i] = value(f, gate[i]) * up[i];
}

void gated_backward(enum unit f, size_t n, const float *gate, const float *up, const float *dy, float *dgate,
                    float *dup) {
    for (size_t i = 0; i < n; i++) {
        float d = dy[i];
        dup[i] = d * value(f, gate[i]);
        dgate[i] = d * up[i] * slope(f, gate[i]);
    }
}
