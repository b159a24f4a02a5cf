// Gradients by the weights themselves. A task has some outputs of a matrix, or some elements of a vector, and adds the
// rows to them in order.
#include "device/elementary.h"
#include "train/product.h"
#include "train/shorts.h"
#include "train/whole.h"

#include <stdatomic.h>
#include <stdlib.h>

// Outputs of a task, and columns of a norm's.
enum { OUTPUTS = 96, COLUMNS = 64 };

void whole_refresh(const struct whole *w) {
    for (size_t k = 0; k < w->n_tables; k++) {
        const struct whole_table *t = &w->tables[k];
        const float *from = w->numbers + t->part->at;
        for (size_t i = 0; i < t->part->n; i++)
            t->to[i % t->cols * t->rows + i / t->cols] = t->part->rate ? -exp_f(from[i]) : from[i];
    }
}

void whole_give(const struct whole *w, const struct whole_part *p, size_t at, size_t n, float *out) {
    const float *from = w->numbers + p->at + at;
    for (size_t i = 0; i < n; i++) out[i] = p->rate ? -exp_f(from[i]) : from[i];
}

void whole_take(const struct whole *w, struct linear_op *o) {
    o->w = whole_at(w, o->w);
    o->type = TYPE_F32;
}

struct way {
    const struct linear_op *o;
    const struct host_gradients *g;
    const float *x, *dy;
    float *dw, *db;
    struct shorts_panel panel; // of columns [begin, begin + n) of x, where sums are of integers
    size_t begin, n;
    atomic_bool failed; // no memory
};

static float factor(const struct linear_op *o) { return o->by == 0 ? 1 : o->by; }

static bool floats_add(const struct way *w, size_t first, size_t n) {
    const struct linear_op *o = w->o;
    struct outer p = {.dy = w->dy + first,
                      .x = w->x,
                      .y = w->dw + first * o->in,
                      .by = factor(o),
                      .dy_row = o->out,
                      .x_row = o->in,
                      .y_row = o->in,
                      .rows = o->rows,
                      .n = n,
                      .cols = o->in};
    return outer_add(w->g, &p);
}

static bool integers_add(const struct way *w, size_t first, size_t n) {
    const struct linear_op *o = w->o;
    float *packed = malloc(shorts_floats(n, o->rows) * sizeof *packed + 1);
    if (!packed) return false;
    shorts_pack_columns(w->g, w->dy + first, o->out, n, o->rows, factor(o), packed);
    struct shorts_product p = {.packed = packed,
                               .terms = o->rows,
                               .w = w->panel,
                               .y = w->dw + first * o->in + w->begin,
                               .y_row = o->in,
                               .n = o->rows,
                               .rows = n,
                               .cols = w->n};
    bool ok = shorts_add(w->g, &p);
    free(packed);
    return ok;
}

static void outputs_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * OUTPUTS, n = o->out - first < OUTPUTS ? o->out - first : OUTPUTS;
    if (!(o->shorts ? integers_add : floats_add)(w, first, n)) atomic_store(&w->failed, true);
    for (size_t r = 0; w->db && !w->begin && r < o->rows; r++)
        for (size_t i = first; i < first + n; i++) w->db[i] += w->dy[r * o->out + i] * factor(o);
}

// Columns of x are rounded once for all tasks.
static void round_task(void *arg, size_t task) {
    struct way *w = arg;
    size_t first = task * COLUMNS, n = w->n - first < COLUMNS ? w->n - first : COLUMNS;
    shorts_from_rows(w->g, w->x + w->begin + first, w->o->in, w->o->rows, n, shorts_panel_at(w->panel, first), 0);
}

enum { SLAB = 4096 }; // columns of x at once

