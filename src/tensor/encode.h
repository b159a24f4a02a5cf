// Floats to blocks, one function a type; the table in type.c points here.
#ifndef TENSOR_ENCODE_H
#define TENSOR_ENCODE_H

#include <stddef.h>
#include <stdint.h>

void encode_f32(const float *src, size_t n, void *row);
void encode_f16(const float *src, size_t n, void *row);
void encode_bf16(const float *src, size_t n, void *row);
void encode_q4_0(const float *src, size_t n, void *row);
void encode_q4_1(const float *src, size_t n, void *row);
void encode_q5_0(const float *src, size_t n, void *row);
void encode_q5_1(const float *src, size_t n, void *row);
void encode_q8_0(const float *src, size_t n, void *row);
void encode_q2_k(const float *src, size_t n, void *row);
void encode_q3_k(const float *src, size_t n, void *row);
void encode_q4_k(const float *src, size_t n, void *row);
void encode_q5_k(const float *src, size_t n, void *row);
void encode_q6_k(const float *src, size_t n, void *row);
void encode_iq4_nl(const float *src, size_t n, void *row);
void encode_iq4_xs(const float *src, size_t n, void *row);
void encode_mxfp4(const float *src, size_t n, void *row);

// x to an integer, truncated, within [low, high]; NaN gives low, so that hostile weights stay defined.
static inline int bounded(float x, int low, int high) {
    if (!(x > (float)low)) return low;
    return x < (float)high ? (int)x : high;
}

#endif
