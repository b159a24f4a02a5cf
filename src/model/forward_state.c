// Layers that keep a state: project, convolve, recur, gate, project.
#include "model/forward.h"

// Where the layer's part of a sequence's state is.
static size_t state_of(const struct pass *p, const struct layer *l, size_t at) {
    return l->plan.state * recurrence_floats(&p->m->h.recurrence) + at;
}

static void move(struct pass *p, const dfloat *x, size_t x_row, dfloat *y, size_t n) {
    p->ops->move(p->d, x, x_row, y, n, p->n, n);
}

static void rms_norm(struct pass *p, const dfloat *w, float eps, size_t rows, size_t dim, dfloat *x) {
    p->ops->norm(p->d, NORM_RMS, x, w, 1, NULL, eps, rows, dim, x);
}

// out = the channels from x on, the part-th of so many each.
static void convolve_part(struct pass *p, const struct layer *l, size_t part, const dfloat *taps, const dfloat *x,
                          dfloat *out) {
    const struct recurrence *r = &p->m->h.recurrence;
    struct conv c = {.rows = p->n,
                     .channels = r->channels,
                     .taps = r->taps,
                     .x = x,
                     .x_row = r->columns,
                     .w = taps,
                     .bias = l->state.taps_bias,
                     .out = out,
                     .row = p->rows->at.row,
                     .state = state_of(p, l, part * (r->taps - 1) * r->channels)};
    p->ops->conv(p->d, &c);
}

// a->convolved = the channels from x on.
static void convolve(struct pass *p, const struct layer *l, const dfloat *x) {
    convolve_part(p, l, 0, l->state.taps, x, p->a->convolved);
}

// a->given_back = what the states give for values x, steps dt, and a->key and a->query.
static void recur(struct pass *p, const struct layer *l, const dfloat *x, const dfloat *dt, size_t dt_row) {
    const struct recurrence *r = &p->m->h.recurrence;
    struct activations *a = p->a;
    struct recur c = {.kind = r->kind,
                      .rows = p->n,
                      .heads = r->heads,
                      .dim = r->dim,
                      .size = r->size,
                      .groups = r->groups,
                      .turns = l->plan.turns,
                      .each = r->each,
                      .x = x,
                      .key = a->key,
                      .query = a->query,
                      .dt = dt,
                      .dt_bias = l->state.dt_bias,
                      .beta = a->beta,
                      .a = l->state.a,
                      .skip = l->state.skip,
                      .x_row = r->channels,
                      .dt_row = dt_row,
                      .dt_by = r->part[4],
                      .dt_least = r->step_least,
                      .dt_most = r->step_most,
                      .out = a->given_back,
                      .row = p->rows->at.row,
                      .state = state_of(p, l, recurrence_tail(r))};
    p->ops->recur(p->d, &c);
}

// a->gate = a->given_back * silu(a->gate), or its sigmoid
static void gate(struct pass *p) {
    struct activations *a = p->a;
    size_t n = p->m->h.recurrence.inner;
    enum activation by = p->m->h.recurrence.each ? ACT_SIGMOID : ACT_SILU;
    p->ops->gate(p->d, &(struct gate){by, p->n, n, n, a->gate, a->given_back, a->gate});
}

// Mamba (Gu and Dao, 2023). Keys, queries and steps come from the convolved values; Falcon-Mamba norms them.
static void channels(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct recurrence *r = &p->m->h.recurrence;
    const struct recurrent *s = &l->state;
    struct activations *a = p->a;
    size_t terms = r->rank + 2 * (size_t)r->size;
    linear(p, &s->in, x, a->projected);
    convolve(p, l, a->projected);
    linear(p, &s->x, a->convolved, a->terms);
    move(p, a->terms, terms, a->low, r->rank);
    move(p, a->terms + r->rank, terms, a->key, r->size);
    move(p, a->terms + r->rank + r->size, terms, a->query, r->size);
    if (s->ones) {
        rms_norm(p, s->ones, r->norms_eps, p->n, r->rank, a->low);
        rms_norm(p, s->ones, r->norms_eps, p->n, r->size, a->key);
        rms_norm(p, s->ones, r->norms_eps, p->n, r->size, a->query);
    }
    linear(p, &s->dt, a->low, a->step);
    recur(p, l, a->convolved, a->step, r->inner);
    move(p, a->projected + r->inner, r->columns, a->gate, r->inner);
    gate(p);
}

