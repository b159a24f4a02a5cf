// A layer that keeps a state: projections, a convolution, the recurrence, gates and norms. (forward_state.c has the
// same in its order.)
#include "train/example.h"
#include "train/whole.h"

#include <stdlib.h>
#include <string.h>

static const struct recurrence *shape(const struct example *x) { return &x->t->m->h.recurrence; }
static size_t keys_of(const struct recurrence *r) { return (size_t)r->groups * r->size; }

// n floats of each row, out of rows of `wide` from `at` on, or back into them.
static void part(const struct example *x, float *rows, size_t wide, size_t at, float *one, size_t n, bool back) {
    for (size_t r = 0; r < x->rows; r++) {
        float *in = rows + r * wide + at, *own = one + r * n;
        memcpy(back ? in : own, back ? own : in, n * sizeof *in);
    }
}

static struct conv_op conv_op(const struct example *x, uint32_t i, const float *taps) {
    const struct host_state *s = &x->t->layers[i].state;
    return (struct conv_op){x->t->pool, x->rows, shape(x)->channels, shape(x)->taps, taps, s->taps_bias};
}

static struct recur_op recur_op(const struct example *x, uint32_t i) {
    const struct host_state *s = &x->t->layers[i].state;
    const struct recurrence *r = shape(x);
    return (struct recur_op){.pool = x->t->pool,
                             .kind = r->kind,
                             .rows = x->rows,
                             .heads = r->heads,
                             .dim = r->dim,
                             .size = r->size,
                             .groups = r->groups,
                             .each = r->each,
                             .turns = x->t->layers[i].l->plan.turns,
                             .dt_bias = s->dt_bias,
                             .a = s->a,
                             .skip = s->skip,
                             .dt_by = r->part[4],
                             .dt_least = r->step_least,
                             .dt_most = r->step_most};
}

// Where the parts of a kind's projection are: what is convolved, and of Mamba-2 the gate and the steps, too.
struct columns {
    size_t convolved, gate, step, keys, queries, values; // the last three of what was convolved
};

static struct columns columns_of(const struct recurrence *r) {
    size_t keys = keys_of(r);
    switch (r->kind) {
    case RECUR_CHANNELS: return (struct columns){.gate = r->inner};
    case RECUR_HEADS:
        return (struct columns){r->inner, 0, (size_t)r->inner + r->channels, r->inner, r->inner + keys, 0};
    default: return (struct columns){.keys = keys, .values = 2 * keys};
    }
}

// Each sequence by itself: the first row of each has nothing before it.
void state_convolve(const struct example *x, uint32_t i, const float *taps, const float *in, float *out) {
    struct conv_op o = conv_op(x, i, taps);
    for (size_t s = 0, at; example_sequence(x, s, &at, &o.rows); s++)
        conv_forward(&o, in + at * o.channels, out + at * o.channels);
}

// What the recurrence reads, of rows from `at` on.
static struct recur_given given_at(const struct recurrence *r, const struct kept_state *k, size_t at) {
    size_t keys = at * keys_of(r);
    return (struct recur_given){k->values + at * r->inner, k->key + keys, k->query + keys, k->step + at * r->steps,
                                k->beta + at * r->heads};
}

static size_t terms_of(const struct recurrence *r) { return r->rank + 2 * (size_t)r->size; }
static bool gate_apart(const struct recurrence *r) { return r->kind == RECUR_DELTA; }

void recall_lay_out(struct example *x, uint32_t i) {
    const struct recurrence *r = shape(x);
    const struct host_state *s = &x->t->layers[i].state;
    struct kept_state *k = &x->kept[i].state;
    size_t n = x->rows, keys = n * keys_of(r), inner = n * r->inner, convolved = r->each ? 0 : n * r->channels;
    const struct {
        float **to;
        size_t n;
    } parts[] = {{&k->before, x->t->whole ? convolved : 0},
                 {&k->pre, convolved},
                 {&k->convolved, convolved},
                 {&k->key_in, keys},
                 {&k->query_in, keys},
                 {&k->key, s->key.w ? keys : 0},
                 {&k->query, s->query.w ? keys : 0},
                 {&k->key_saved, 2 * n * r->groups},
                 {&k->query_saved, 2 * n * r->groups},
                 {&k->low_in, n * r->rank},
                 {&k->low, s->low.w ? n * r->rank : 0},
                 {&k->low_saved, 2 * n},
                 {&k->values, inner},
                 {&k->step, n * r->steps},
                 {&k->beta, n * r->heads},
                 {&k->gate, inner},
                 {&k->given, inner},
                 {&k->between, inner},
                 {&k->saved, 2 * n * (s->norm.w ? s->norm.each : 0)},
                 {&k->ready, inner}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) *parts[p].to = example_room(x, parts[p].n);
    if (!s->key.w) k->key = k->key_in;
    if (!s->query.w) k->query = k->query_in;
    if (!s->low.w) k->low = k->low_in;
    if (r->each) each_lay_out(x, i);
}

