// Private to src/train: products of matrices of floats, of any number of columns, on one thread.
#ifndef TRAIN_PRODUCT_H
#define TRAIN_PRODUCT_H

#include "device/host.h"

#include <stdbool.h>

// As host_panel() does, for `cols` columns. False: no memory.
bool product_add(const struct host_gradients *g, const struct host_panel *p, size_t cols);

// to[j * n + i] = from[i * step + j], i < n, j < m.
void transpose(const float *from, size_t step, size_t n, size_t m, float *to);

#endif
