#include "train/ops.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

// Rows of W that a task of the way forward has, and columns of one on the way back: whole blocks of every type.
enum { ROWS = 16, COLS = 256 };

struct way {
    const struct linear_op *o;
    const float *x, *dy, *narrow; // narrow: [rows][rank], a x; or, on the way back, its gradient
    float *y, *da, *db;
    atomic_bool failed; // no memory
};

static size_t pieces(size_t n, size_t size) { return (n + size - 1) / size; }

static float dot(const float *a, const float *b, size_t n) {
    float sum = 0;
    for (size_t i = 0; i < n; i++) sum = fmaf(a[i], b[i], sum);
    return sum;
}

static bool run(const struct linear_op *o, struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

// narrow[t] = a x[t].
static void narrow_row(void *arg, size_t t) {
    const struct way *w = arg;
    const struct linear_op *o = w->o;
    for (size_t k = 0; k < o->rank; k++) w->y[t * o->rank + k] = dot(o->a + k * o->in, w->x + t * o->in, o->in);
}

static void forward_rows(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    float *row = malloc(o->in * sizeof *row);
    size_t first = task * ROWS, last = first + ROWS < o->out ? first + ROWS : o->out;
    if (!row) atomic_store(&w->failed, true);
    for (size_t i = first; row && i < last; i++) {
        type_decode(o->type, (const char *)o->w + i * type_row_bytes(o->type, o->in), 0, o->in, row);
        for (size_t t = 0; t < o->rows; t++) {
            float y = dot(row, w->x + t * o->in, o->in) + (o->bias ? o->bias[i] : 0);
            if (o->rank) y += o->scale * dot(o->b + i * o->rank, w->narrow + t * o->rank, o->rank);
            w->y[t * o->out + i] = y;
        }
    }
    free(row);
}

bool linear_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e) {
    struct way narrow = {.o = o, .x = x, .y = saved}, wide = {.o = o, .x = x, .y = y, .narrow = saved};
    return (!o->rank || run(o, &narrow, o->rows, narrow_row, e)) &&
           run(o, &wide, pieces(o->out, ROWS), forward_rows, e);
}

// The gradient of a x: scale * b' dy, outputs in ascending order.
static void back_narrow(void *arg, size_t t) {
    const struct way *w = arg;
    const struct linear_op *o = w->o;
    float *to = w->y + t * o->rank;
    memset(to, 0, o->rank * sizeof *to);
    for (size_t i = 0; i < o->out; i++)
        for (size_t k = 0; k < o->rank; k++) to[k] = fmaf(w->dy[t * o->out + i], o->b[i * o->rank + k], to[k]);
    for (size_t k = 0; k < o->rank; k++) to[k] *= o->scale;
}

// db[i] += scale * the sum over rows of dy[i] * (a x).
static void back_b(void *arg, size_t i) {
    const struct way *w = arg;
    const struct linear_op *o = w->o;
    for (size_t k = 0; k < o->rank; k++) {
        float sum = 0;
        for (size_t t = 0; t < o->rows; t++) sum = fmaf(w->dy[t * o->out + i], w->narrow[t * o->rank + k], sum);
        w->db[i * o->rank + k] += o->scale * sum;
    }
}

// da[k] += the sum over rows of the gradient of (a x)[k], times x.
static void back_a(void *arg, size_t k) {
    const struct way *w = arg;
    const struct linear_op *o = w->o;
    float *to = w->da + k * o->in;
    for (size_t t = 0; t < o->rows; t++)
        for (size_t j = 0; j < o->in; j++) to[j] = fmaf(w->narrow[t * o->rank + k], w->x[t * o->in + j], to[j]);
}

// Some columns of dx = W' dy + a' (the gradient of a x), outputs and ranks in ascending order.
static void back_cols(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * COLS, n = o->in - first < COLS ? o->in - first : COLS;
    float some[COLS];
    for (size_t t = 0; t < o->rows; t++) memset(w->y + t * o->in + first, 0, n * sizeof *w->y);
    for (size_t i = 0; i < o->out; i++) {
        type_decode(o->type, (const char *)o->w + i * type_row_bytes(o->type, o->in), first, n, some);
        for (size_t t = 0; t < o->rows; t++) {
            float by = w->dy[t * o->out + i], *to = w->y + t * o->in + first;
            for (size_t j = 0; j < n; j++) to[j] = fmaf(by, some[j], to[j]);
        }
    }
    for (size_t k = 0; k < o->rank; k++)
        for (size_t t = 0; t < o->rows; t++) {
            float by = w->narrow[t * o->rank + k], *to = w->y + t * o->in + first;
            for (size_t j = 0; j < n; j++) to[j] = fmaf(by, o->a[k * o->in + first + j], to[j]);
        }
}

bool linear_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                     float *da, float *db, gyr_error *e) {
    float *narrow = malloc((o->rows * o->rank + 1) * sizeof *narrow);
    if (!narrow) return fail_memory(e, "training");
    struct way to_narrow = {.o = o, .dy = dy, .y = narrow}, b = {.o = o, .dy = dy, .narrow = saved, .db = db};
    struct way a = {.o = o, .x = x, .narrow = narrow, .da = da}, cols = {.o = o, .dy = dy, .narrow = narrow, .y = dx};
    bool ok = (!o->rank || (run(o, &to_narrow, o->rows, back_narrow, e) && run(o, &b, o->out, back_b, e) &&
                            run(o, &a, o->rank, back_a, e))) &&
              (!dx || run(o, &cols, pieces(o->in, COLS), back_cols, e));
    free(narrow);
    return ok;
}