size_t recall_widest(const struct example *x, uint32_t i) {
    const struct recurrence *r = shape(x);
    (void)i;
    size_t most = r->columns > r->channels ? r->columns : r->channels;
    most = terms_of(r) > most ? terms_of(r) : most;
    return r->inner > most ? r->inner : most;
}

// ---------------------------------------------------------------------------------------------------- forward

static void maybe_norm(const struct example *x, const struct host_norm *n, const float *in, float *out, float *saved) {
    if (n->w) step_norm(x, n, in, out, saved);
}

// Values, keys, queries, gates and steps of the recurrence.
static bool project(struct example *x, uint32_t i, const float *in, struct scratch *w) {
    const struct recurrence *r = shape(x);
    const struct host_state *s = &x->t->layers[i].state;
    struct kept_state *k = &x->kept[i].state;
    struct columns c = columns_of(r);
    float *before = x->t->whole ? k->before : w->b;
    if (!step_map(x, i, SLOT_STATE_IN, in, w->a)) return false;
    part(x, w->a, r->columns, c.convolved, before, r->channels, false);
    state_convolve(x, i, s->taps, before, k->pre);
    unit_forward(UNIT_SILU, x->rows * r->channels, k->pre, k->convolved);
    part(x, k->convolved, r->channels, c.values, k->values, r->inner, false);
    if (!gate_apart(r)) part(x, w->a, r->columns, c.gate, k->gate, r->inner, false);
    if (r->kind == RECUR_HEADS) part(x, w->a, r->columns, c.step, k->step, r->steps, false);
    if (r->kind != RECUR_CHANNELS) {
        part(x, k->convolved, r->channels, c.keys, k->key_in, keys_of(r), false);
        part(x, k->convolved, r->channels, c.queries, k->query_in, keys_of(r), false);
    } else {
        size_t terms = terms_of(r);
        if (!step_map(x, i, SLOT_STATE_X, k->convolved, w->b)) return false;
        part(x, w->b, terms, 0, k->low_in, r->rank, false);
        part(x, w->b, terms, r->rank, k->key_in, r->size, false);
        part(x, w->b, terms, r->rank + r->size, k->query_in, r->size, false);
    }
    maybe_norm(x, &s->low, k->low_in, k->low, k->low_saved);
    if (r->kind == RECUR_CHANNELS) return step_map(x, i, SLOT_STATE_DT, k->low, k->step);
    return r->kind == RECUR_HEADS ||
           (step_map(x, i, SLOT_STATE_GATE, in, k->gate) && step_map(x, i, SLOT_STATE_ALPHA, in, k->step) &&
            step_map(x, i, SLOT_STATE_BETA, in, k->beta));
}

static void multiply(float *v, size_t n, float by) {
    for (size_t k = 0; by != 1 && k < n; k++) v[k] *= by;
}

static enum unit gate_unit(const struct recurrence *r) { return r->each ? UNIT_SIGMOID : UNIT_SILU; }

// k->ready = what the recurrence gave, under its gate and its norm, whichever is first.
static void let_through(const struct example *x, uint32_t i) {
    const struct recurrence *r = shape(x);
    const struct host_norm *norm = &x->t->layers[i].state.norm;
    struct kept_state *k = &x->kept[i].state;
    size_t n = x->rows * r->inner;
    if (!norm->w)
        gated_forward(gate_unit(r), n, k->gate, k->given, k->ready);
    else if (r->norm_first) {
        step_norm(x, norm, k->given, k->between, k->saved);
        gated_forward(gate_unit(r), n, k->gate, k->between, k->ready);
    } else {
        gated_forward(gate_unit(r), n, k->gate, k->given, k->between);
        step_norm(x, norm, k->between, k->ready, k->saved);
    }
}

