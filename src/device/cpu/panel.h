// A few rows times a panel of columns: c[i][j] = sum over k, ascending, of a[i][k] b[k][j], one fma each. What
// attention is made of: queries times a page's keys, weights times its values.
#ifndef DEVICE_CPU_PANEL_H
#define DEVICE_CPU_PANEL_H

#include <stdbool.h>

#include "device/cpu/simd.h"

// Rows at once, so that sums and operands fit the registers.
enum { PANEL = 6, PANEL_COLS = 32 };

struct panel {
    const float *a[PANEL];
    float *c[PANEL];
    const float *b; // [k][ldb]
    size_t ldb, k;
    bool more; // c += instead of c =
};

static inline __attribute__((always_inline)) void panel_block(const struct panel *p, int rows, int vecs, size_t col) {
    vec sum[PANEL * 2 > 8 ? PANEL * 2 : 8];
    const float *b = p->b + col;
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++)
            sum[i * vecs + v] = p->more ? vec_load(p->c[i] + col + (size_t)v * VEC) : (vec){0};
    for (size_t k = 0; k < p->k; k++, b += p->ldb) {
        vec column[8];
        for (int v = 0; v < vecs; v++) column[v] = vec_load(b + v * VEC);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vecs; v++)
                sum[i * vecs + v] = vec_fma(vec_fill(p->a[i][k]), column[v], sum[i * vecs + v]);
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) vec_store(p->c[i] + col + (size_t)v * VEC, sum[i * vecs + v]);
}

static inline __attribute__((always_inline)) void panel_rows(const struct panel *p, int rows, size_t cols) {
    size_t col = 0;
    if (rows == 1)
        for (; col + 8 * VEC <= cols; col += (size_t)8 * VEC) panel_block(p, rows, 8, col);
    for (; col < cols; col += (size_t)2 * VEC) panel_block(p, rows, 2, col);
}

// `cols` is a multiple of PANEL_COLS, and so much is written.
static void panel_run(const struct panel *p, size_t rows, size_t cols) {
    switch (rows) {
    case 1: panel_rows(p, 1, cols); return;
    case 2: panel_rows(p, 2, cols); return;
    case 3: panel_rows(p, 3, cols); return;
    case 4: panel_rows(p, 4, cols); return;
    case 5: panel_rows(p, 5, cols); return;
    case 6: panel_rows(p, 6, cols); return;
    }
}

#endif
