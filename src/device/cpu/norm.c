// LayerNorm (Ba et al., 2016) and RMSNorm (Zhang and Sennrich, 2019) of one row.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"

// 16 values from x + i, zeros (`pad`) beyond its end.
static struct lanes lanes_at(const float *x, size_t i, size_t n, float pad) {
    float tail[LANES];
    const float *p = x + i;
    if (n - i < LANES) {
        for (size_t k = 0; k < LANES; k++) tail[k] = i + k < n ? x[i + k] : pad;
        p = tail;
    }
    return (struct lanes){load8(p), load8(p + 8)};
}

static float sum(const float *x, size_t n) {
    struct lanes acc = {{0}, {0}};
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes v = lanes_at(x, i, n, 0);
        acc.low += v.low;
        acc.high += v.high;
    }
    return fold16(acc);
}

// Sum of (x - mean)^2.
static float squares(const float *x, size_t n, float mean) {
    struct lanes acc = {{0}, {0}};
    for (size_t i = 0; i < n; i += LANES) {
        struct lanes v = lanes_at(x, i, n, mean);
        v.low -= fill8(mean);
        v.high -= fill8(mean);
        acc.low = fma8(v.low, v.low, acc.low);
        acc.high = fma8(v.high, v.high, acc.high);
    }
    return fold16(acc);
}

void KERNEL(norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim,
                  float *y) {
    float mean = kind == NORM_LAYER ? sum(x, dim) / (float)dim : 0;
    float inverse = 1.0f / sqrtf(squares(x, dim, mean) / (float)dim + eps);
    for (size_t i = 0; i < dim; i++) {
        float v = (x[i] - mean) * inverse * w[i];
        y[i] = b ? v + b[i] : v;
    }
}