bool recall(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    const struct recurrence *r = shape(x);
    struct kept_state *k = &x->kept[i].state;
    const struct host_state *own = &x->t->layers[i].state;
    struct recur_op o = recur_op(x, i);
    if (!(r->each ? each_project : project)(x, i, in, w)) return false;
    maybe_norm(x, &own->key, k->key_in, k->key, k->key_saved);
    maybe_norm(x, &own->query, k->query_in, k->query, k->query_saved);
    if (r->kind == RECUR_HEADS) multiply(k->gate, x->rows * r->inner, r->part[0]);
    for (size_t s = 0, at; example_sequence(x, s, &at, &o.rows); s++) {
        const struct recur_given given = given_at(r, k, at);
        if (!recur_forward(&o, &given, k->given + at * r->inner, x->e)) return false;
    }
    let_through(x, i);
    return step_map(x, i, SLOT_STATE_OUT, k->ready, out);
}

// ------------------------------------------------------------------------------------------------------- back

// From the gradient by k->ready (w->a) to those by the gate (w->b) and by what the recurrence gave (w->c).
static void let_through_back(const struct example *x, uint32_t i, struct scratch *w) {
    const struct recurrence *r = shape(x);
    const struct host_norm *norm = &x->t->layers[i].state.norm;
    struct kept_state *k = &x->kept[i].state;
    size_t n = x->rows * r->inner;
    if (!norm->w)
        gated_backward(gate_unit(r), n, k->gate, k->given, w->a, w->b, w->c);
    else if (r->norm_first) {
        gated_backward(gate_unit(r), n, k->gate, k->between, w->a, w->b, w->d);
        memset(w->c, 0, n * sizeof *w->c);
        step_norm_back(x, norm, k->given, k->saved, w->d, w->some, w->c);
    } else {
        memset(w->d, 0, n * sizeof *w->d);
        step_norm_back(x, norm, k->between, k->saved, w->a, w->some, w->d);
        gated_backward(gate_unit(r), n, k->gate, k->given, w->d, w->b, w->c);
    }
}

// d, [rows][n], becomes the gradient by what went into a norm.
static void maybe_norm_back(const struct example *x, const struct host_norm *n, const float *in, const float *saved,
                            struct scratch *w, float *d) {
    size_t count = x->rows * n->each * n->dim;
    if (!n->w) return;
    memcpy(w->e, d, count * sizeof *d);
    memset(d, 0, count * sizeof *d);
    step_norm_back(x, n, in, saved, w->e, w->some, d);
}

// Of Mamba: from the gradients by steps, keys and queries to w->f, which has that by what was convolved.
static bool terms_back(struct example *x, uint32_t i, struct scratch *w, const struct recur_back *d) {
    const struct recurrence *r = shape(x);
    const struct host_state *s = &x->t->layers[i].state;
    struct kept_state *k = &x->kept[i].state;
    float *low = w->d;
    size_t terms = terms_of(r);
    memset(low, 0, x->rows * r->rank * sizeof *low);
    if (!step_map_back(x, i, SLOT_STATE_DT, k->low, d->ddt, w->some, low)) return false;
    maybe_norm_back(x, &s->low, k->low_in, k->low_saved, w, low);
    part(x, w->c, terms, 0, low, r->rank, true);
    part(x, w->c, terms, r->rank, d->dkey, r->size, true);
    part(x, w->c, terms, r->rank + r->size, d->dquery, r->size, true);
    return step_map_back(x, i, SLOT_STATE_X, k->convolved, w->c, w->some, w->f);
}

// Where the gradients by a vector of all weights are; NULL: they are not wanted, or it is not there.
static float *gradients_of(const struct example *x, const float *v) {
    return x->t->whole && v ? x->gradients + (v - x->t->whole->numbers) : NULL;
}

