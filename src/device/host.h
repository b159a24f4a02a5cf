// What the host computes beside a device, with the best instruction set that it has, or that of $GYR_ISA: the same
// bytes with each.
#ifndef DEVICE_HOST_H
#define DEVICE_HOST_H

#include "device/units.h"
#include "tensor/type.h"

#include <stdbool.h>
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
    bool fresh; // from zeros, whatever is in y
    size_t x_group, x_step, w_step, y_row, n, rows, cols;
};

// The same sums by integers of 16 bits. HOST_RUN terms of a sum, one after the other, share a scale: their largest
// number's size over HOST_MOST_X or HOST_MOST_W, and each is the nearest multiple of it. A run's sum is exact, and so
// the same in any order; y is y + float(sum) * (x's scale * w's), fused, runs in ascending order. `n` counts terms. A
// run with an infinity or a NaN has the scale NaN.
// Rows are groups of HOST_ROWS, x_group words apart, and columns panels of HOST_PANEL, w_group words apart. Each has a
// block for every run: pairs of terms, the first in the low half, [HOST_RUN / 2][HOST_ROWS] or [HOST_RUN / 2]
// [HOST_PANEL], zeros behind the last term; and then arrange_x() or arrange_w() puts it into the order that this
// instruction set reads. Blocks had best begin at multiples of 64 bytes. The scale of row r's run u is x_scale[r /
// HOST_ROWS * x_group + u * HOST_ROWS + r % HOST_ROWS], that of column c's w_scale[u * w_step + c].
enum { HOST_RUN = 64, HOST_MOST_X = 8191, HOST_MOST_W = 4095 };
enum { HOST_X_BLOCK = HOST_RUN / 2 * HOST_ROWS, HOST_W_BLOCK = HOST_RUN / 2 * HOST_PANEL }; // words

struct host_shorts {
    const void *x, *w; // words of four bytes
    const float *x_scale, *w_scale;
    float *y;
    bool fresh;
    size_t x_group, w_group, w_step, y_row, n, rows, cols;
};

typedef void host_arrange(void *block);

// One sum's n terms: [n] shorts, and one more of zero where n is odd; a scale a run.
typedef void host_round_along(const float *restrict x, size_t n, float most, int16_t *restrict to,
                              float *restrict scale);
// `cols` sums, whose term k is x[k * step + column]: pairs [(n + 1) / 2][to_step], scales [runs][to_step].
typedef void host_round_across(const float *x, size_t step, size_t n, size_t cols, float most, void *to, size_t to_step,
                               float *scale);

// y[i] = f(x[i]), or f'(x[i]). x and y are apart.
typedef void host_units(enum unit f, const float *restrict x, size_t n, float *restrict y);

// type_decode() (tensor/type.h).
typedef void host_decode(enum type type, const void *row, size_t first, size_t n, float *out);

struct host_gradients {
    void (*panel)(const struct host_panel *p);
    void (*shorts)(const struct host_shorts *p);
    host_arrange *arrange_x, *arrange_w;
    host_round_along *round_along;
    host_round_across *round_across;
    host_units *values, *slopes;
    host_decode *decode;
};

const struct host_gradients *host_gradients_here(void);

#endif
