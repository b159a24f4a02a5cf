#include "train/shorts.h"

#include "train/product.h"

#include <stdlib.h>
#include <string.h>

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }
static size_t runs(size_t n) { return pieces(n, HOST_RUN); }
static size_t wide(size_t cols) { return pieces(cols, HOST_PANEL) * HOST_PANEL; }

size_t shorts_group(size_t n) { return HOST_ROWS * (runs(n) + pieces(n, 2)); }
size_t shorts_floats(size_t rows, size_t n) { return pieces(rows, HOST_ROWS) * shorts_group(n); }

enum { AT_ONCE = 4 * HOST_RUN, SCALES = AT_ONCE / HOST_RUN };

// At most HOST_PANEL sums of at most AT_ONCE terms, rounded along and turned: word i of sum r is to[i * step + r].
static void turn_some(const struct host_gradients *g, const float *x, size_t row, size_t rows, size_t n, float most,
                      float *pairs, float *scales, size_t step) {
    int16_t terms[HOST_PANEL * AT_ONCE];
    float scale[HOST_PANEL * SCALES];
    for (size_t r = 0; r < rows; r++) g->round_along(x + r * row, n, most, terms + r * AT_ONCE, scale + r * SCALES);
    turn_words(terms, AT_ONCE / 2, rows, pieces(n, 2), pairs, step);
    turn_words(scale, SCALES, rows, runs(n), scales, step);
}

void shorts_pack(const struct host_gradients *g, const float *x, size_t step, size_t rows, size_t n, float *to) {
    for (size_t r = 0; r < rows; r += HOST_ROWS, to += shorts_group(n)) {
        size_t some = rows - r < HOST_ROWS ? rows - r : HOST_ROWS;
        float *pairs = to + HOST_ROWS * runs(n);
        if (some < HOST_ROWS) memset(to, 0, shorts_group(n) * sizeof *to);
        for (size_t k = 0; k < n; k += AT_ONCE)
            turn_some(g, x + r * step + k, step, some, n - k < AT_ONCE ? n - k : AT_ONCE, HOST_MOST_X,
                      pairs + k / 2 * HOST_ROWS, to + k / HOST_RUN * HOST_ROWS, HOST_ROWS);
    }
}

// Columns that are rounded together: what is read of a line then is more than a group's.
enum { TOGETHER = 4 * HOST_ROWS };

static void put_words(char *to, const int32_t *from, size_t n) {
    if (n == HOST_ROWS) // as most are: of a known length
        memcpy(to, from, HOST_ROWS * sizeof *from);
    else
        memcpy(to, from, n * sizeof *from);
}

// At most TOGETHER columns of one run, or less, become pairs of their groups, the first of which begins at `to`.
static void pack_run(const struct host_gradients *g, const float *x, size_t step, size_t cols, size_t n, float by,
                     char *to, float *scales, size_t group) {
    int32_t pairs[HOST_RUN / 2 * TOGETHER];
    float scale[TOGETHER];
    g->round_across(x, step, n, cols, HOST_MOST_X, pairs, TOGETHER, scale);
    for (size_t c = 0; c < cols; c += HOST_ROWS, to += group * sizeof(float), scales += group) {
        size_t some = cols - c < HOST_ROWS ? cols - c : HOST_ROWS;
        for (size_t i = 0; i < some; i++) scales[i] = scale[c + i] * by;
        for (size_t k = 0; k < pieces(n, 2); k++)
            put_words(to + k * HOST_ROWS * sizeof *pairs, pairs + k * TOGETHER + c, some);
    }
}

void shorts_pack_columns(const struct host_gradients *g, const float *x, size_t step, size_t cols, size_t n, float by,
                         float *to) {
    size_t group = shorts_group(n), whole = cols / HOST_ROWS * group;
    if (cols % HOST_ROWS) memset(to + whole, 0, group * sizeof *to);
    for (size_t c = 0; c < cols; c += TOGETHER, to += TOGETHER / HOST_ROWS * group)
        for (size_t k = 0; k < n; k += HOST_RUN)
            pack_run(g, x + k * step + c, step, cols - c < TOGETHER ? cols - c : TOGETHER,
                     n - k < HOST_RUN ? n - k : HOST_RUN, by, (char *)(to + HOST_ROWS * (runs(n) + k / 2)),
                     to + k / HOST_RUN * HOST_ROWS, group);
}

size_t shorts_panel_floats(size_t n, size_t cols) { return (runs(n) + pieces(n, 2)) * wide(cols); }

struct shorts_panel shorts_panel_in(float *room, size_t n, size_t cols) {
    size_t step = wide(cols);
    if (step != cols) memset(room, 0, shorts_panel_floats(n, cols) * sizeof *room);
    return (struct shorts_panel){room + runs(n) * step, room, step};
}

void shorts_from_columns(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                         struct shorts_panel to, size_t first) {
    for (size_t c = 0; c < cols; c += HOST_PANEL)
        for (size_t k = 0; k < n; k += AT_ONCE)
            turn_some(g, w + c * step + k, step, cols - c < HOST_PANEL ? cols - c : HOST_PANEL,
                      n - k < AT_ONCE ? n - k : AT_ONCE, HOST_MOST_W, to.pairs + k / 2 * to.step + first + c,
                      to.scales + k / HOST_RUN * to.step + first + c, to.step);
}

void shorts_from_rows(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                      struct shorts_panel to, size_t first) {
    g->round_across(w, step, n, cols, HOST_MOST_W, to.pairs + first / 2 * to.step, to.step,
                    to.scales + first / HOST_RUN * to.step);
}

// Columns that fill no panel, in one of their own.
static bool edge(const struct host_gradients *g, const struct host_shorts *p) {
    struct host_shorts own = *p;
    size_t bytes = p->cols * sizeof(float);
    float *y = calloc(p->rows * HOST_PANEL, sizeof *y);
    if (!y) return false;
    for (size_t r = 0; r < p->rows && !p->fresh; r++) memcpy(y + r * HOST_PANEL, p->y + r * p->y_row, bytes);
    own.y = y;
    own.y_row = own.cols = HOST_PANEL;
    g->shorts(&own);
    for (size_t r = 0; r < p->rows; r++) memcpy(p->y + r * p->y_row, y + r * HOST_PANEL, bytes);
    free(y);
    return true;
}

bool shorts_add(const struct host_gradients *g, const struct shorts_product *p) {
    size_t group = shorts_group(p->terms), whole = p->cols / HOST_PANEL * HOST_PANEL;
    const float *first = p->packed + p->row / HOST_ROWS * group;
    struct host_shorts some = {.x = first + HOST_ROWS * (runs(p->terms) + p->at / 2),
                               .x_scale = first + HOST_ROWS * (p->at / HOST_RUN),
                               .w = p->w.pairs,
                               .w_scale = p->w.scales,
                               .y = p->y,
                               .fresh = p->fresh,
                               .x_group = group,
                               .w_step = p->w.step,
                               .y_row = p->y_row,
                               .n = p->n,
                               .rows = p->rows,
                               .cols = whole};
    if (!p->rows || !p->n) return true;
    if (whole) g->shorts(&some);
    some.cols = p->cols - whole;
    some.w = p->w.pairs + whole;
    some.w_scale += whole;
    some.y += whole;
    return !some.cols || edge(g, &some);
}
