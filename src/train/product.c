#include "train/product.h"

#include <stdlib.h>
#include <string.h>

// Columns that fill no panel, in one of their own.
static bool edge(const struct host_gradients *g, const struct host_panel *p, size_t cols) {
    struct host_panel own = *p;
    size_t n = p->n * HOST_PANEL, bytes = cols * sizeof(float);
    float *w = calloc(n + p->rows * HOST_PANEL, sizeof *w), *y = w ? w + n : NULL;
    if (!w) return false;
    for (size_t k = 0; k < p->n; k++) memcpy(w + k * HOST_PANEL, p->w + k * p->w_step, bytes);
    for (size_t r = 0; r < p->rows; r++) memcpy(y + r * HOST_PANEL, p->y + r * p->y_row, bytes);
    own.w = w;
    own.y = y;
    own.w_step = own.y_row = HOST_PANEL;
    g->panel(&own);
    for (size_t r = 0; r < p->rows; r++) memcpy(p->y + r * p->y_row, y + r * HOST_PANEL, bytes);
    free(w);
    return true;
}

bool product_add(const struct host_gradients *g, const struct host_panel *p, size_t cols) {
    struct host_panel some = *p;
    if (!p->rows || !p->n) return true;
    for (; cols >= HOST_PANEL; cols -= HOST_PANEL, some.w += HOST_PANEL, some.y += HOST_PANEL) g->panel(&some);
    return !cols || edge(g, &some, cols);
}

void transpose(const float *from, size_t step, size_t n, size_t m, float *to) {
    enum { TILE = 16 };
    for (size_t j = 0; j < m; j += TILE)
        for (size_t i = 0; i < n; i += TILE)
            for (size_t jj = j; jj < m && jj < j + TILE; jj++)
                for (size_t ii = i; ii < n && ii < i + TILE; ii++) to[jj * n + ii] = from[ii * step + jj];
}
