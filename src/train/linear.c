#include "train/card.h"
#include "train/product.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Inputs that are decoded at once on the way forward, and outputs on the way back: what a panel of them takes stays
// near. DEEP is whole blocks of every type.
enum { DEEP = 256, OUTPUTS = 128, B_ROWS = 96 };

struct way {
    const struct linear_op *o;
    const struct host_gradients *g;
    const float *x, *dy, *narrow; // narrow: [rows][rank], scale * a x; or, on the way back, the gradient of a x
    float *y, *da, *db;
    size_t each, groups; // rows of a task, and how many such
    atomic_bool failed;  // no memory
};

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }
static size_t least(size_t a, size_t b) { return a < b ? a : b; }

// Runs tasks, each for all rows; or for some, where there would be too few: a row's result is its own.
static bool run(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    const struct linear_op *o = w->o;
    size_t want = 2 * (size_t)pool_threads(o->pool), groups = tasks < want ? want / (tasks + !tasks) : 1;
    w->each = pieces(o->rows, groups);
    w->each = w->each < 24 ? 24 : w->each;
    w->groups = pieces(o->rows, w->each);
    pool_run(o->pool, tasks * w->groups, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

static bool run_whole(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(w->o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

static const void *row_of(const struct linear_op *o, size_t i) {
    return (const char *)o->w + i * type_row_bytes(o->type, o->in);
}

// What the matrix's own factor does to the columns of a panel.
static void multiply(const struct linear_op *o, const struct host_panel *p, size_t cols) {
    if (o->by == 0 || o->by == 1) return;
    for (size_t r = 0; r < p->rows; r++)
        for (size_t i = 0; i < cols; i++) p->y[r * p->y_row + i] *= o->by;
}

// ---------------------------------------------------------------------------------------------- forward

// Outputs [first, first + n) of rows [row, row + rows), n at most HOST_PANEL.
static bool forward_panel(const struct way *w, size_t first, size_t n, size_t row, size_t rows, float *scratch) {
    const struct linear_op *o = w->o;
    float *wide = scratch, *turned = scratch + (size_t)HOST_PANEL * DEEP;
    struct host_panel p = {.x_row = o->in, .x_step = 1, .w = turned, .w_step = n, .y_row = o->out, .rows = rows};
    p.y = w->y + row * o->out + first;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++) p.y[r * o->out + i] = o->bias ? o->bias[first + i] : 0;
    for (size_t k = 0; k < o->in; k += DEEP) {
        p.n = least(DEEP, o->in - k);
        for (size_t i = 0; i < n; i++) type_decode(o->type, row_of(o, first + i), k, p.n, wide + i * p.n);
        transpose(wide, p.n, n, p.n, turned);
        p.x = w->x + row * o->in + k;
        if (!product_add(w->g, &p, n)) return false;
    }
    multiply(o, &p, n);
    for (size_t k = 0; k < o->rank; k += DEEP) {
        p.n = least(DEEP, o->rank - k);
        p.x = w->narrow + row * o->rank + k;
        p.x_row = o->rank;
        transpose(o->b + first * o->rank + k, o->rank, n, p.n, turned);
        if (!product_add(w->g, &p, n)) return false;
    }
    return true;
}

static void forward_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task / w->groups * HOST_PANEL, row = task % w->groups * w->each;
    float *scratch = malloc((size_t)2 * HOST_PANEL * DEEP * sizeof *scratch);
    if (!scratch ||
        !forward_panel(w, first, least(HOST_PANEL, o->out - first), row, least(w->each, o->rows - row), scratch))
        atomic_store(&w->failed, true);
    free(scratch);
}

static void scale_all(float *x, size_t n, float by) {
    for (size_t i = 0; i < n; i++) x[i] *= by;
}

// saved is scale * a x.
bool linear_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e) {
    struct linear_op narrow_op = {
        .pool = o->pool, .rows = o->rows, .in = o->in, .out = o->rank, .type = TYPE_F32, .w = o->a};
    if (card_has(o)) return card_forward(o, x, y, saved, e);
    if (!card_settle(o->card, e)) return false;
    struct way narrow = {.o = &narrow_op, .g = host_gradients_here(), .x = x, .y = saved};
    struct way wide = {.o = o, .g = narrow.g, .x = x, .y = y, .narrow = saved};
    if (o->rank) {
        if (!run(&narrow, pieces(o->rank, HOST_PANEL), forward_task, e)) return false;
        scale_all(saved, o->rows * o->rank, o->scale);
    }
    return run(&wide, pieces(o->out, HOST_PANEL), forward_task, e);
}

// ------------------------------------------------------------------------------------------------- back

// Columns of a task: whole blocks of the type.
static size_t columns(const struct linear_op *o) {
    size_t block = type_info(o->type)->block;
    return block > 64 ? DEEP : 64;
}

// Columns [first, first + n) of dx = W' dy + a' (the gradient of a x), outputs and ranks in ascending order.
static bool back_columns(const struct way *w, size_t first, size_t n, size_t row, size_t rows, float *some) {
    const struct linear_op *o = w->o;
    struct host_panel p = {.x_row = o->out, .x_step = 1, .w = some, .w_step = n, .y_row = o->in, .rows = rows};
    p.y = w->y + row * o->in + first;
    for (size_t r = 0; r < rows; r++) memset(p.y + r * o->in, 0, n * sizeof *p.y);
    for (size_t i = 0; i < o->out; i += OUTPUTS) {
        p.n = least(OUTPUTS, o->out - i);
        p.x = w->dy + row * o->out + i;
        for (size_t k = 0; k < p.n; k++) type_decode(o->type, row_of(o, i + k), first, n, some + k * n);
        if (!product_add(w->g, &p, n)) return false;
    }
    multiply(o, &p, n);
    if (!o->rank) return true;
    p.n = o->rank;
    p.x = w->narrow + row * o->rank;
    p.x_row = o->rank;
    p.w = o->a + first;
    p.w_step = o->in;
    return product_add(w->g, &p, n);
}

static void back_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t each = columns(o), first = task / w->groups * each, row = task % w->groups * w->each;
    float *some = malloc(OUTPUTS * each * sizeof *some);
    if (!some || !back_columns(w, first, least(each, o->in - first), row, least(w->each, o->rows - row), some))
        atomic_store(&w->failed, true);
    free(some);
}

