// A convolution over time, of each channel by itself.
#include "train/ops.h"

#include <string.h>

enum { ROWS = 16, COLUMNS = 64 };

struct way {
    const struct conv_op *o;
    const float *x, *dy;
    float *y, *dw, *db;
};

static void add_products(float *restrict y, const float *restrict w, const float *restrict x, size_t n) {
    for (size_t i = 0; i < n; i++) y[i] += w[i] * x[i];
}

static size_t end_of(const struct conv_op *o, size_t task) {
    size_t end = (task + 1) * ROWS;
    return end < o->rows ? end : o->rows;
}

static void forward_task(void *arg, size_t task) {
    const struct way *w = arg;
    const struct conv_op *o = w->o;
    size_t before = o->taps - 1, n = o->channels;
    for (size_t t = task * ROWS; t < end_of(o, task); t++) {
        float *y = w->y + t * n;
        for (size_t i = 0; i < n; i++) y[i] = o->bias ? o->bias[i] : 0;
        for (size_t j = 0; j < o->taps; j++)
            if (t + j >= before) add_products(y, o->w + j * n, w->x + (t + j - before) * n, n);
    }
}

static void back_task(void *arg, size_t task) {
    const struct way *w = arg;
    const struct conv_op *o = w->o;
    size_t before = o->taps - 1, n = o->channels;
    for (size_t t = task * ROWS; t < end_of(o, task); t++) {
        float *dx = w->y + t * n;
        memset(dx, 0, n * sizeof *dx);
        for (size_t j = 0; j < o->taps; j++)
            if (t + before - j < o->rows) add_products(dx, o->w + j * n, w->x + (t + before - j) * n, n);
    }
}

void conv_forward(const struct conv_op *o, const float *x, float *y) {
    pool_run(o->pool, (o->rows + ROWS - 1) / ROWS, forward_task, &(struct way){.o = o, .x = x, .y = y});
}

// A task has some channels, and adds the rows to their gradients in order.
static void parameters_task(void *arg, size_t task) {
    const struct way *w = arg;
    const struct conv_op *o = w->o;
    size_t before = o->taps - 1, all = o->channels, first = task * COLUMNS;
    size_t n = all - first < COLUMNS ? all - first : COLUMNS;
    for (size_t t = 0; t < o->rows; t++) {
        const float *dy = w->dy + t * all + first;
        for (size_t i = 0; w->db && i < n; i++) w->db[first + i] += dy[i];
        for (size_t j = 0; j < o->taps; j++)
            if (t + j >= before) add_products(w->dw + j * all + first, dy, w->x + (t + j - before) * all + first, n);
    }
}

void conv_backward(const struct conv_op *o, const float *x, const float *dy, float *dx, float *dw, float *db) {
    struct way w = {.o = o, .x = dy, .y = dx}, own = {.o = o, .x = x, .dy = dy, .dw = dw, .db = db};
    pool_run(o->pool, (o->rows + ROWS - 1) / ROWS, back_task, &w);
    if (dw) pool_run(o->pool, (o->channels + COLUMNS - 1) / COLUMNS, parameters_task, &own);
}
