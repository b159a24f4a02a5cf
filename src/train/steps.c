// The steps that layers are made of.
#include "train/example.h"
#include "train/whole.h"

// ------------------------------------------------------------------------------------------------ linear maps

static struct linear_op linear_op(const struct example *x, uint32_t layer, unsigned slot, size_t rows) {
    const struct host_layer *l = &x->t->layers[layer];
    const struct linear *of = trainee_linear(x->t, layer, slot);
    const struct trained *p = &l->pair[slot];
    struct linear_op o = {.pool = x->t->pool,
                          .rows = rows,
                          .in = of->w.cols,
                          .out = of->w.rows,
                          .rank = x->numbers ? p->rank : 0,
                          .type = of->w.type,
                          .w = of->w.data,
                          .bias = l->bias[slot],
                          .a = x->numbers ? x->numbers + p->a : NULL,
                          .b = x->numbers ? x->numbers + p->b : NULL,
                          .scale = p->scale,
                          .by = of->by,
                          .room = x->room};
    if (x->t->whole) whole_take(x->t->whole, &o);
    return o;
}

bool step_linear(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in, float *out,
                 float *narrow) {
    struct linear_op o = linear_op(x, layer, slot, rows);
    return linear_forward(&o, in, out, narrow, x->e);
}

bool step_linear_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                      const float *narrow, const float *dout, float *some, float *dx) {
    struct linear_op o = linear_op(x, layer, slot, rows);
    const struct trained *p = &x->t->layers[layer].pair[slot];
    if (!linear_backward(&o, in, narrow, dout, some, x->gradients + p->a, x->gradients + p->b, x->e)) return false;
    if (x->t->whole && !whole_linear(x->t->whole, &o, in, dout, x->gradients, x->e)) return false;
    for (size_t k = 0; k < o.rows * o.in; k++) dx[k] += some[k];
    return true;
}

bool step_map(struct example *x, uint32_t layer, unsigned slot, const float *in, float *out) {
    return step_linear(x, layer, slot, x->rows, in, out, x->kept[layer].narrow[slot]);
}

bool step_map_back(struct example *x, uint32_t layer, unsigned slot, const float *in, const float *dout, float *some,
                   float *dx) {
    return step_linear_back(x, layer, slot, x->rows, in, x->kept[layer].narrow[slot], dout, some, dx);
}

// ----------------------------------------------------------------------------------- what is done to each row alone

// Some rows to a task.
enum { ROWS = 16 };

struct by_rows {
    const struct example *x;
    const struct host_norm *norm;
    const struct kept_unit *unit;
    const float *in, *saved, *dout;
    float *out, *made, *dx, *dgate, *dup;
    size_t rows;
};

static size_t rows_of(const struct by_rows *w, size_t task) {
    size_t left = w->rows - task * ROWS;
    return left < ROWS ? left : ROWS;
}

static void run_rows(const struct example *x, size_t rows, void (*fn)(void *arg, size_t i), struct by_rows *w) {
    w->x = x;
    w->rows = rows;
    pool_run(x->t->pool, (rows + ROWS - 1) / ROWS, fn, w);
}

static struct norm_op norm_op(const struct by_rows *w, size_t task) {
    const struct host_norm *n = w->norm;
    return (struct norm_op){n->mean, rows_of(w, task) * n->each, n->dim, n->eps, n->w, n->b, n->parts};
}

static void norm_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    struct norm_op o = norm_op(w, task);
    size_t first = task * ROWS * w->norm->each, at = first * o.dim;
    norm_forward(&o, w->in + at, w->out + at, w->made + 2 * first);
}

void step_norm(const struct example *x, const struct host_norm *n, const float *in, float *out, float *saved) {
    run_rows(x, x->rows, norm_task, &(struct by_rows){.norm = n, .in = in, .out = out, .made = saved});
}

static void norm_back_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    struct norm_op o = norm_op(w, task);
    size_t first = task * ROWS * w->norm->each, at = first * o.dim;
    norm_backward(&o, w->in + at, w->saved + 2 * first, w->dout + at, w->out + at, NULL, NULL);
    for (size_t k = at; k < at + o.rows * o.dim; k++) w->dx[k] += w->out[k];
}

void step_norm_back(const struct example *x, const struct host_norm *n, const float *in, const float *saved,
                    const float *dout, float *some, float *dx) {
    run_rows(x, x->rows, norm_back_task,
             &(struct by_rows){.norm = n, .in = in, .saved = saved, .dout = dout, .out = some, .dx = dx});
    if (x->t->whole) whole_norm(x->t->whole, x->t->pool, n, x->rows, in, saved, dout, x->gradients);
}

static struct bounded_op bounds(const struct by_rows *w, size_t n) {
    const struct hyperparameters *h = &w->x->t->m->h;
    return (struct bounded_op){n, h->gate_limit, h->gate_alpha};
}

static void unit_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    const struct kept_unit *u = w->unit;
    size_t at = task * ROWS * u->wide, n = rows_of(w, task) * u->wide;
    struct bounded_op bound = bounds(w, n);
    if (!u->gate)
        unit_forward(w->x->t->unit, n, u->up + at, u->inner + at);
    else if (bound.limit > 0)
        bounded_forward(&bound, u->gate + at, u->up + at, u->inner + at);
    else
        gated_forward(w->x->t->unit, n, u->gate + at, u->up + at, u->inner + at);
}

void step_unit(const struct example *x, const struct kept_unit *u) {
    run_rows(x, u->rows, unit_task, &(struct by_rows){.unit = u});
}

static void unit_back_task(void *arg, size_t task) {
    const struct by_rows *w = arg;
    const struct kept_unit *u = w->unit;
    size_t at = task * ROWS * u->wide, n = rows_of(w, task) * u->wide;
    struct bounded_op bound = bounds(w, n);
    const float *d = w->dout + at;
    if (!u->gate)
        unit_backward(w->x->t->unit, n, u->up + at, d, w->dup + at);
    else if (bound.limit > 0)
        bounded_backward(&bound, u->gate + at, u->up + at, d, w->dgate + at, w->dup + at);
    else
        gated_backward(w->x->t->unit, n, u->gate + at, u->up + at, d, w->dgate + at, w->dup + at);
}

void step_unit_back(const struct example *x, const struct kept_unit *u, const float *dinner, float *dgate, float *dup) {
    run_rows(x, u->rows, unit_back_task, &(struct by_rows){.unit = u, .dout = dinner, .dgate = dgate, .dup = dup});
}
