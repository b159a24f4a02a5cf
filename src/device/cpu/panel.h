// A few rows times a panel of columns: c[i][j] = sum over k, ascending, of a[i][k] b[k][j], one fma each. What
// attention is made of: queries times a page's keys, weights times its values.
#ifndef DEVICE_CPU_PANEL_H
#define DEVICE_CPU_PANEL_H

#include <stdbool.h>

#include "device/cpu/simd.h"

// Rows at once, so that sums and operands fit the registers.
#if defined(__aarch64__)
enum { PANEL = 6, PANEL_VECS = 4 };
#else
enum { PANEL = 6, PANEL_VECS = 2 };
#endif

// How b's elements are stored.
enum stored { STORED_FLOATS, STORED_HALVES };

struct panel {
    enum stored stored;
    const uint8_t *b; // [k][ldb]
    size_t ldb;
    size_t ahead; // bytes from b's elements to those that will be wanted next
};

// What of it is wanted, and where the sums go: c[i] is at c + i * ldc.
struct sums {
    const float *const *a; // element k is at a[i][from + k]
    size_t from, first, k; // b's rows begin with `first`
    float *c;
    size_t ldc;
    bool more; // c += instead of c =
};

#define PANEL_INLINE static inline __attribute__((always_inline))

PANEL_INLINE vec panel_load(const struct panel *p, enum stored stored, size_t k, size_t col) {
    size_t at = k * p->ldb + col;
    return stored == STORED_FLOATS ? vec_load((const float *)(const void *)p->b + at) : vec_load_f16(p->b + 2 * at);
}

// Into the second cache: of misses of the first, too few may be under way to keep the memory busy.
PANEL_INLINE void panel_ahead(const struct panel *p, enum stored stored, size_t k, size_t col, size_t cols) {
    size_t size = stored == STORED_FLOATS ? 4 : 2;
    for (size_t line = 0; line < cols * size; line += 64)
        __builtin_prefetch(p->b + (k * p->ldb + col) * size + line + p->ahead, 0, 2);
}

PANEL_INLINE void panel_block(const struct panel *p, const struct sums *s, int rows, int vecs, size_t col,
                              enum stored stored) {
    vec sum[PANEL * PANEL_VECS];
    const float *a[PANEL];
    for (int i = 0; i < rows; i++) {
        a[i] = s->a[i] + s->from;
        for (int v = 0; v < vecs; v++)
            sum[i * vecs + v] = s->more ? vec_load(s->c + (size_t)i * s->ldc + col + (size_t)v * VEC) : (vec){0};
    }
    for (size_t k = 0; k < s->k; k++) {
        vec column[8];
        for (int v = 0; v < vecs; v++) column[v] = panel_load(p, stored, s->first + k, col + (size_t)v * VEC);
        panel_ahead(p, stored, s->first + k, col, (size_t)vecs * VEC);
        for (int i = 0; i < rows; i++)
            for (int v = 0; v < vecs; v++) sum[i * vecs + v] = vec_fma(vec_fill(a[i][k]), column[v], sum[i * vecs + v]);
    }
    for (int i = 0; i < rows; i++)
        for (int v = 0; v < vecs; v++) vec_store(s->c + (size_t)i * s->ldc + col + (size_t)v * VEC, sum[i * vecs + v]);
}

PANEL_INLINE void panel_rows(const struct panel *p, const struct sums *s, int rows, size_t cols, enum stored stored) {
    size_t col = 0;
    if (rows == 1)
        for (; col + 8 * VEC <= cols; col += (size_t)8 * VEC) panel_block(p, s, rows, 8, col, stored);
    for (; col < cols; col += (size_t)PANEL_VECS * VEC) panel_block(p, s, rows, PANEL_VECS, col, stored);
}

PANEL_INLINE void panel_stored(const struct panel *p, const struct sums *s, size_t rows, size_t cols,
                               enum stored stored) {
    switch (rows) {
    case 1: panel_rows(p, s, 1, cols, stored); return;
    case 2: panel_rows(p, s, 2, cols, stored); return;
    case 3: panel_rows(p, s, 3, cols, stored); return;
    case 4: panel_rows(p, s, 4, cols, stored); return;
    case 5: panel_rows(p, s, 5, cols, stored); return;
    case 6: panel_rows(p, s, 6, cols, stored); return;
    }
}

// `cols` is a multiple of 32.
static void panel_run(const struct panel *p, const struct sums *s, size_t rows, size_t cols) {
    if (p->stored == STORED_FLOATS)
        panel_stored(p, s, rows, cols, STORED_FLOATS);
    else
        panel_stored(p, s, rows, cols, STORED_HALVES);
}

#endif
