// Private to src/train: products by integers of 16 bits (device/host.h), of any number of columns, on one thread.
#ifndef TRAIN_SHORTS_H
#define TRAIN_SHORTS_H

#include "device/host.h"

#include <stdbool.h>

// Rows of x, `step` apart, rounded, as the kernel has them: groups of HOST_ROWS of shorts_group(n) words each, blocks
// of pairs and then scales; zeros behind the last row. Terms begin at the first of a run. `to` is anywhere: the first
// group begins at the next line of a cache, for which shorts_floats() has room.
void shorts_pack(const struct host_gradients *g, const float *x, size_t step, size_t rows, size_t n, float *to);
// Columns of x instead, x[k * step + column], of which each is a row of n terms; all times `by`.
void shorts_pack_columns(const struct host_gradients *g, const float *x, size_t step, size_t cols, size_t n, float by,
                         float *to);
size_t shorts_group(size_t n);
size_t shorts_floats(size_t rows, size_t n);

// Rounded weights: panels of HOST_PANEL columns, `group` words apart, and scales, `step` of them for each run. The last
// panel may have fewer columns, and the last run fewer terms.
struct shorts_panel {
    float *pairs, *scales;
    size_t group, step;
};
size_t shorts_panel_floats(size_t n, size_t cols);
struct shorts_panel shorts_panel_in(float *room, size_t n, size_t cols);
// Its columns from `first` on, the first of a panel.
struct shorts_panel shorts_panel_at(struct shorts_panel p, size_t first);
// All terms of some columns from w[column * step + k]; and from w[k * step + column], those from `first` on, the first
// of a run. Columns are whole panels, or all that are left.
void shorts_from_columns(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                         struct shorts_panel to);
void shorts_from_rows(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                      struct shorts_panel to, size_t first);

// y[r * y_row + c] += the sum over [at, at + n) of packed rows' terms, from row `row` on, of which each has `terms`.
// `at` is the first of a run, `row` the first of a group. False: no memory.
struct shorts_product {
    const float *packed;
    size_t terms, at, row;
    struct shorts_panel w;
    float *y;
    bool fresh; // from zeros, whatever is in y; n is more than 0
    size_t y_row, n, rows, cols;
};
bool shorts_add(const struct host_gradients *g, const struct shorts_product *p);

#endif
