// Linear recurrences. A task has a head, or some channels, and all rows. On the way back the states are computed again:
// those in front of each block of rows are kept, and those within the block that is gone through.
#include "device/elementary.h"
#include "train/ops.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, CHANNELS = 64 };

struct way {
    const struct recur_op *o;
    const struct recur_given *in;
    const struct recur_back *back;
    host_exps *exps;
    const float *dy;
    float *y;
    float *own; // [tasks][2][rows][size]: each task's part of dkey and dquery
    size_t tasks;
    atomic_bool failed; // no memory
};

// Part of a way: n elements of values from `first` on, and what is known of the row that it is at.
struct lane {
    const struct way *w;
    const struct recur_op *o;
    size_t task, first, n, head, group;
    float *blocks, *states, *grown;      // [blocks][size][n], [BLOCK + 1][size][n], [size][n]
    float *step, *slope, *decay, *dstep; // [n], or [size] where each of a key's has its own
    float *add, *read, *dadd;            // [n]
    float keep, rate;
};

static size_t all_of(const struct recur_op *o) { return o->heads * o->dim; }
static bool by_channel(const struct recur_op *o) { return o->kind == RECUR_CHANNELS; }

// Steps of all lanes, those of a lane, and its first.
static size_t all_steps(const struct recur_op *o) {
    return by_channel(o) ? all_of(o) : o->each ? o->heads * o->size : o->heads;
}
static size_t steps_of(const struct lane *l) { return by_channel(l->o) ? l->n : l->o->each ? l->o->size : 1; }
static size_t first_step(const struct lane *l) {
    return by_channel(l->o) ? l->first : l->o->each ? l->head * l->o->size : l->head;
}

static size_t tasks_of(const struct recur_op *o) {
    return by_channel(o) ? (all_of(o) + CHANNELS - 1) / CHANNELS : o->heads;
}
static size_t group_of(const struct recur_op *o, size_t head) {
    return by_channel(o) ? 0 : o->turns ? head % o->groups : head / (o->heads / o->groups);
}

static bool open_lane(struct lane *l, const struct way *w, size_t task, bool back) {
    const struct recur_op *o = w->o;
    size_t n = by_channel(o) ? CHANNELS : o->dim, left = all_of(o) - task * n;
    *l = (struct lane){.w = w, .o = o, .task = task, .first = task * n, .n = n < left ? n : left, .head = task};
    l->group = group_of(o, task);
    size_t cells = o->size * l->n, blocks = back ? (o->rows + BLOCK - 1) / BLOCK : 0, states = back ? BLOCK + 1 : 1;
    size_t wide = l->n > o->size ? l->n : o->size;
    l->blocks = calloc((blocks + states + 1) * cells + 7 * wide + 1, sizeof *l->blocks);
    if (!l->blocks) return false;
    l->states = l->blocks + blocks * cells;
    l->grown = l->states + states * cells;
    float **rows[] = {&l->step, &l->slope, &l->decay, &l->add, &l->read, &l->dadd, &l->dstep};
    for (size_t i = 0; i < 7; i++) *rows[i] = l->grown + cells + i * wide;
    return true;
}

static const float *x_of(const struct lane *l, size_t t) { return l->w->in->x + t * all_of(l->o) + l->first; }
static const float *key_of(const struct lane *l, size_t t) {
    return l->w->in->key + (t * l->o->groups + l->group) * l->o->size;
}
static const float *query_of(const struct lane *l, size_t t) {
    return l->w->in->query + (t * l->o->groups + l->group) * l->o->size;
}

// ------------------------------------------------------------------------------------------------- a row

static float sigmoid(float x) { return 1 / (1 + exp_f(-x)); }

// A row's steps, and their slopes by what softplus is given.
static void take_steps(struct lane *l, size_t t) {
    const struct recur_op *o = l->o;
    size_t n = steps_of(l), first = first_step(l);
    for (size_t i = 0; i < n; i++) {
        float raw = o->dt_by * l->w->in->dt[t * all_steps(o) + first + i] + (o->dt_bias ? o->dt_bias[first + i] : 0);
        float s = softplus_f(raw), bound = s;
        if (o->dt_most > 0) bound = s < o->dt_least ? o->dt_least : s > o->dt_most ? o->dt_most : s;
        l->step[i] = bound;
        l->slope[i] = bound == s ? sigmoid(raw) : 0;
    }
}

