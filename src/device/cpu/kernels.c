// The table of one instruction set's kernels, and those too small for a file.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/cpu/wide.h"
#include "tensor/type.h"

static void halves(const float *x, size_t n, uint16_t *out) {
    size_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((void *)(out + i), _mm256_cvtps_ph((__m256)load8(x + i), _MM_FROUND_TO_NEAREST_INT));
#endif
    for (; i < n; i++) out[i] = f32_to_f16(x[i]);
}

static void add(float *x, const float *y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

static void scale(float *x, float by, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

static void clamp(float *x, float most, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] = x[i] > most ? most : x[i] < -most ? -most : x[i];
}

static void sum_rows(const struct sum_rows *a, size_t row) {
    float *out = a->out + row * a->dim;
    for (size_t j = 0; j < a->n; j++) {
        const float *x = a->x + (size_t)a->from[row * a->n + j] * a->dim;
        float by = a->by ? a->by[row * a->n + j] : 1;
        size_t i = 0;
        for (; i + 8 <= a->dim; i += 8)
            store8(out + i, j ? fma8(fill8(by), load8(x + i), load8(out + i)) : fill8(by) * load8(x + i));
        for (; i < a->dim; i++) out[i] = j ? fmaf(by, x[i], out[i]) : by * x[i];
    }
}

static uint64_t read(const void *p, size_t n) {
    i32x8 sum[4] = {{0}, {0}, {0}, {0}};
    for (const char *c = p, *end = c + n; c < end; c += sizeof sum)
        for (int k = 0; k < 4; k++) sum[k] ^= words(c + k * sizeof *sum);
    i32x8 all = (sum[0] ^ sum[1]) ^ (sum[2] ^ sum[3]);
    return (uint32_t)(all[0] ^ all[7]);
}

const struct kernels KERNEL(kernels) = {
    .isa = ISA_STRING(ISA),
    .wide_rows = WIDE_ROWS,
    .wide_tiles = AT_ONCE,
    .fetched = FETCHED,
    .round_q = KERNEL(round_q),
    .matmul_q = KERNEL(matmul_q),
    .pack = KERNEL(pack),
    .matmul_f = KERNEL(matmul_f),
    .tile_w16 = KERNEL(tile_w16),
    .round_w16 = KERNEL(round_w16),
    .matmul_w16 = KERNEL(matmul_w16),
    .norm = KERNEL(norm),
    .attend = KERNEL(attend),
    .code_queries = KERNEL(code_queries),
    .attend_q8 = KERNEL(attend_q8),
    .join = KERNEL(join),
    .close = KERNEL(close),
    .score_pages = KERNEL(score_pages),
    .conv = KERNEL(conv),
    .recur_channels = KERNEL(recur_channels),
    .recur_head = KERNEL(recur_head),
    .activate = KERNEL(activate),
    .gate = KERNEL(gate),
    .gate_clamped = KERNEL(gate_clamped),
    .sum_rows = sum_rows,
    .halves = halves,
    .add = add,
    .scale = scale,
    .clamp = clamp,
    .cap = KERNEL(cap),
    .exps = KERNEL(exps),
    .peaks = KERNEL(peaks),
    .gradients = {KERNEL(panel), KERNEL(shorts), KERNEL(arrange_x), KERNEL(arrange_w), KERNEL(round_along),
                  KERNEL(round_across), KERNEL(unit_values), KERNEL(unit_slopes), KERNEL(decode)},
    .read = read,
    .roof_int8 = KERNEL(roof_int8),
    .roof_fp32 = KERNEL(roof_fp32),
};
