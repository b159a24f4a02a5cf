// Names of the kernels of the instruction set this file is being compiled for: -DISA=avx2 makes KERNEL(norm)
// norm_avx2.
#ifndef DEVICE_CPU_ISA_H
#define DEVICE_CPU_ISA_H

#include "device/cpu/kernels.h"

#define ISA_JOIN(name, isa) name##_##isa
#define ISA_NAME(name, isa) ISA_JOIN(name, isa)
#define KERNEL(name)        ISA_NAME(name, ISA)
#define ISA_QUOTE(isa)      #isa
#define ISA_STRING(isa)     ISA_QUOTE(isa)

void KERNEL(round_q)(enum type type, const float *x, size_t cols, size_t rows, size_t r, struct segments s,
                     void *batch);
void KERNEL(matmul_q)(const struct weight *w, const void *x, size_t rows, size_t fetched, const float *bias, float *y,
                      size_t first, size_t last);
void KERNEL(pack)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch);
void KERNEL(matmul_f)(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                      size_t last);
void KERNEL(tile_w16)(const struct weight *w, size_t tile, const struct run *run, uint8_t *out);
void KERNEL(round_w16)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch);
void KERNEL(matmul_w16)(const struct weight *w, void *x, size_t rows, const float *bias, float *y, size_t first,
                        size_t last);
void KERNEL(norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, float *y);
void KERNEL(attend)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts);
void KERNEL(code_queries)(const struct attention *a, const struct queries *q, struct attend *s);
void KERNEL(attend_q8)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts);
void KERNEL(join)(const float *part, size_t cols, size_t dim, struct softmax *all, float *out);
void KERNEL(close)(const struct softmax *all, const float *sink, size_t dim, float *out);
void KERNEL(score_pages)(const struct choice *a, size_t row, size_t first, size_t last, float *scores);
void KERNEL(conv)(const struct conv *a, struct stretch s);
void KERNEL(recur_channels)(const struct recur *a, struct stretch s);
void KERNEL(recur_head)(const struct recur *a, struct stretch s);
void KERNEL(activate)(enum activation kind, float *x, size_t n);
void KERNEL(gate)(enum activation kind, const float *gate, const float *up, size_t n, float *out);
void KERNEL(gate_clamped)(float limit, float alpha, const float *gate, const float *up, size_t n, float *out);
void KERNEL(cap)(float *x, float most, size_t n);
void KERNEL(exps)(const float *x, size_t n, float best, float by, float least, float *out);
void KERNEL(panel)(const struct host_panel *p);
void KERNEL(shorts)(const struct host_shorts *p);
void KERNEL(arrange_x)(void *block);
void KERNEL(arrange_w)(void *block);
void KERNEL(round_along)(const float *restrict x, size_t n, float most, int16_t *restrict to, float *restrict scale);
void KERNEL(round_across)(const float *x, size_t step, size_t n, size_t cols, float most, void *to, size_t to_step,
                          float *scale);
void KERNEL(decode)(enum type type, const void *row, size_t first, size_t n, float *out);
void KERNEL(unit_values)(enum unit f, const float *restrict x, size_t n, float *restrict y);
void KERNEL(unit_slopes)(enum unit f, const float *restrict x, size_t n, float *restrict y);
float KERNEL(peaks)(const float *x, size_t n, const uint32_t *allowed, float *out, float *peak);
double KERNEL(roof_int8)(size_t n);
double KERNEL(roof_fp32)(size_t n);

#endif
