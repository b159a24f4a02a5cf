// AdamW (Loshchilov and Hutter, 2019), and how its learning rate goes. No sum depends on threads, and no function
// of libm is used but those that IEEE 754 rounds exactly.
#ifndef TRAIN_ADAMW_H
#define TRAIN_ADAMW_H

#include "gyr.h"

struct pool;

struct adamw {
    size_t n;
    float *mean, *square; // [n]: moving averages of gradients, and of their squares
    uint64_t steps;       // made
    double decay;
};

// One step of numbers against their gradients.
void adamw_step(struct adamw *o, float *numbers, const float *gradients, double rate);

// Makes a gradient no longer than `most` (0: any). Returns its length before; NaN if something in it is no number.
double clip(struct pool *pool, float *gradients, size_t n, double most);

// The learning rate's factor at a step, from 0: up in a line for `warmup` of them, then down.
double schedule_at(gyr_schedule s, size_t step, size_t steps, size_t warmup);

#endif
