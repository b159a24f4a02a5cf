// Four neighbours of a row of floats, in one piece where they lie so.
#ifndef DEVICE_GPU_KERNELS_FOURS_H
#define DEVICE_GPU_KERNELS_FOURS_H

#include "chip.h"

FN bool has_quad(const float *x, unsigned n) { return n >= 4 && (size_t)x % 16 == 0; }

// Four neighbours, of which there are n.
FN void four_from(const float *x, unsigned n, float *v) {
    if (has_quad(x, n)) {
        struct quad q = quad_at(x);
        for (unsigned k = 0; k < 4; k++) v[k] = float_of_bits(q.w[k]);
        return;
    }
    for (unsigned k = 0; k < 4; k++) v[k] = k < n ? x[k] : 0;
}

FN void four_to(float *y, unsigned n, const float *v) {
    if (has_quad(y, n)) {
        struct quad q = {{bits_of_float(v[0]), bits_of_float(v[1]), bits_of_float(v[2]), bits_of_float(v[3])}};
        quad_to(y, q);
        return;
    }
    for (unsigned k = 0; k < 4; k++)
        if (k < n) y[k] = v[k];
}

#endif