// What is kept of the state: of all of it, or of each of its rows.
static void take_keep(struct lane *l) {
    const struct recur_op *o = l->o;
    if (by_channel(o)) return;
    if (!o->each) {
        l->keep = exp_f(l->step[0] * o->a[l->head]);
        return;
    }
    for (size_t k = 0; k < o->size; k++) l->decay[k] = l->step[k] * o->a[l->head];
    l->w->exps(l->decay, o->size, 0, 1, -INFINITY, l->decay);
}

static float keep_of(const struct lane *l, size_t k) { return l->o->each ? l->decay[k] : l->keep; }

// The same of row k, of each channel.
static void take_decay(struct lane *l, size_t k) {
    const float *a = l->o->a + k * all_of(l->o) + l->first;
    for (size_t i = 0; i < l->n; i++) l->decay[i] = l->step[i] * a[i];
    l->w->exps(l->decay, l->n, 0, 1, -INFINITY, l->decay);
}

// l->add, what the key is multiplied by; of the delta rule, how far the state is from giving x for it.
static void take_add(struct lane *l, size_t t, const float *was) {
    const struct recur_op *o = l->o;
    const float *x = x_of(l, t), *key = key_of(l, t);
    take_keep(l);
    if (o->kind != RECUR_DELTA) {
        for (size_t i = 0; i < l->n; i++) l->add[i] = l->step[by_channel(o) ? i : 0] * x[i];
        return;
    }
    l->rate = sigmoid(l->w->in->beta[t * o->heads + l->head]);
    memset(l->read, 0, l->n * sizeof *l->read);
    for (size_t k = 0; k < o->size; k++)
        for (size_t i = 0; i < l->n; i++) l->read[i] += key[k] * (keep_of(l, k) * was[k * l->n + i]);
    for (size_t i = 0; i < l->n; i++) l->add[i] = l->rate * (x[i] - l->read[i]);
}

// The state behind a row from that in front of it, which may be the same.
static void advance(struct lane *l, size_t t, const float *was, float *now) {
    const struct recur_op *o = l->o;
    const float *key = key_of(l, t);
    take_steps(l, t);
    take_add(l, t, was);
    for (size_t k = 0; k < o->size; k++, was += l->n, now += l->n) {
        if (by_channel(o)) take_decay(l, k);
        for (size_t i = 0; i < l->n; i++)
            now[i] = was[i] * (by_channel(o) ? l->decay[i] : keep_of(l, k)) + key[k] * l->add[i];
    }
}

static void give(const struct lane *l, size_t t, const float *state, float *y) {
    const float *query = query_of(l, t), *x = x_of(l, t), *skip = l->o->skip;
    for (size_t i = 0; i < l->n; i++) y[i] = skip ? skip[by_channel(l->o) ? l->first + i : l->head] * x[i] : 0;
    for (size_t k = 0; k < l->o->size; k++)
        for (size_t i = 0; i < l->n; i++) y[i] += query[k] * state[k * l->n + i];
}

static void forward_task(void *arg, size_t task) {
    struct way *w = arg;
    struct lane l;
    if (!open_lane(&l, w, task, false)) {
        atomic_store(&w->failed, true);
        return;
    }
    for (size_t t = 0; t < w->o->rows; t++) {
        advance(&l, t, l.states, l.states);
        give(&l, t, l.states, w->y + t * all_of(w->o) + l.first);
    }
    free(l.blocks);
}

static bool run(struct way *w, size_t tasks, void (*fn)(void *arg, size_t i), gyr_error *e) {
    pool_run(w->o->pool, tasks, fn, w);
    return !atomic_load(&w->failed) || fail_memory(e, "training");
}

