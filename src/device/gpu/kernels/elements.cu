// Operations on elements, each by itself. A thread takes one.
#include "chip.h"

#include "activation.h"
#include "args.h"

FN size_t element(unsigned block) { return (size_t)block * THREADS + THREAD; }

KERNEL(unary, unary_args) {
    size_t i = element(BLOCK_X);
    if (i >= a.n) return;
    float x = a.x[i];
    switch (a.kind) {
    case UNARY_ACTIVATE: a.x[i] = activated(a.activation, x); return;
    case UNARY_SCALE: a.x[i] = x * a.by; return;
    case UNARY_CLAMP: a.x[i] = x > a.by ? a.by : x < -a.by ? -a.by : x; return;
    default: a.x[i] = a.by * tanh_f(x / a.by); return;
    }
}

KERNEL(add_to, add_args) {
    size_t i = element(BLOCK_X);
    if (i < a.n) a.x[i] += a.y[i];
}

// Of what follows BLOCK_X is a row, and y goes along it.

KERNEL(move_rows, move_args) {
    size_t i = element(BLOCK_Y), r = BLOCK_X;
    if (i < a.n) a.y[r * a.y_row + i] = a.x[r * a.x_row + i];
}

// Gated units; with a limit those of gpt-oss.
KERNEL(gate_rows, gate_args) {
    size_t i = element(BLOCK_Y), r = BLOCK_X;
    if (i >= a.n) return;
    float g = a.gate[r * a.stride + i], u = a.up[r * a.stride + i], *out = a.out + r * a.n + i;
    if (a.limit > 0) {
        g = g > a.limit ? a.limit : g;
        u = u > a.limit ? a.limit : u < -a.limit ? -a.limit : u;
        *out = (u + 1.0f) * (g / (1.0f + exp_f(-(a.alpha * g))));
    } else
        *out = activated(a.activation, g) * u;
}

// The first product rounded, each later one added by fma.
KERNEL(sum_of_rows, sum_rows_args) {
    size_t i = element(BLOCK_Y), r = BLOCK_X;
    if (i >= a.dim) return;
    float sum = 0;
    for (unsigned j = 0; j < a.n; j++) {
        float x = a.x[(size_t)a.from[r * a.n + j] * a.dim + i], by = a.by ? a.by[r * a.n + j] : 1;
        sum = j ? fmaf(by, x, sum) : by * x;
    }
    a.out[r * a.dim + i] = sum;
}
