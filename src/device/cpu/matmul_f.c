// Products with F32, F16 and BF16 weights, decoded to float a piece at a time.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"

enum { PIECE = 512, OUTPUTS = 4, BATCH = 64 };

// Weights [at, at + n) of a row as floats, padded with zeros to whole lanes.
static void decode(enum type type, const uint8_t *row, size_t at, size_t n, float *out) {
    if (type == TYPE_F32) {
        memcpy(out, row + 4 * at, 4 * n);
    } else {
        size_t i = 0;
        for (; i + 8 <= n && type == TYPE_F16; i += 8) store8(out + i, load8_f16(row + 2 * (at + i)));
        for (; i + 8 <= n && type == TYPE_BF16; i += 8) store8(out + i, load8_bf16(row + 2 * (at + i)));
        type_decode(type, row, at + i, n - i, out + i);
    }
    for (size_t i = n; i % LANES; i++) out[i] = 0;
}

// acc[o * BATCH + r] += w[o * PIECE + ...] . x[r * ldx + ...] for two or one of each; n is whole lanes.
static inline void dots(const float *w, size_t outputs, const float *x, size_t ldx, size_t rows, size_t n,
                        struct lanes *acc) {
    struct lanes a[2][2];
    for (size_t o = 0; o < outputs; o++)
        for (size_t r = 0; r < rows; r++) a[o][r] = acc[o * BATCH + r];
    for (size_t i = 0; i < n; i += LANES)
        for (size_t o = 0; o < outputs; o++)
            for (size_t r = 0; r < rows; r++) {
                const float *p = w + o * PIECE + i, *q = x + r * ldx + i;
                a[o][r].low = fma8(load8(p), load8(q), a[o][r].low);
                a[o][r].high = fma8(load8(p + 8), load8(q + 8), a[o][r].high);
            }
    for (size_t o = 0; o < outputs; o++)
        for (size_t r = 0; r < rows; r++) acc[o * BATCH + r] = a[o][r];
}

static void piece(const float *w, size_t outputs, const float *x, size_t ldx, size_t rows, size_t n,
                  struct lanes *acc) {
    for (size_t o = 0; o < outputs; o += 2) {
        const float *p = w + o * PIECE;
        size_t r = 0;
        for (; o + 2 <= outputs && r + 2 <= rows; r += 2) dots(p, 2, x + r * ldx, ldx, 2, n, acc + o * BATCH + r);
        for (; o + 2 <= outputs && r < rows; r++) dots(p, 2, x + r * ldx, ldx, 1, n, acc + o * BATCH + r);
        for (; r < rows; r++) dots(p, 1, x + r * ldx, ldx, 1, n, acc + o * BATCH + r);
    }
}

// All of a row's pieces. What is beyond whole lanes is copied to where zeros may follow it.
static void rows_of(const struct weight *w, size_t first, size_t outputs, const float *x, size_t rows,
                    struct lanes *acc) {
    size_t bytes = w->cols * type_info(w->type)->bytes;
    for (size_t k = 0; k < w->cols; k += PIECE) {
        float f[OUTPUTS * PIECE];
        size_t n = w->cols - k < PIECE ? w->cols - k : PIECE, whole = n / LANES * LANES;
        for (size_t o = 0; o < outputs; o++)
            decode(w->type, (const uint8_t *)w->data + (first + o) * bytes, k, n, f + o * PIECE);
        piece(f, outputs, x + k, w->cols, rows, whole, acc);
        for (size_t r = 0; r < rows && whole < n; r++) {
            float tail[LANES] = {0};
            memcpy(tail, x + r * w->cols + k + whole, (n - whole) * sizeof *tail);
            piece(f + whole, outputs, tail, 0, 1, LANES, acc + r);
        }
    }
}

void KERNEL(matmul_f)(const struct weight *w, const float *x, size_t rows, const float *bias, float *y, size_t ldy,
                      size_t first, size_t last) {
    for (size_t o = first; o < last; o += OUTPUTS)
        for (size_t r = 0; r < rows; r += BATCH) {
            size_t n = rows - r < BATCH ? rows - r : BATCH, m = last - o < OUTPUTS ? last - o : OUTPUTS;
            struct lanes acc[OUTPUTS * BATCH];
            for (size_t k = 0; k < m; k++) memset(acc + k * BATCH, 0, n * sizeof *acc);
            rows_of(w, o, m, x + r * w->cols, n, acc);
            for (size_t i = 0; i < n; i++)
                for (size_t k = 0; k < m; k++) {
                    float v = fold16(acc[k * BATCH + i]);
                    y[(r + i) * ldy + o + k] = bias ? v + bias[o + k] : v;
                }
        }
}
