// The operations written down once more, as plainly as can be: sums in the order that kernels.h promises (bytes must
// agree), and in double precision (values must be near).
#ifndef TESTS_DEVICE_REFERENCE_H
#define TESTS_DEVICE_REFERENCE_H

#include "device/cpu/kernels.h"

float ref_dot_q(const struct weight *w, size_t row, const float *x, float bias, bool has_bias);
float ref_dot_16(const struct weight *w, size_t row, const float *x, float bias, bool has_bias);
float ref_dot_f(const struct weight *w, size_t row, const float *x, float bias, bool has_bias);
// The sum in double; *size is the sum of magnitudes.
double ref_dot(const struct weight *w, size_t row, const float *x, double *size);

void ref_norm(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, double *y);

// spread() of device/spread.h, or its inverse; and a query's codes: returns their scale.
void ref_spread(double *x, size_t n, bool back);
float ref_code_query(const float *q, size_t n, int *code);
// A cached key or value as it was before it was rounded, nearly.
void ref_vector(const struct kv_vector *v, double *x);

// One row and query head: in double, and in the order whose bytes are promised.
void ref_attention(const struct attention *a, size_t row, size_t head, double *out);
void ref_attention_bytes(const struct attention *a, size_t row, size_t head, float *out);

// fold16() of simd.h.
float ref_fold16(const float lane[LANES]);

#endif
