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

static float within(float x, float most) { return x > most ? most : x < -most ? -most : x; }

// Some numbers at a time: the bounded gate and up, the sigmoid of alpha * gate.
struct bounded {
    float g[SOME], u[SOME], by[SOME], share[SOME];
};

static void bound(const struct bounded_op *o, const float *gate, const float *up, size_t n, struct bounded *b) {
    for (size_t i = 0; i < n; i++) {
        b->g[i] = gate[i] > o->limit ? o->limit : gate[i];
        b->u[i] = within(up[i], o->limit);
        b->by[i] = o->alpha * b->g[i];
    }
    host_gradients_here()->values(UNIT_SIGMOID, b->by, n, b->share);
}

void bounded_forward(const struct bounded_op *o, const float *gate, const float *up, float *y) {
    struct bounded b;
    for (size_t at = 0; at < o->n; at += SOME) {
        size_t m = o->n - at < SOME ? o->n - at : SOME;
        bound(o, gate + at, up + at, m, &b);
        for (size_t i = 0; i < m; i++) y[at + i] = (b.u[i] + 1) * (b.g[i] * b.share[i]);
    }
}

void bounded_backward(const struct bounded_op *o, const float *gate, const float *up, const float *dy, float *dgate,
                      float *dup) {
    struct bounded b;
    for (size_t at = 0; at < o->n; at += SOME) {
        size_t m = o->n - at < SOME ? o->n - at : SOME;
        bound(o, gate + at, up + at, m, &b);
        for (size_t i = 0; i < m; i++) {
            float d = dy[at + i], s = b.share[i];
            dup[at + i] = b.u[i] == up[at + i] ? d * b.g[i] * s : 0;
            dgate[at + i] = b.g[i] == gate[at + i] ? d * (b.u[i] + 1) * (s + b.by[i] * s * (1 - s)) : 0;
        }
    }
}

void cap_forward(size_t n, float most, float *x) {
    float by[SOME], value[SOME];
    for (size_t at = 0; at < n; at += SOME) {
        size_t m = n - at < SOME ? n - at : SOME;
        for (size_t i = 0; i < m; i++) by[i] = x[at + i] / most;
        host_gradients_here()->values(UNIT_TANH, by, m, value);
        for (size_t i = 0; i < m; i++) x[at + i] = most * value[i];
    }
}

void cap_backward(size_t n, float most, const float *y, float *dx) {
    for (size_t i = 0; i < n; i++) dx[i] *= 1 - y[i] / most * (y[i] / most);
}

void clamp_forward(size_t n, float most, float *x) {
    for (size_t i = 0; i < n; i++) x[i] = within(x[i], most);
}

void clamp_backward(size_t n, float most, const float *x, float *dx) {
    for (size_t i = 0; i < n; i++)
        if (x[i] >= most || x[i] <= -most) dx[i] = 0;
}
