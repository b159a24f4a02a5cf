// The CPU device's parts.
#ifndef DEVICE_CPU_CPU_H
#define DEVICE_CPU_CPU_H

#include "base/threads.h"
#include "device/cpu/kernels.h"

struct cpu {
    struct device device;
    const struct kernels *kernels;
    struct pool *pool;
    void *scratch; // packed activations of one product
    size_t scratch_bytes;
    struct attend *attend; // [threads]
    float *parts;          // [threads][PART_FLOATS]
};

// Floats of a thread's share of parts: a block's, whatever its shape, and enough to cut a sequence into its spans.
enum { PART_FLOATS = 1 << 20 };
_Static_assert(PART_FLOATS >= QUERIES * (KV_MOST_DIM + 16), "a block of queries fits");

static inline struct cpu *cpu_of(struct device *d) { return (struct cpu *)d; }

// The kernels named `isa`, or the best this chip has if NULL.
const struct kernels *cpu_kernels(const char *isa, gyr_error *e);

// Operations.
bool cpu_bind(struct device *d, struct weight *w, gyr_error *e);
void cpu_unbind(struct device *d, struct weight *w);
size_t cpu_form_bytes(struct device *d, const struct weight *w);
bool cpu_form_make(struct device *d, struct weight *w);
bool cpu_form_take(struct device *d, struct weight *w, const void *form);
bool cpu_form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to);
bool cpu_form_lock(struct device *d, const struct weight *w);
void cpu_matmul(struct device *d, const struct weight *w, const float *x, size_t rows, const float *bias, float *y);
void cpu_products(struct device *d, const struct product *list, size_t n);
void cpu_adapt(struct device *d, const struct adapting *list, size_t n);
void cpu_head_products(struct device *d, const struct head_products *a);
void cpu_qkv(struct device *d, const struct qkv *a);
bool cpu_attention_new(struct cpu *c, gyr_error *e);
void cpu_route(struct device *d, const struct route *a);
void cpu_experts(struct device *d, const struct experts *a);
void cpu_sum_rows(struct device *d, const struct sum_rows *a);
void cpu_move(struct device *d, const float *x, size_t x_row, float *y, size_t y_row, size_t rows, size_t n);
void cpu_gate(struct device *d, const struct gate *a);
void cpu_scale(struct device *d, float *x, float by, size_t n);
void cpu_attention(struct device *d, const struct attention *a);
void cpu_choose(struct device *d, const struct choice *a);
void cpu_conv(struct device *d, const struct conv *a);
void cpu_recur(struct device *d, const struct recur *a);

#endif
