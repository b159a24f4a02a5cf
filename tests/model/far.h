// How far results are from those that were wanted.
#ifndef TESTS_MODEL_FAR_H
#define TESTS_MODEL_FAR_H

#include <math.h>
#include <stddef.h>

// The largest difference; infinity where one is NaN, and where there is nothing to compare, so that no bound holds.
static inline float farthest(const float *x, const float *y, size_t n) {
    float far = 0;
    for (size_t i = 0; x && y && i < n; i++) {
        float d = fabsf(x[i] - y[i]);
        far = d <= far ? far : isnan(d) ? INFINITY : d;
    }
    return x && y ? far : INFINITY;
}

#endif