bool recur_forward(const struct recur_op *o, const struct recur_given *in, float *y, gyr_error *e) {
    struct way w = {.o = o, .in = in, .exps = host_exps_here(), .y = y};
    return run(&w, tasks_of(o), forward_task, e);
}

// ------------------------------------------------------------------------------------------------- back

// l->grown, the gradient by the state behind a row, with what the row's own output adds; and that by query and add.
static void back_through_sums(struct lane *l, size_t t, const float *now, const float *dy, float *dkey, float *dquery) {
    const float *key = key_of(l, t), *query = query_of(l, t);
    memset(l->dadd, 0, l->n * sizeof *l->dadd);
    for (size_t k = 0; k < l->o->size; k++, now += l->n) {
        float *d = l->grown + k * l->n, of_key = 0, of_query = 0;
        for (size_t i = 0; i < l->n; i++) {
            d[i] += query[k] * dy[i];
            l->dadd[i] += key[k] * d[i];
            of_query += now[i] * dy[i];
            of_key += l->add[i] * d[i];
        }
        dquery[k] = of_query;
        dkey[k] = of_key;
    }
}

// Of the delta rule: add came from what the state, once it had decayed, gave for the key.
static float back_through_read(struct lane *l, size_t t, const float *was, float *dkey, float *dx) {
    const float *x = x_of(l, t), *key = key_of(l, t);
    float of_rate = 0;
    for (size_t i = 0; i < l->n; i++) {
        of_rate += l->dadd[i] * (x[i] - l->read[i]);
        dx[i] = l->rate * l->dadd[i];
    }
    for (size_t k = 0; k < l->o->size; k++, was += l->n) {
        float *d = l->grown + k * l->n, of_key = 0;
        for (size_t i = 0; i < l->n; i++) {
            of_key -= keep_of(l, k) * was[i] * dx[i];
            d[i] -= key[k] * dx[i];
        }
        dkey[k] += of_key;
    }
    return of_rate * l->rate * (1 - l->rate);
}

// The gradient by a step from that by what it keeps.
static void back_through_keep(struct lane *l, size_t at, float of_keep) {
    float keep = keep_of(l, at), *da = l->w->back->da;
    l->dstep[at] += of_keep * keep * l->o->a[l->head];
    if (da) da[l->head] += of_keep * keep * l->step[at];
}

// l->grown becomes the gradient by the state in front of the row; l->dstep += that by steps.
static void back_through_decay(struct lane *l, const float *was) {
    const struct recur_op *o = l->o;
    float of_keep = 0;
    for (size_t k = 0; k < o->size; k++, was += l->n) {
        float *d = l->grown + k * l->n;
        if (by_channel(o)) {
            size_t at = k * all_of(o) + l->first;
            const float *a = o->a + at;
            float *da = l->w->back->da;
            take_decay(l, k);
            for (size_t i = 0; i < l->n; i++) {
                d[i] *= l->decay[i];
                l->dstep[i] += d[i] * was[i] * a[i];
            }
            for (size_t i = 0; da && i < l->n; i++) da[at + i] += d[i] * was[i] * l->step[i];
            continue;
        }
        for (size_t i = 0; i < l->n; i++) {
            of_keep += d[i] * was[i];
            d[i] *= keep_of(l, k);
        }
        if (!o->each) continue;
        back_through_keep(l, k, of_keep);
        of_keep = 0;
    }
    if (!by_channel(o) && !o->each) back_through_keep(l, 0, of_keep);
}

// x goes past the recurrence, too.
static void back_through_skip(const struct lane *l, const float *x, const float *dy, float *dx) {
    const struct recur_op *o = l->o;
    float *dskip = l->w->back->dskip;
    if (!o->skip) return;
    for (size_t i = 0; i < l->n; i++) {
        size_t at = by_channel(o) ? l->first + i : l->head;
        dx[i] += o->skip[at] * dy[i];
        if (dskip) dskip[at] += x[i] * dy[i];
    }
}

