#include "train/shorts.h"

#include "train/product.h"

#include <stdlib.h>
#include <string.h>

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }
static size_t runs(size_t n) { return pieces(n, HOST_RUN); }
static size_t wide(size_t cols) { return pieces(cols, HOST_PANEL) * HOST_PANEL; }

// Blocks and then scales, in whole lines of a cache; and so many words of room that the first is at the first of one.
enum { LINE = 16 };
size_t shorts_group(size_t n) { return runs(n) * HOST_X_BLOCK + pieces(runs(n) * HOST_ROWS, LINE) * LINE; }
size_t shorts_floats(size_t rows, size_t n) { return pieces(rows, HOST_ROWS) * shorts_group(n) + LINE; }

static size_t to_line(const float *p) { return (size_t)(-(uintptr_t)p / sizeof *p) % LINE; }

enum { AT_ONCE = 4 * HOST_RUN, SCALES = AT_ONCE / HOST_RUN };

// At most HOST_PANEL sums of at most AT_ONCE terms, rounded along and turned: word i of sum r is pairs[i * wide + r].
static void turn_some(const struct host_gradients *g, const float *x, size_t row, size_t rows, size_t n, float most,
                      float *pairs, size_t wide, float *scales, size_t step) {
    int16_t terms[HOST_PANEL * AT_ONCE];
    float scale[HOST_PANEL * SCALES];
    for (size_t r = 0; r < rows; r++) g->round_along(x + r * row, n, most, terms + r * AT_ONCE, scale + r * SCALES);
    turn_words(terms, AT_ONCE / 2, rows, pieces(n, 2), pairs, wide);
    turn_words(scale, SCALES, rows, runs(n), scales, step);
}

static void arrange_all(const struct host_gradients *g, float *blocks, size_t n) {
    for (size_t u = 0; u < n; u++) g->arrange_x(blocks + u * HOST_X_BLOCK);
}

// What no row or term fills.
static void clear_rest(float *group, size_t rows, size_t n) {
    size_t used = n / HOST_RUN * HOST_X_BLOCK + pieces(n % HOST_RUN, 2) * HOST_ROWS;
    if (rows < HOST_ROWS)
        memset(group, 0, shorts_group(n) * sizeof *group);
    else
        memset(group + used, 0, (runs(n) * HOST_X_BLOCK - used) * sizeof *group);
}