// The gradients by what the recurrence read, and by what it has of its own.
static bool recur_back(struct example *x, uint32_t i, struct scratch *w, struct recur_back *d) {
    const struct recurrence *r = shape(x);
    const struct host_state *s = &x->t->layers[i].state;
    struct kept_state *k = &x->kept[i].state;
    struct recur_op o = recur_op(x, i);
    size_t rates = r->kind == RECUR_CHANNELS ? (size_t)r->size * r->inner : r->heads;
    d->ddt_bias = gradients_of(x, s->dt_bias);
    d->dskip = gradients_of(x, s->skip);
    if (x->t->whole && !(d->da = calloc(rates, sizeof *d->da))) return fail_memory(x->e, "training");
    bool ok = true;
    for (size_t q = 0, at; ok && example_sequence(x, q, &at, &o.rows); q++) {
        const struct recur_given given = given_at(r, k, at);
        size_t keys = at * keys_of(r);
        struct recur_back own = *d;
        own.dx += at * r->inner, own.dkey += keys, own.dquery += keys;
        own.ddt += at * r->steps, own.dbeta += at * r->heads;
        ok = recur_backward(&o, &given, w->c + at * r->inner, &own, x->e);
    }
    if (ok && d->da) whole_turned(x->t->whole, s->a, d->da, x->gradients);
    free(d->da);
    if (!ok) return false;
    maybe_norm_back(x, &s->key, k->key_in, k->key_saved, w, d->dkey);
    maybe_norm_back(x, &s->query, k->query_in, k->query_saved, w, d->dquery);
    return true;
}

bool state_convolve_back(struct example *x, uint32_t i, const float *taps, const float *before, const float *dy,
                         float *dx) {
    struct conv_op o = conv_op(x, i, taps);
    float *dtaps = x->t->whole ? calloc(o.taps * o.channels, sizeof *dtaps) : NULL, *db = gradients_of(x, o.bias);
    if (x->t->whole && !dtaps) return fail_memory(x->e, "training");
    for (size_t s = 0, at; example_sequence(x, s, &at, &o.rows); s++) {
        at *= o.channels;
        conv_backward(&o, dtaps ? before + at : NULL, dy + at, dx + at, dtaps, db);
    }
    if (dtaps) whole_turned(x->t->whole, o.w, dtaps, x->gradients);
    free(dtaps);
    return true;
}

bool recall_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    const struct recurrence *r = shape(x);
    struct kept_state *k = &x->kept[i].state;
    struct columns c = columns_of(r);
    size_t inner = x->rows * r->inner;
    // What the recurrence kept for its own use is not needed any more, and gradients take its place.
    struct recur_back d = {
        .dx = k->between, .dkey = w->state[0], .dquery = w->state[1], .ddt = w->state[2], .dbeta = w->state[3]};
    memset(w->a, 0, inner * sizeof *w->a);
    if (!step_map_back(x, i, SLOT_STATE_OUT, k->ready, dout, w->some, w->a)) return false;
    let_through_back(x, i, w);
    if (r->kind == RECUR_HEADS) multiply(w->b, inner, r->part[0]);
    if (!recur_back(x, i, w, &d)) return false;
    if (r->each) return each_project_back(x, i, in, w->b, &d, w, dx);
    part(x, w->f, r->channels, c.values, d.dx, r->inner, true);
    if (r->kind != RECUR_CHANNELS) {
        part(x, w->f, r->channels, c.keys, d.dkey, keys_of(r), true);
        part(x, w->f, r->channels, c.queries, d.dquery, keys_of(r), true);
    } else if (!terms_back(x, i, w, &d))
        return false;
    unit_backward(UNIT_SILU, x->rows * r->channels, k->pre, w->f, w->c);
    if (!state_convolve_back(x, i, x->t->layers[i].state.taps, k->before, w->c, w->d)) return false;
    part(x, w->a, r->columns, c.convolved, w->d, r->channels, true);
    if (!gate_apart(r)) part(x, w->a, r->columns, c.gate, w->b, r->inner, true);
    if (r->kind == RECUR_HEADS) part(x, w->a, r->columns, c.step, d.ddt, r->steps, true);
    if (!step_map_back(x, i, SLOT_STATE_IN, in, w->a, w->some, dx)) return false;
    return r->kind != RECUR_DELTA || (step_map_back(x, i, SLOT_STATE_GATE, in, w->b, w->some, dx) &&
                                      step_map_back(x, i, SLOT_STATE_ALPHA, in, d.ddt, w->some, dx) &&
                                      step_map_back(x, i, SLOT_STATE_BETA, in, d.dbeta, w->some, dx));
}