static bool all_integers(struct way *w, gyr_error *e) {
    const struct linear_op *o = w->o;
    size_t most = o->in < SLAB ? o->in : SLAB;
    float *room = malloc(shorts_panel_floats(o->rows, most) * sizeof *room + 1);
    if (!room) return fail_memory(e, "training");
    for (w->begin = 0; w->begin < o->in; w->begin += SLAB) {
        w->n = o->in - w->begin < SLAB ? o->in - w->begin : SLAB;
        w->panel = shorts_panel_in(room, o->rows, w->n);
        pool_run(o->pool, (w->n + COLUMNS - 1) / COLUMNS, round_task, w);
        pool_run(o->pool, (o->out + OUTPUTS - 1) / OUTPUTS, outputs_task, w);
    }
    free(room);
    return true;
}

bool whole_linear(const struct whole *w, const struct linear_op *o, const float *x, const float *dy, float *gradients,
                  gyr_error *e) {
    struct way way = {.o = o, .g = host_gradients_here(), .x = x, .dy = dy};
    way.dw = gradients + ((const float *)o->w - w->numbers);
    way.db = o->bias ? gradients + (o->bias - w->numbers) : NULL;
    if (o->shorts && !all_integers(&way, e)) return false;
    if (!o->shorts) pool_run(o->pool, (o->out + OUTPUTS - 1) / OUTPUTS, outputs_task, &way);
    return !atomic_load(&way.failed) || fail_memory(e, "training");
}

// A task has some columns of all parts; a row's vectors take turns with the parts.
struct norm_way {
    const struct host_norm *n;
    const float *x, *saved, *dy;
    float *dw, *db;
    size_t vectors;
};

static void norm_task(void *arg, size_t task) {
    const struct norm_way *w = arg;
    size_t dim = w->n->dim, first = task * COLUMNS, end = first + COLUMNS < dim ? first + COLUMNS : dim;
    for (size_t r = 0; r < w->vectors; r++) {
        const float *x = w->x + r * dim, *dy = w->dy + r * dim;
        float mean = w->saved[2 * r], inverse = w->saved[2 * r + 1], *dw = w->dw + r % w->n->parts * dim;
        for (size_t i = first; i < end; i++) dw[i] += dy[i] * ((x[i] - mean) * inverse);
        for (size_t i = first; w->db && i < end; i++) w->db[i] += dy[i];
    }
}

void whole_norm(const struct whole *w, struct pool *pool, const struct host_norm *n, size_t rows, const float *x,
                const float *saved, const float *dy, float *gradients) {
    if (n->fixed) return;
    struct norm_way way = {.n = n, .x = x, .saved = saved, .dy = dy, .vectors = rows * n->each};
    way.dw = gradients + (n->w - w->numbers);
    way.db = n->b ? gradients + (n->b - w->numbers) : NULL;
    pool_run(pool, (n->dim + COLUMNS - 1) / COLUMNS, norm_task, &way);
}

void whole_turned(const struct whole *w, const float *v, const float *dv, float *gradients) {
    const struct whole_table *t = w->tables;
    while (t->to != v) t++;
    float *d = gradients + t->part->at;
    for (size_t i = 0; i < t->part->n; i++) {
        size_t at = i % t->cols * t->rows + i / t->cols;
        d[i] += t->part->rate ? dv[at] * v[at] : dv[at]; // the slope of -exp(x) is itself
    }
}

void whole_embed(const struct whole *w, const struct weight *table, const int32_t *ids, size_t rows, const float *dy,
                 float *gradients) {
    size_t at = (size_t)(whole_at(w, table->data) - w->numbers);
    embed_backward(table->cols, ids, rows, dy, gradients + at);
}

void whole_sinks(const struct whole *w, const struct attention_op *o, const float *y, const float *saved,
                 const float *dy, float *gradients) {
    float *d = gradients + (o->sinks - w->numbers);
    for (size_t r = 0; r < o->rows; r++)
        for (size_t h = 0; h < o->heads; h++, y += o->dim, dy += o->dim, saved++) {
            float all = 0;
            for (size_t i = 0; i < o->dim; i++) all += dy[i] * y[i];
            d[h] -= exp_f(o->sinks[h] - *saved) * all;
        }
}