static void back_through_steps(const struct lane *l, size_t t) {
    const struct recur_op *o = l->o;
    size_t n = steps_of(l), first = first_step(l);
    float *ddt = l->w->back->ddt + t * all_steps(o) + first, *dbias = l->w->back->ddt_bias;
    for (size_t i = 0; i < n; i++) {
        float d = l->dstep[i] * l->slope[i];
        ddt[i] = o->dt_by * d;
        if (dbias) dbias[first + i] += d;
    }
}

static void back_row(struct lane *l, size_t t, const float *was, const float *now) {
    const struct way *w = l->w;
    const struct recur_op *o = l->o;
    size_t all = all_of(o);
    const float *x = x_of(l, t), *dy = w->dy + t * all + l->first;
    float *dx = w->back->dx + t * all + l->first, *dkey = w->own + (2 * l->task * o->rows + t) * o->size;
    take_steps(l, t);
    take_add(l, t, was);
    back_through_sums(l, t, now, dy, dkey, dkey + o->rows * o->size);
    memset(l->dstep, 0, (o->each ? o->size : l->n) * sizeof *l->dstep);
    if (o->kind == RECUR_DELTA)
        w->back->dbeta[t * o->heads + l->head] = back_through_read(l, t, was, dkey, dx);
    else
        for (size_t i = 0; i < l->n; i++) {
            dx[i] = l->step[by_channel(o) ? i : 0] * l->dadd[i];
            l->dstep[by_channel(o) ? i : 0] += x[i] * l->dadd[i];
        }
    back_through_skip(l, x, dy, dx);
    back_through_decay(l, was);
    back_through_steps(l, t);
}

static void back_task(void *arg, size_t task) {
    struct way *w = arg;
    struct lane l;
    size_t cells, rows = w->o->rows, blocks = (rows + BLOCK - 1) / BLOCK;
    if (!open_lane(&l, w, task, true)) {
        atomic_store(&w->failed, true);
        return;
    }
    cells = w->o->size * l.n;
    for (size_t t = 0; t < rows; t++) { // the first state of all is zeros
        if (t % BLOCK == 0) memcpy(l.blocks + t / BLOCK * cells, l.states, cells * sizeof *l.states);
        advance(&l, t, l.states, l.states);
    }
    for (size_t b = blocks; b--;) {
        size_t first = b * BLOCK, n = rows - first < BLOCK ? rows - first : BLOCK;
        memcpy(l.states, l.blocks + b * cells, cells * sizeof *l.states);
        for (size_t i = 0; i < n; i++) advance(&l, first + i, l.states + i * cells, l.states + (i + 1) * cells);
        for (size_t i = n; i--;) back_row(&l, first + i, l.states + i * cells, l.states + (i + 1) * cells);
    }
    free(l.blocks);
}

// The gradients of a row's keys and queries: those of the tasks that share them, in order.
static void join_row(void *arg, size_t t) {
    const struct way *w = arg;
    const struct recur_op *o = w->o;
    size_t n = o->size;
    memset(w->back->dkey + t * o->groups * n, 0, o->groups * n * sizeof(float));
    memset(w->back->dquery + t * o->groups * n, 0, o->groups * n * sizeof(float));
    for (size_t task = 0; task < w->tasks; task++) {
        size_t at = (t * o->groups + group_of(o, task)) * n;
        const float *key = w->own + (2 * task * o->rows + t) * n, *query = key + o->rows * n;
        for (size_t k = 0; k < n; k++) {
            w->back->dkey[at + k] += key[k];
            w->back->dquery[at + k] += query[k];
        }
    }
}

bool recur_backward(const struct recur_op *o, const struct recur_given *in, const float *dy,
                    const struct recur_back *back, gyr_error *e) {
    struct way w = {.o = o, .in = in, .back = back, .exps = host_exps_here(), .dy = dy, .tasks = tasks_of(o)};
    w.own = calloc(2 * w.tasks * o->rows * o->size + 1, sizeof *w.own);
    bool ok = w.own || fail_memory(e, "training");
    ok = ok && run(&w, w.tasks, back_task, e) && run(&w, o->rows, join_row, e);
    free(w.own);
    return ok;
}
