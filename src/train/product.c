#include "train/product.h"

#include <stdlib.h>
#include <string.h>

// Columns that fill no panel, in one of their own.
static bool edge(const struct host_gradients *g, const struct host_panel *p) {
    struct host_panel own = *p;
    size_t n = p->n * HOST_PANEL, bytes = p->cols * sizeof(float);
    float *w = calloc(n + p->rows * HOST_PANEL, sizeof *w), *y = w ? w + n : NULL;
    if (!w) return false;
    for (size_t k = 0; k < p->n; k++) memcpy(w + k * HOST_PANEL, p->w + k * p->w_step, bytes);
    for (size_t r = 0; r < p->rows && !p->fresh; r++) memcpy(y + r * HOST_PANEL, p->y + r * p->y_row, bytes);
    own.w = w;
    own.y = y;
    own.w_step = own.y_row = own.cols = HOST_PANEL;
    g->panel(&own);
    for (size_t r = 0; r < p->rows; r++) memcpy(p->y + r * p->y_row, y + r * HOST_PANEL, bytes);
    free(w);
    return true;
}

bool product_packed(const struct host_gradients *g, const struct host_panel *p) {
    struct host_panel some = *p;
    size_t whole = p->cols / HOST_PANEL * HOST_PANEL;
    if (!p->rows || !p->n) return true;
    some.cols = whole;
    if (whole) g->panel(&some);
    some.cols = p->cols - whole;
    some.w += whole;
    some.y += whole;
    return !some.cols || edge(g, &some);
}

bool product_add(const struct host_gradients *g, const struct matmul *p) {
    struct host_panel panel = {.x = p->x,
                               .w = p->w,
                               .y = p->y,
                               .fresh = p->fresh,
                               .x_group = HOST_ROWS,
                               .x_step = p->x_step,
                               .w_step = p->w_step,
                               .y_row = p->y_row,
                               .n = p->n,
                               .rows = p->rows,
                               .cols = p->cols};
    if (p->x_row == 1) return product_packed(g, &panel);
    float *packed = malloc(packed_floats(p->rows, p->n) * sizeof *packed + 1);
    if (!packed) return false;
    pack(p->x, p->x_row, p->rows, p->n, packed);
    panel.x = packed;
    panel.x_step = HOST_ROWS;
    panel.x_group = HOST_ROWS * p->n;
    bool ok = product_packed(g, &panel);
    free(packed);
    return ok;
}

// Rows of dy that lie beside each other at once: a whole row of dy apart, they come to the same few places of a cache.
enum { TOGETHER = 256 };

bool outer_add(const struct host_gradients *g, const struct outer *o) {
    float *own = malloc(TOGETHER * o->n * sizeof *own + 1);
    bool ok = own;
    for (size_t r = 0; ok && r < o->rows; r += TOGETHER) {
        size_t rows = o->rows - r < TOGETHER ? o->rows - r : TOGETHER;
        for (size_t k = 0; k < rows; k++)
            for (size_t i = 0; i < o->n; i++) own[k * o->n + i] = o->dy[(r + k) * o->dy_row + i] * o->by;
        struct matmul p = {.x = own,
                           .x_row = 1,
                           .x_step = o->n,
                           .w = o->x + r * o->x_row,
                           .w_step = o->x_row,
                           .y = o->y,
                           .y_row = o->y_row,
                           .n = rows,
                           .rows = o->n,
                           .cols = o->cols};
        ok = product_add(g, &p);
    }
    free(own);
    return ok;
}

size_t packed_floats(size_t rows, size_t n) { return (rows + HOST_ROWS - 1) / HOST_ROWS * HOST_ROWS * n; }

enum { SIDE = 4, WORD = 4 };
typedef int32_t quad __attribute__((vector_size(SIDE * WORD)));
_Static_assert(sizeof(float) == WORD, "a float is a word");

static inline quad load(const char *p) {
    quad v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(char *p, quad v) { memcpy(p, &v, sizeof v); }

#if defined(__clang__)
#define PICK(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define PICK(a, b, ...) __builtin_shuffle(a, b, (quad){__VA_ARGS__})
#endif

// Four rows, `step` bytes apart, become four columns, `wide` bytes apart.
static inline void turn(const char *from, size_t step, char *to, size_t wide) {
    quad a = load(from), b = load(from + step), c = load(from + 2 * step), d = load(from + 3 * step);
    quad ab = PICK(a, b, 0, 4, 1, 5), cd = PICK(c, d, 0, 4, 1, 5);
    store(to, PICK(ab, cd, 0, 1, 4, 5));
    store(to + wide, PICK(ab, cd, 2, 3, 6, 7));
    ab = PICK(a, b, 2, 6, 3, 7), cd = PICK(c, d, 2, 6, 3, 7);
    store(to + 2 * wide, PICK(ab, cd, 0, 1, 4, 5));
    store(to + 3 * wide, PICK(ab, cd, 2, 3, 6, 7));
}

void turn_words(const void *from, size_t step, size_t n, size_t m, void *to, size_t wide) {
    const char *a = from;
    char *b = to;
    size_t j = 0, whole = n / SIDE * SIDE;
    step *= WORD;
    wide *= WORD;
    for (; j + SIDE <= m; j += SIDE)
        for (size_t i = 0; i < whole; i += SIDE) turn(a + i * step + j * WORD, step, b + j * wide + i * WORD, wide);
    for (size_t k = 0; k < m; k++)
        for (size_t i = k < j ? whole : 0; i < n; i++) memcpy(b + k * wide + i * WORD, a + i * step + k * WORD, WORD);
}

void pack(const float *x, size_t step, size_t rows, size_t n, float *to) {
    for (size_t r = 0; r < rows; r += HOST_ROWS, to += HOST_ROWS * n) {
        size_t some = rows - r < HOST_ROWS ? rows - r : HOST_ROWS;
        if (some < HOST_ROWS) memset(to, 0, HOST_ROWS * n * sizeof *to);
        turn_words(x + r * step, step, some, n, to, HOST_ROWS);
    }
}

void transpose(const float *from, size_t step, size_t n, size_t m, float *to) { turn_words(from, step, n, m, to, n); }
