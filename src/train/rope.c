#include "train/ops.h"

// Turns every pair by its row's angle, or back.
static void turn(const struct rope_op *o, float *x, float way) {
    size_t half = o->dim / 2, step = o->neighbours ? 2 : 1, apart = o->neighbours ? 1 : half;
    for (size_t r = 0; r < o->rows; r++)
        for (size_t h = 0; h < o->heads; h++) {
            float *head = x + (r * o->heads + h) * o->head_dim;
            for (size_t i = 0; i < half; i++) {
                float c = o->angles[(r * half + i) * 2], s = way * o->angles[(r * half + i) * 2 + 1];
                float *one = head + i * step, *two = one + apart, a = *one, b = *two;
                *one = a * c - b * s;
                *two = b * c + a * s;
            }
        }
}

void rope_forward(const struct rope_op *o, float *x) { turn(o, x, 1); }
void rope_backward(const struct rope_op *o, float *dx) { turn(o, dx, -1); }
