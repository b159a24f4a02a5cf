// Planes of F16 and BF16 weights and of activations on tensor cores: three products of them are the sums of a run
// (docs/arithmetic.md). Of the 64 bytes of a plane's group a lane has sixteen neighbours, of weights and activations
// alike: which of them meet in one instruction does not matter. Who has what of the sums: tensor.h.
#ifndef DEVICE_GPU_KERNELS_PLANES16_H
#define DEVICE_GPU_KERNELS_PLANES16_H

#include "chip.h"

#include "runs16.h"
#include "tensor.h"

#ifdef TENSOR

// A group's planes of the lane's outputs, or of one row in [0].
struct planes_of_lane {
    struct quad high[2], low[2];
};

FN void load_planes(struct planes_of_lane *p, unsigned k, const uint8_t *group) {
    p->high[k] = quad_at(group);
    p->low[k] = quad_at(group + PLANE16);
}

// c + 64 products, in two steps.
FN void mma_planes(int *c, const struct quad *w, const struct quad *x) {
    UNROLL
    for (unsigned i = 0; i < 4; i += 2) {
        uint32_t a[4];
        const uint32_t b[2] = {x->w[i], x->w[i + 1]};
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            a[k] = w[k].w[i];
            a[k + OWN_OUTPUTS] = w[k].w[i + 1];
        }
        mma_bytes(c, a, b);
    }
}

#endif

#endif
