// What the host computes beside a device, with the best instruction set that it has, or that of $GYR_ISA: the same
// bytes with each.
#ifndef DEVICE_HOST_H
#define DEVICE_HOST_H

#include "device/units.h"

#include <stddef.h>
#include <stdint.h>

// out[i] = e^((x[i] - best) / by) where x[i] >= least, else 0. An x[i] that is `best`, which may be infinite, gives 1.
typedef void host_exps(const float *x, size_t n, float best, float by, float least, float *out);

host_exps *host_exps_here(void);

// out[i] = x[i], or minus infinity where bit i of `allowed` (NULL: all) is not set, or x[i] is a NaN; the highest of
// each HOST_BLOCK of them goes to `peak`, that of all is returned. `out` may be NULL or x.
enum { HOST_BLOCK = 64 };
typedef float host_peaks(const float *x, size_t n, const uint32_t *allowed, float *out, float *peak);

host_peaks *host_peaks_here(void);

// y[r * y_row + c] += the sum over k < n of row r's x[k] * w[k * w_step + c], for `rows` rows and `cols` columns, a
// multiple of HOST_PANEL: fused, in ascending order, from what is in y. Rows lie side by side, HOST_ROWS of them, and
// then the next: row r's x[k] is x[r / HOST_ROWS * x_group + k * x_step + r % HOST_ROWS].
enum { HOST_PANEL = 16, HOST_ROWS = 12 };

struct host_panel {
    const float *x, *w;
    float *y;
    size_t x_group, x_step, w_step, y_row, n, rows, cols;
};

// y[i] = f(x[i]), or f'(x[i]). x and y are apart.
typedef void host_units(enum unit f, const float *restrict x, size_t n, float *restrict y);

struct host_gradients {
    void (*panel)(const struct host_panel *p);
    host_units *values, *slopes;
};

const struct host_gradients *host_gradients_here(void);

#endif