void shorts_pack(const struct host_gradients *g, const float *x, size_t step, size_t rows, size_t n, float *to) {
    to += to_line(to);
    for (size_t r = 0; r < rows; r += HOST_ROWS, to += shorts_group(n)) {
        size_t some = rows - r < HOST_ROWS ? rows - r : HOST_ROWS;
        clear_rest(to, some, n);
        for (size_t k = 0; k < n; k += AT_ONCE) {
            size_t terms = n - k < AT_ONCE ? n - k : AT_ONCE, first = k / HOST_RUN;
            float *scales = to + runs(n) * HOST_X_BLOCK + first * HOST_ROWS;
            turn_some(g, x + r * step + k, step, some, terms, HOST_MOST_X, to + first * HOST_X_BLOCK, HOST_ROWS, scales,
                      HOST_ROWS);
            arrange_all(g, to + first * HOST_X_BLOCK, runs(terms));
        }
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

// At most TOGETHER columns of one run, or less, become blocks of their groups, the first of which is at `to`.
static void pack_run(const struct host_gradients *g, const float *x, size_t step, size_t cols, size_t n, float by,
                     float *to, float *scales, size_t group) {
    int32_t pairs[HOST_RUN / 2 * TOGETHER];
    float scale[TOGETHER];
    g->round_across(x, step, n, cols, HOST_MOST_X, pairs, TOGETHER, scale);
    for (size_t c = 0; c < cols; c += HOST_ROWS, to += group, scales += group) {
        size_t some = cols - c < HOST_ROWS ? cols - c : HOST_ROWS;
        for (size_t i = 0; i < some; i++) scales[i] = scale[c + i] * by;
        for (size_t k = 0; k < pieces(n, 2); k++)
            put_words((char *)(to + k * HOST_ROWS), pairs + k * TOGETHER + c, some);
        g->arrange_x(to);
    }
}

void shorts_pack_columns(const struct host_gradients *g, const float *x, size_t step, size_t cols, size_t n, float by,
                         float *to) {
    size_t group = shorts_group(n), all = runs(n);
    to += to_line(to);
    for (size_t c = 0; c < cols; c += HOST_ROWS)
        clear_rest(to + c / HOST_ROWS * group, cols - c < HOST_ROWS ? cols - c : HOST_ROWS, n);
    for (size_t c = 0; c < cols; c += TOGETHER, to += TOGETHER / HOST_ROWS * group)
        for (size_t u = 0; u < all; u++)
            pack_run(g, x + u * HOST_RUN * step + c, step, cols - c < TOGETHER ? cols - c : TOGETHER,
                     u + 1 < all ? HOST_RUN : n - u * HOST_RUN, by, to + u * HOST_X_BLOCK,
                     to + all * HOST_X_BLOCK + u * HOST_ROWS, group);
}

size_t shorts_panel_floats(size_t n, size_t cols) {
    return runs(n) * (pieces(cols, HOST_PANEL) * HOST_W_BLOCK + wide(cols)) + LINE;
}

struct shorts_panel shorts_panel_in(float *room, size_t n, size_t cols) {
    size_t panels = pieces(cols, HOST_PANEL), group = runs(n) * HOST_W_BLOCK;
    float *pairs = room + to_line(room), *scales = pairs + panels * group;
    for (size_t i = 0; i < panels && n % HOST_RUN; i++)
        memset(pairs + (i + 1) * group - HOST_W_BLOCK, 0, HOST_W_BLOCK * sizeof *pairs);
    if (cols % HOST_PANEL) {
        memset(pairs + (panels - 1) * group, 0, group * sizeof *pairs);
        memset(scales, 0, runs(n) * wide(cols) * sizeof *scales);
    }
    return (struct shorts_panel){pairs, scales, group, wide(cols)};
}

struct shorts_panel shorts_panel_at(struct shorts_panel p, size_t first) {
    return (struct shorts_panel){p.pairs + first / HOST_PANEL * p.group, p.scales + first, p.group, p.step};
}

void shorts_from_columns(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                         struct shorts_panel to) {
    for (size_t c = 0; c < cols; c += HOST_PANEL, to = shorts_panel_at(to, HOST_PANEL))
        for (size_t k = 0; k < n; k += AT_ONCE) {
            size_t some = n - k < AT_ONCE ? n - k : AT_ONCE, first = k / HOST_RUN;
            float *blocks = to.pairs + first * HOST_W_BLOCK;
            turn_some(g, w + c * step + k, step, cols - c < HOST_PANEL ? cols - c : HOST_PANEL, some, HOST_MOST_W,
                      blocks, HOST_PANEL, to.scales + first * to.step, to.step);
            for (size_t u = 0; u < runs(some); u++) g->arrange_w(blocks + u * HOST_W_BLOCK);
        }
}

enum { PANELS = 4 * HOST_PANEL }; // columns at once: whole lines of what is read

// At most PANELS columns of one run become blocks of their panels.
static void run_from_rows(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols, float *to,
                          size_t group, float *scales) {
    int32_t pairs[HOST_RUN / 2 * PANELS];
    g->round_across(w, step, n, cols, HOST_MOST_W, pairs, PANELS, scales);
    for (size_t c = 0; c < cols; c += HOST_PANEL, to += group) {
        size_t some = cols - c < HOST_PANEL ? cols - c : HOST_PANEL;
        for (size_t k = 0; k < pieces(n, 2); k++)
            memcpy(to + k * HOST_PANEL, pairs + k * PANELS + c, some * sizeof *to);
        g->arrange_w(to);
    }
}

void shorts_from_rows(const struct host_gradients *g, const float *w, size_t step, size_t n, size_t cols,
                      struct shorts_panel to, size_t first) {
    for (size_t c = 0; c < cols; c += PANELS)
        for (size_t k = 0; k < n; k += HOST_RUN) {
            size_t run = (first + k) / HOST_RUN;
            struct shorts_panel at = shorts_panel_at(to, c);
            run_from_rows(g, w + k * step + c, step, n - k < HOST_RUN ? n - k : HOST_RUN,
                          cols - c < PANELS ? cols - c : PANELS, at.pairs + run * HOST_W_BLOCK, at.group,
                          at.scales + run * at.step);
        }
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
    size_t group = shorts_group(p->terms), whole = p->cols / HOST_PANEL * HOST_PANEL, run = p->at / HOST_RUN;
    const float *first = p->packed + to_line(p->packed) + p->row / HOST_ROWS * group;
    struct host_shorts some = {.x = first + run * HOST_X_BLOCK,
                               .x_scale = first + runs(p->terms) * HOST_X_BLOCK + run * HOST_ROWS,
                               .w = p->w.pairs,
                               .w_group = p->w.group,
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
    some.w = shorts_panel_at(p->w, whole).pairs;
    some.w_scale += whole;
    some.y += whole;
    return !some.cols || edge(g, &some);
}
