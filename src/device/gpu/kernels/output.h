// Where an output of a product goes; and what it is added to, if the next operation would do nothing else.
#ifndef DEVICE_GPU_KERNELS_OUTPUT_H
#define DEVICE_GPU_KERNELS_OUTPUT_H

#include "chip.h"

#include "args.h"

FN void give_output(dfloat *y, dfloat *plus, size_t i, float x) {
    y[i] = x;
    if (plus) plus[i] += x;
}

#endif