// A norm of each group of heads.
static void group_norm(struct pass *p, const struct layer *l, dfloat *x) {
    const struct recurrence *r = &p->m->h.recurrence;
    if (l->state.norm.weight)
        p->ops->norm(p->d, NORM_RMS, x, l->state.norm.weight, r->groups, NULL, p->m->h.norm_eps, p->n * r->groups,
                     r->inner / r->groups, x);
}

// Mamba-2 (Dao and Gu, 2024): all comes from one projection: gate, values, keys, queries, steps.
static void heads(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct recurrence *r = &p->m->h.recurrence;
    struct activations *a = p->a;
    size_t keys = (size_t)r->groups * r->size;
    linear(p, &l->state.in, x, a->projected);
    convolve(p, l, a->projected + r->inner);
    move(p, a->convolved + r->inner, r->channels, a->key, keys);
    move(p, a->convolved + r->inner + keys, r->channels, a->query, keys);
    recur(p, l, a->convolved, a->projected + r->inner + r->channels, r->columns);
    move(p, a->projected, r->columns, a->gate, r->inner);
    scale(p, a->gate, p->n * r->inner, r->part[0]);
    if (r->norm_first) group_norm(p, l, a->given_back);
    gate(p);
    if (!r->norm_first) group_norm(p, l, a->gate);
}

// What gated delta rules end with. Of length 1: x / sqrt(sum + 1e-6) is a norm with a smaller epsilon.
static void recall(struct pass *p, const struct layer *l, const dfloat *values) {
    const struct recurrence *r = &p->m->h.recurrence;
    const struct recurrent *s = &l->state;
    struct activations *a = p->a;
    size_t each = p->n * r->groups;
    float eps = 1e-6f / (float)r->size;
    rms_norm(p, s->ones, eps, each, r->size, a->query);
    rms_norm(p, s->unit, eps, each, r->size, a->key);
    recur(p, l, values, a->step, r->steps);
    rms_norm(p, s->norm.weight, p->m->h.norm_eps, p->n * r->heads, r->dim, a->given_back);
    gate(p);
}

// Gated delta net (Yang et al., 2025).
static void delta(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct recurrence *r = &p->m->h.recurrence;
    const struct recurrent *s = &l->state;
    struct activations *a = p->a;
    size_t keys = (size_t)r->groups * r->size;
    struct output out[] = {{&s->in, a->projected}, {&s->gate, a->gate}, {&s->alpha, a->step}, {&s->beta, a->beta}};
    linears(p, out, sizeof out / sizeof *out, x);
    convolve(p, l, a->projected);
    move(p, a->convolved, r->channels, a->query, keys);
    move(p, a->convolved + keys, r->channels, a->key, keys);
    recall(p, l, a->convolved + 2 * keys);
}

// Kimi delta attention (Kimi Team, 2025): each element of a key decays by itself.
static void each_delta(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct recurrent *s = &l->state;
    struct activations *a = p->a;
    const struct {
        const struct linear *in;
        const dfloat *taps;
        dfloat *out;
    } parts[] = {{&s->q, s->q_taps, a->query}, {&s->k, s->k_taps, a->key}, {&s->in, s->taps, a->convolved}};
    for (size_t i = 0; i < 3; i++) {
        linear(p, parts[i].in, x, a->projected);
        convolve_part(p, l, i, parts[i].taps, a->projected, parts[i].out);
    }
    linear(p, &s->low, x, a->low);
    linear(p, &s->alpha, a->low, a->step);
    linear(p, &s->gate_low, x, a->low);
    linear(p, &s->gate, a->low, a->gate);
    linear(p, &s->beta, x, a->beta);
    recall(p, l, a->convolved);
}

void forward_state(struct pass *p, const struct layer *l, const dfloat *x, dfloat *to) {
    static void (*const kinds[])(struct pass * p, const struct layer *l, const dfloat *x) = {
        [RECUR_CHANNELS] = channels, [RECUR_HEADS] = heads, [RECUR_DELTA] = delta};
    (p->m->h.recurrence.each ? each_delta : kinds[p->m->h.recurrence.kind])(p, l, x);
    linear(p, &l->state.out, p->a->gate, to);
}