// db[i] += the sum over rows of dy[i] * (scale * a x).
static void back_b(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * B_ROWS;
    struct host_panel p = {.x = w->dy + first,
                           .x_row = 1,
                           .x_step = o->out,
                           .w = w->narrow,
                           .w_step = o->rank,
                           .y = w->db + first * o->rank,
                           .y_row = o->rank,
                           .n = o->rows,
                           .rows = least(B_ROWS, o->out - first)};
    if (!product_add(w->g, &p, o->rank)) atomic_store(&w->failed, true);
}

// Columns of da[k] += the sum over rows of the gradient of (a x)[k], times x.
static void back_a(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * HOST_PANEL;
    struct host_panel p = {.x = w->narrow,
                           .x_row = 1,
                           .x_step = o->rank,
                           .w = w->x + first,
                           .w_step = o->in,
                           .y = w->da + first,
                           .y_row = o->in,
                           .n = o->rows,
                           .rows = o->rank};
    if (!product_add(w->g, &p, least(HOST_PANEL, o->in - first))) atomic_store(&w->failed, true);
}

// The gradients of a pair; `narrow` is that by a x.
static bool back_pair(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *narrow,
                      float *da, float *db, gyr_error *e) {
    struct linear_op narrow_op = {
        .pool = o->pool, .rows = o->rows, .in = o->rank, .out = o->out, .type = TYPE_F32, .w = o->b};
    struct way to_narrow = {.o = &narrow_op, .g = host_gradients_here(), .dy = dy, .y = narrow};
    struct way b = {.o = o, .g = to_narrow.g, .dy = dy, .narrow = saved, .db = db};
    struct way a = {.o = o, .g = to_narrow.g, .x = x, .narrow = narrow, .da = da};
    if (!run(&to_narrow, pieces(o->rank, columns(&narrow_op)), back_task, e)) return false;
    scale_all(narrow, o->rows * o->rank, o->scale);
    return run_whole(&b, pieces(o->out, B_ROWS), back_b, e) && run_whole(&a, pieces(o->in, HOST_PANEL), back_a, e);
}

bool linear_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                     float *da, float *db, gyr_error *e) {
    if (dx && card_has(o)) return card_backward(o, x, saved, dy, dx, DX_IS, da, db, e);
    if (!card_settle(o->card, e)) return false;
    float *narrow = malloc((o->rows * o->rank + 1) * sizeof *narrow);
    if (!narrow) return fail_memory(e, "training");
    struct way cols = {.o = o, .g = host_gradients_here(), .dy = dy, .narrow = narrow, .y = dx};
    bool ok = (!o->rank || back_pair(o, x, saved, dy, narrow, da, db, e)) &&
              (!dx || run(&cols, pieces(o->in, columns(o)), back_task, e));
    free(narrow);
    return ok;
}
