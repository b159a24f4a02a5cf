// What training computes on the host (device/host.h): products, and activations with their slopes.
#include "device/cpu/isa.h"
#include "device/cpu/simd.h"
#include "device/cpu/strips.h"
#include "device/units.h"

// `rows` and `wide` are known when this is compiled, and so is which sum is in which register.
static inline __attribute__((always_inline)) void block(const struct host_panel *p, const float *x, const float *w,
                                                        float *y, size_t rows, size_t wide) {
    vec sum[AT_A_TIME][2];
    size_t x_step = p->x_step, w_step = p->w_step;
    vec_fetch(y, p->y_row, rows);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < wide; i++) sum[r][i] = p->fresh ? (vec){0} : vec_load(y + r * p->y_row + i * VEC);
    for (size_t k = p->n; k; k--, x += x_step, w += w_step) {
        vec by[2];
        for (size_t i = 0; i < wide; i++) by[i] = vec_load(w + i * VEC);
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < wide; i++) sum[r][i] = vec_fma(vec_fill(x[r]), by[i], sum[r][i]);
    }
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < wide; i++) vec_store(y + r * p->y_row + i * VEC, sum[r][i]);
}

static inline __attribute__((always_inline)) void strip(const struct host_panel *p, size_t r, size_t end, size_t c,
                                                        size_t wide) {
#define ROWS(n) block(p, p->x + r / HOST_ROWS * p->x_group + r % HOST_ROWS, p->w + c, p->y + r * p->y_row + c, n, wide)
    for (; r + AT_A_TIME <= end; r += AT_A_TIME) ROWS(AT_A_TIME);
    for (; r + 4 <= end; r += 4) ROWS(4);
    for (; r < end; r++) ROWS(1);
#undef ROWS
}

// Rows that stay in the nearest cache while all columns come by.
enum { NEAR = 2 * HOST_ROWS };

void KERNEL(panel)(const struct host_panel *p) {
    for (size_t r = 0; r < p->rows; r += NEAR) {
        size_t end = p->rows - r < NEAR ? p->rows : r + NEAR, c = 0;
        for (; c + (size_t)2 * VEC <= p->cols; c += (size_t)2 * VEC) strip(p, r, end, c, 2);
        for (; c < p->cols; c += VEC) strip(p, r, end, c, 1);
    }
}

// ------------------------------------------------------------------------------------------- activations

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
    for (size_t i = 0; i < n; i++) y[i] = unit_value(u, x[i]);
    EACH_UNIT(f, BODY)
#undef BODY
}

void KERNEL(unit_slopes)(enum unit f, const float *restrict x, size_t n, float *restrict y) {
#define BODY(u)                                                                                                        \
    for (size_t i = 0; i < n; i++) y[i] = unit_slope(u, x[i]);
    EACH_UNIT(f, BODY)
#undef BODY
}
