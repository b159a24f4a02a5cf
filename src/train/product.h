// Private to src/train: products of matrices of floats, of any number of columns, on one thread.
#ifndef TRAIN_PRODUCT_H
#define TRAIN_PRODUCT_H

#include "device/host.h"

#include <stdbool.h>

// y[r * y_row + c] += the sum over k < n of x[r * x_row + k * x_step] * w[k * w_step + c], as host_panel() does, of any
// number of columns. x_row is 1, or x_step is. False: no memory.
struct matmul {
    const float *x, *w;
    float *y;
    bool fresh; // from zeros, whatever is in y; n is more than 0
    size_t x_row, x_step, w_step, y_row, n, rows, cols;
};
bool product_add(const struct host_gradients *g, const struct matmul *p);

// y[i * y_row + c] += the sum over rows of by * dy[r * dy_row + i] * x[r * x_row + c], i < n, c < cols, in ascending
// order: a gradient by weights. False: no memory.
struct outer {
    const float *dy, *x;
    float *y, by;
    size_t dy_row, x_row, y_row, rows, n, cols;
};
bool outer_add(const struct host_gradients *g, const struct outer *o);

// As product_add(), of rows that lie as the panel has them.
bool product_packed(const struct host_gradients *g, const struct host_panel *p);

// Rows of x, `step` apart, as a panel has them: groups of HOST_ROWS, [n][HOST_ROWS] each, zeros behind the last row.
void pack(const float *x, size_t step, size_t rows, size_t n, float *to);
size_t packed_floats(size_t rows, size_t n);

// to[j * wide + i] = from[i * step + j], i < n, j < m: words of four bytes, whatever they are.
void turn_words(const void *from, size_t step, size_t n, size_t m, void *to, size_t wide);

// to[j * n + i] = from[i * step + j], i < n, j < m.
void transpose(const float *from, size_t step, size_t n, size_t m, float *to);

#endif
