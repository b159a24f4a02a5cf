// The steps that layers are made of.
#include "train/card.h"
#include "train/example.h"
#include "train/whole.h"

#include <string.h>

// ------------------------------------------------------------------------------------------------ linear maps

// Small maps whose results choose, or are exponents: what they are off by is not a part of the result, but more.
static bool is_touchy(unsigned slot) {
    return slot == SLOT_ROUTER || slot == SLOT_SHARED_ROUTER || slot == SLOT_STATE_ALPHA || slot == SLOT_STATE_BETA ||
           slot == SLOT_STATE_DT || slot == SLOT_STATE_X;
}

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
                          .room = x->room,
                          .shorts = x->t->shorts && !is_touchy(slot)};
    if (x->t->whole)
        whole_take(x->t->whole, &o);
    else
        o.card = x->t->card, o.bound = &of->w;
    return o;
}

bool step_linear(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in, float *out,
                 float *narrow) {
    struct linear_op o = linear_op(x, layer, slot, rows);
    return linear_forward(&o, in, out, narrow, x->e);
}

struct linear_op step_op(const struct example *x, uint32_t layer, unsigned slot, size_t rows, float **da, float **db) {
    const struct trained *p = &x->t->layers[layer].pair[slot];
    *da = x->gradients ? x->gradients + p->a : NULL;
    *db = x->gradients ? x->gradients + p->b : NULL;
    return linear_op(x, layer, slot, rows);
}

static bool linear_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                        const float *narrow, const float *dout, float *some, float *dx, bool zeros) {
    struct linear_op o = linear_op(x, layer, slot, rows);
    const struct trained *p = &x->t->layers[layer].pair[slot];
    float *da = x->gradients + p->a, *db = x->gradients + p->b;
    if (card_has(&o)) return card_backward(&o, in, narrow, dout, dx, zeros ? DX_ONTO_ZEROS : DX_MORE, da, db, x->e);
    if (!linear_backward(&o, in, narrow, dout, some, da, db, x->e)) return false;
    if (x->t->whole && !whole_linear(x->t->whole, &o, in, dout, x->gradients, x->e)) return false;
    if (zeros) step_clear(x, dx, o.rows * o.in);
    step_add(x, dx, 1, some, dx, o.rows * o.in);
    return true;
}

bool step_linear_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                      const float *narrow, const float *dout, float *some, float *dx) {
    return linear_back(x, layer, slot, rows, in, narrow, dout, some, dx, false);
}

bool step_linear_first_back(struct example *x, uint32_t layer, unsigned slot, size_t rows, const float *in,
                            const float *narrow, const float *dout, float *some, float *dx) {
    return linear_back(x, layer, slot, rows, in, narrow, dout, some, dx, true);
}

void step_together(struct example *x) { card_begin(x->t->card); }

bool step_apart(struct example *x, bool ok) { return card_end(x->t->card, x->e) && ok; }

bool step_map(struct example *x, uint32_t layer, unsigned slot, const float *in, float *out) {
    return step_linear(x, layer, slot, x->rows, in, out, x->kept[layer].narrow[slot]);
}

bool step_map_back(struct example *x, uint32_t layer, unsigned slot, const float *in, const float *dout, float *some,
                   float *dx) {
    return step_linear_back(x, layer, slot, x->rows, in, x->kept[layer].narrow[slot], dout, some, dx);
}

// ---------------------------------------------------------------------------------- what is done to each number alone

enum { NUMBERS = 32 << 10 }; // of a task

struct by_numbers {
    float *to;
    const float *from, *plus;
    float by;
    size_t n;
};

static void numbers_task(void *arg, size_t task) {
    const struct by_numbers *w = arg;
    size_t i = task * NUMBERS, end = w->n - i < NUMBERS ? w->n : i + NUMBERS;
    if (!w->plus)
        memset(w->to + i, 0, (end - i) * sizeof *w->to);
    else if (!w->from)
        for (; i < end; i++) w->to[i] = w->by * w->plus[i];
    else
        for (; i < end; i++) w->to[i] = w->from[i] + w->by * w->plus[i];
}

static void run_numbers(const struct example *x, struct by_numbers w) {
    pool_run(x->t->pool, (w.n + NUMBERS - 1) / NUMBERS, numbers_task, &w);
}

void step_clear(const struct example *x, float *to, size_t n) { run_numbers(x, (struct by_numbers){.to = to, .n = n}); }

void step_scale(const struct example *x, float by, const float *from, float *to, size_t n) {
    if (by != 1 || from != to) run_numbers(x, (struct by_numbers){.to = to, .plus = from, .by = by, .n = n});
}

void step_add(const struct example *x, const float *from, float by, const float *plus, float *to, size_t n) {
    run_numbers(x, (struct by_numbers){.to = to, .from = from, .plus = plus, .by = by, .n = n});
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
