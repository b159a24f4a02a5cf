// What training computes on the host (device/host.h): products, and activations with their slopes.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/elementary.h"

// Rows whose sums registers hold, two vectors each, beside the weights.
#if defined(__AVX512F__)
enum { AT_A_TIME = 12 };
#elif defined(__AVX2__)
enum { AT_A_TIME = 6 };
#else
enum { AT_A_TIME = 4 };
#endif

// `rows` is known when this is compiled, and so is which sum is in which register.
static inline __attribute__((always_inline)) void block(const struct host_panel *p, const float *x, const float *w,
                                                        float *y, size_t rows) {
    vec sum[AT_A_TIME][2];
    for (size_t r = 0; r < rows; r++) {
        sum[r][0] = vec_load(y + r * p->y_row);
        sum[r][1] = vec_load(y + r * p->y_row + VEC);
    }
    for (size_t k = 0; k < p->n; k++) {
        vec one = vec_load(w + k * p->w_step), two = vec_load(w + k * p->w_step + VEC);
        for (size_t r = 0; r < rows; r++) {
            vec by = vec_fill(x[r * p->x_row + k * p->x_step]);
            sum[r][0] = vec_fma(by, one, sum[r][0]);
            sum[r][1] = vec_fma(by, two, sum[r][1]);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        vec_store(y + r * p->y_row, sum[r][0]);
        vec_store(y + r * p->y_row + VEC, sum[r][1]);
    }
}

void KERNEL(panel)(const struct host_panel *p) {
    for (size_t c = 0; c < HOST_PANEL; c += (size_t)2 * VEC) {
        size_t r = 0;
        for (; r + AT_A_TIME <= p->rows; r += AT_A_TIME)
            block(p, p->x + r * p->x_row, p->w + c, p->y + r * p->y_row + c, AT_A_TIME);
        for (; r + 2 <= p->rows; r += 2) block(p, p->x + r * p->x_row, p->w + c, p->y + r * p->y_row + c, 2);
        for (; r < p->rows; r++) block(p, p->x + r * p->x_row, p->w + c, p->y + r * p->y_row + c, 1);
    }
}

// ------------------------------------------------------------------------------------------- activations

// 1 / sqrt(2), sqrt(2 / pi) and 1 / sqrt(2 pi), as docs/arithmetic.md has the first two.
#define HALF_ROOT 0x1.6a09e6p-1f
#define TANH_BY   0x1.988454p-1f
#define DENSITY   0x1.988454p-2f

static inline float sigmoid(float x) { return 1 / (1 + exp_f(-x)); }

static inline float value_of(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * x * (1 + erf_f(x * HALF_ROOT));
    case UNIT_GELU_TANH: return 0.5f * x * (1 + tanh_f(TANH_BY * (x + 0.044715f * x * x * x)));
    case UNIT_SILU: return x * sigmoid(x);
    case UNIT_RELU: return either(x < 0, 0, x);
    case UNIT_SIGMOID: return sigmoid(x);
    case UNIT_TANH: return tanh_f(x);
    default: return either(x < 0, 0, x * x);
    }
}

static inline float slope_of(enum unit f, float x) {
    switch (f) {
    case UNIT_GELU: return 0.5f * (1 + erf_f(x * HALF_ROOT)) + x * DENSITY * exp_f(-0.5f * x * x);
    case UNIT_GELU_TANH: {
        float t = tanh_f(TANH_BY * (x + 0.044715f * x * x * x));
        return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * TANH_BY * (1 + 3 * 0.044715f * x * x);
    }
    case UNIT_SILU: {
        float s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
    case UNIT_RELU: return either(x > 0, 1, 0);
    case UNIT_SIGMOID: return sigmoid(x) * (1 - sigmoid(x));
    case UNIT_TANH: return 1 - tanh_f(x) * tanh_f(x);
    default: return either(x < 0, 0, 2 * x);
    }
}

// A loop for each kind, which the compiler makes vectors of.
#define EACH_UNIT(f, body)                                                                                             \
    switch (f) {                                                                                                       \
    case UNIT_GELU: body(UNIT_GELU) break;                                                                             \
    case UNIT_GELU_TANH: body(UNIT_GELU_TANH) break;                                                                   \
    case UNIT_SILU: body(UNIT_SILU) break;                                                                             \
    case UNIT_RELU: body(UNIT_RELU) break;                                                                             \
    case UNIT_RELU2: body(UNIT_RELU2) break;                                                                           \
    case UNIT_SIGMOID: body(UNIT_SIGMOID) break;                                                                       \
    case UNIT_TANH: body(UNIT_TANH) break;                                                                             \
    }

void KERNEL(unit_values)(enum unit f, const float *restrict x, size_t n, float *restrict y) {
#define BODY(u)                                                                                                        \
    for (size_t i = 0; i < n; i++) y[i] = value_of(u, x[i]);
    EACH_UNIT(f, BODY)
#undef BODY
}

void KERNEL(unit_slopes)(enum unit f, const float *restrict x, size_t n, float *restrict y) {
#define BODY(u)                                                                                                        \
    for (size_t i = 0; i < n; i++) y[i] = slope_of(u, x[i]);
    EACH_UNIT(f, BODY)
#undef BODY
}
