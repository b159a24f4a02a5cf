// Operations on elements, each by itself. A thread takes one, or SOME where there are many: a block's start costs as
// much as its work otherwise.
#include "chip.h"

#include "activation.h"
#include "args.h"
#include "codes.h"

FN size_t element(unsigned block) { return (size_t)block * THREADS + THREAD; }

FN float changed(const struct unary_args *a, float x) {
    switch (a->kind) {
    case UNARY_ACTIVATE: return activated(a->activation, x);
    case UNARY_SCALE: return x * a->by;
    case UNARY_CLAMP: return x > a->by ? a->by : x < -a->by ? -a->by : x;
    default: return a->by * tanh_f(x / a->by);
    }
}

KERNEL(unary, unary_args) {
    size_t i = element(BLOCK_X);
    if (i < a.n) a.x[i] = changed(&a, a.x[i]);
}

KERNEL(unary_some, unary_args) {
    size_t i = element(BLOCK_X * SOME);
    float x[SOME];
    UNROLL
    for (unsigned k = 0; k < SOME; k++) x[k] = i + k * THREADS < a.n ? a.x[i + k * THREADS] : 0;
    UNROLL
    for (unsigned k = 0; k < SOME; k++)
        if (i + k * THREADS < a.n) a.x[i + k * THREADS] = changed(&a, x[k]);
}

KERNEL(add_to, add_args) {
    size_t i = element(BLOCK_X);
    if (i < a.n) a.x[i] += a.y[i];
}

KERNEL(add_some, add_args) {
    size_t i = element(BLOCK_X * SOME);
    float x[SOME], y[SOME];
    UNROLL
    for (unsigned k = 0; k < SOME; k++) {
        bool mine = i + k * THREADS < a.n;
        x[k] = mine ? a.x[i + k * THREADS] : 0;
        y[k] = mine ? a.y[i + k * THREADS] : 0;
    }
    UNROLL
    for (unsigned k = 0; k < SOME; k++)
        if (i + k * THREADS < a.n) a.x[i + k * THREADS] = x[k] + y[k];
}

// Memory read as fast as it can be, READS loads at a time. What it gives depends on all of it, so that no compiler
// leaves it out.
enum { READS = 8 };

KERNEL(read_all, read_args) {
    size_t step = (size_t)a.blocks * THREADS, i = element(BLOCK_X), at = i;
    uint32_t all = 0;
    for (; i + (READS - 1) * step < a.n; i += READS * step) {
        struct quad q[READS];
        UNROLL
        for (unsigned k = 0; k < READS; k++) q[k] = quad_at(a.x + (i + k * step) * 16);
        UNROLL
        for (unsigned k = 0; k < READS; k++) all ^= q[k].w[0] ^ q[k].w[1] ^ q[k].w[2] ^ q[k].w[3];
    }
    for (; i < a.n; i += step) {
        struct quad q = quad_at(a.x + i * 16);
        all ^= q.w[0] ^ q.w[1] ^ q.w[2] ^ q.w[3];
    }
    a.out[at] = all;
}

// Of what follows BLOCK_X is a row, and y goes along it.

KERNEL(move_rows, move_args) {
    size_t i = element(BLOCK_Y), r = BLOCK_X;
    if (i < a.n) a.y[r * a.y_row + i] = a.x[r * a.x_row + i];
}

// Gated units; with a limit those of gpt-oss.
FN float gated(const struct gate_args *a, size_t r, size_t i) {
    float g = a->gate[r * a->stride + i], u = a->up[r * a->stride + i];
    if (a->limit <= 0) return activated(a->activation, g) * u;
    g = g > a->limit ? a->limit : g;
    u = u > a->limit ? a->limit : u < -a->limit ? -a->limit : u;
    return (u + 1.0f) * (g / (1.0f + exp_f(-(a->alpha * g))));
}

KERNEL(gate_rows, gate_args) {
    size_t i = element(BLOCK_Y), r = BLOCK_X;
    if (i < a.n) a.out[r * a.n + i] = gated(&a, r, i);
}

// The same of rows that a product will want. A thread has one element: there are few, and a thread's work is one behind
// the other.
EARLY_KERNEL(gate_rounded, gate_rounded_args) {
    SHARED(struct round_room, room);
    size_t i = element(BLOCK_Y);
    unsigned place = place_of_codes(&a.round, four_of_thread(BLOCK_Y));
    float v = 0;
    after_earlier();
    if (i < a.gate.n) a.gate.out[BLOCK_X * a.gate.n + i] = v = gated(&a.gate, BLOCK_X, i);
    round_block(&a.round, BLOCK_X, BLOCK_Y, place, v, room);
}

EARLY_KERNEL(activate_rounded, activate_rounded_args) {
    SHARED(struct round_room, room);
    size_t i = element(BLOCK_Y);
    unsigned place = place_of_codes(&a.round, four_of_thread(BLOCK_Y));
    float v = 0, *x = a.x + (size_t)BLOCK_X * a.round.cols;
    after_earlier();
    if (i < a.round.cols) x[i] = v = activated(a.activation, x[i]);
    round_block(&a.round, BLOCK_X, BLOCK_Y, place, v, room);
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
