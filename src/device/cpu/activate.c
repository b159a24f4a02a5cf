// Activation functions, in place; and gates by them.
#include "device/cpu/isa.h"
#include "device/elementary.h"

#include <string.h>

static inline float gelu(float x) { return 0.5f * x * (1.0f + erf_f(x * 0x1.6a09e6p-1f)); }

// Hendrycks and Gimpel, 2016: the approximation by tanh.
static inline float gelu_tanh(float x) {
    float u = 0x1.988454p-1f * (x + 0.044715f * x * x * x);
    return 0.5f * x * (1.0f + tanh_f(u));
}

static inline float silu(float x) { return x / (1.0f + exp_f(-x)); }

static inline float sigmoid(float x) { return 1.0f / (1.0f + exp_f(-x)); }

static inline float relu(float x) { return x < 0 ? 0 : x; }

void KERNEL(activate)(enum activation kind, float *x, size_t n) {
    switch (kind) {
    case ACT_GELU:
        for (size_t i = 0; i < n; i++) x[i] = gelu(x[i]);
        return;
    case ACT_GELU_TANH:
        for (size_t i = 0; i < n; i++) x[i] = gelu_tanh(x[i]);
        return;
    case ACT_SILU:
        for (size_t i = 0; i < n; i++) x[i] = silu(x[i]);
        return;
    case ACT_RELU:
        for (size_t i = 0; i < n; i++) x[i] = relu(x[i]);
        return;
    case ACT_RELU2:
        for (size_t i = 0; i < n; i++) x[i] = relu(x[i]) * relu(x[i]);
        return;
    case ACT_SIGMOID:
        for (size_t i = 0; i < n; i++) x[i] = sigmoid(x[i]);
        return;
    }
}

void KERNEL(gate)(enum activation kind, const float *gate, const float *up, size_t n, float *out) {
    memmove(out, gate, n * sizeof *out);
    KERNEL(activate)(kind, out, n);
    for (size_t i = 0; i < n; i++) out[i] *= up[i];
}

// Bello et al., 2017: a soft bound on scores.
void KERNEL(cap)(float *x, float most, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = most * tanh_f(x[i] / most);
}

void KERNEL(exps)(const float *x, size_t n, float best, float by, float least, float *out) {
    for (size_t i = 0; i < n; i++) {
        float below = either(x[i] == best, 0, x[i] - best) / by;
        out[i] = either(x[i] >= least, exp_f(below), 0);
    }
}

void KERNEL(gate_clamped)(float limit, float alpha, const float *gate, const float *up, size_t n, float *out) {
    for (size_t i = 0; i < n; i++) {
        float g = gate[i] > limit ? limit : gate[i];
        float u = up[i] > limit ? limit : up[i] < -limit ? -limit : up[i];
        out[i] = (u + 1.0f) * (g / (1.0f + exp_f(-(alpha * g))));
    }
}
