// The CPU device's parts.
#ifndef DEVICE_CPU_CPU_H
#define DEVICE_CPU_CPU_H

#include "base/threads.h"
#include "device/cpu/kernels.h"

struct cpu {
    struct device device;
    const struct kernels *kernels;
    struct pool *pool;
    struct qact *scratch; // quantized activations of one product
    size_t scratch_bytes;
};

static inline struct cpu *cpu_of(struct device *d) { return (struct cpu *)d; }

// The kernels named `isa`, or the best this chip has if NULL.
const struct kernels *cpu_kernels(const char *isa, gyr_error *e);

// Operations.
bool cpu_bind(struct device *d, struct weight *w, gyr_error *e);
void cpu_matmul(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y);
void cpu_qkv(struct device *d, const struct qkv *a);
void cpu_attention(struct device *d, const struct attention *a);

#endif
