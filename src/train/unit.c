#include "train/ops.h"

#include <string.h>

enum { SOME = 256 };

void unit_forward(enum unit f, size_t n, const float *x, float *y) { host_gradients_here()->values(f, x, n, y); }

// Some numbers at a time: their values and slopes stay near.
void unit_backward(enum unit f, size_t n, const float *x, const float *dy, float *dx) {
    const struct host_gradients *g = host_gradients_here();
    float slope[SOME];
    for (size_t at = 0; at < n; at += SOME) {
        size_t m = n - at < SOME ? n - at : SOME;
        g->slopes(f, x + at, m, slope);
        for (size_t i = 0; i < m; i++) dx[at + i] = dy[at + i] * slope[i];
    }
}

void gated_forward(enum unit f, size_t n, const float *gate, const float *up, float *y) {
    const struct host_gradients *g = host_gradients_here();
    float value[SOME];
    for (size_t at = 0; at < n; at += SOME) {
        size_t m = n - at < SOME ? n - at : SOME;
        g->values(f, gate + at, m, value);
        for (size_t i = 0; i < m; i++) y[at + i] = value[i] * up[at + i];
    }
}

void gated_backward(enum unit f, size_t n, const float *gate, const float *up, const float *dy, float *dgate,
                    float *dup) {
    const struct host_gradients *g = host_gradients_here();
    float value[SOME], slope[SOME];
    for (size_t at = 0; at < n; at += SOME) {
        size_t m = n - at < SOME ? n - at : SOME;
        g->values(f, gate + at, m, value);
        g->slopes(f, gate + at, m, slope);
        for (size_t i = 0; i < m; i++) {
            float d = dy[at + i];
            dup[at + i] = d * value[i];
            dgate[at + i] = d * up[at + i] * slope[i];
        }
    }
}
