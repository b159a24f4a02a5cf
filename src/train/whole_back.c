// Gradients by the weights themselves. A task has some outputs of a matrix, or some elements of a vector, and adds the
// rows to them in order.
#include "device/elementary.h"
#include "train/product.h"
#include "train/whole.h"

#include <stdatomic.h>

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
    atomic_bool failed; // no memory
};

static void outputs_task(void *arg, size_t task) {
    struct way *w = arg;
    const struct linear_op *o = w->o;
    size_t first = task * OUTPUTS, n = o->out - first < OUTPUTS ? o->out - first : OUTPUTS;
    struct outer p = {.dy = w->dy + first,
                      .x = w->x,
                      .y = w->dw + first * o->in,
                      .by = o->by == 0 ? 1 : o->by,
                      .dy_row = o->out,
                      .x_row = o->in,
                      .y_row = o->in,
                      .rows = o->rows,
                      .n = n,
                      .cols = o->in};
    if (!outer_add(w->g, &p)) atomic_store(&w->failed, true);
    for (size_t r = 0; w->db && r < o->rows; r++)
        for (size_t i = first; i < first + n; i++) w->db[i] += w->dy[r * o->out + i] * p.by;
}

bool whole_linear(const struct whole *w, const struct linear_op *o, const float *x, const float *dy, float *gradients,
                  gyr_error *e) {
    struct way way = {.o = o, .g = host_gradients_here(), .x = x, .dy = dy};
    way.dw = gradients + ((const float *)o->w - w->numbers);
    way.db = o->bias ? gradients + (o->bias - w->numbers) : NULL;
    pool_run(o->pool, (o->out + OUTPUTS - 1) / OUTPUTS, outputs_task, &way);
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
