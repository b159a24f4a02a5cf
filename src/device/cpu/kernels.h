// The CPU's kernels: plain C, compiled once for each instruction set; the portable build defines the bytes.
//
// Everything here works on a slice of rows, on one thread. Sums have a fixed shape (docs/arithmetic.md):
// - quantized matmul: activations rounded to int8 blocks of 32; the dot of a block is an exact int32; blocks are
//   accumulated with fmaf in ascending order within each of 8 contiguous segments of K; the 8 sums are added as a
//   fixed tree ((0+1)+(2+3))+((4+5)+(6+7));
// - float dots: 16 strided lanes of fmaf, then a fixed tree.
#ifndef DEVICE_CPU_KERNELS_H
#define DEVICE_CPU_KERNELS_H

#include "device/device.h"

enum { SEGMENTS = 8, LANES = 16, GROUP = 32 };

// 32 activations as int8: x[i] ~ d * q[i]; sum[h] is the sum of q over half h.
struct qact {
    float d;
    int16_t sum[2];
    int8_t q[GROUP];
};

struct kernels {
    const char *isa;
    // n is a multiple of 32. d = max|x| / 127; q = x / d rounded to nearest, ties to even.
    void (*quantize)(const float *x, size_t n, struct qact *out);
    // y[r * ldy + o] for output rows o in [first, last) and activation rows r in [0, rows).
    void (*matmul_q)(const struct weight *w, const struct qact *x, size_t rows, const float *bias, float *y, size_t ldy,
                     size_t first, size_t last);
    void (*matmul_f)(const struct weight *w, const float *x, size_t rows, const float *bias, float *y, size_t ldy,
                     size_t first, size_t last);
    void (*norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, float *y);
    // One row, one kv head's group of query heads [first, last).
    void (*attention)(const struct attention *a, size_t row, size_t first, size_t last);
    void (*activate)(enum activation kind, float *x, size_t n);
    void (*add)(float *x, const float *y, size_t n);
};

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512;

#endif
