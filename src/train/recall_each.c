// Kimi delta attention (Kimi Team, 2025): queries, keys and values have matrices and convolutions of their own, and
// gates and steps come by way of narrow vectors. (each_delta() in forward_state.c has the same in its order.)
#include "train/example.h"

#include <string.h>

// What is convolved by itself.
enum { PARTS = 3 };

struct convolved {
    unsigned slot;
    const float *taps;
    float *before, *pre, *out;
};

static size_t inner_of(const struct example *x) { return x->rows * x->t->m->h.recurrence.inner; }
static size_t low_of(const struct example *x) { return x->rows * x->t->m->h.recurrence.size; }

static void parts_of(const struct example *x, uint32_t i, struct scratch *w, struct convolved to[PARTS]) {
    const struct host_state *s = &x->t->layers[i].state;
    const struct kept_state *k = &x->kept[i].state;
    const struct convolved all[PARTS] = {{SLOT_STATE_Q, s->q_taps, w->a, k->pre, k->query_in},
                                         {SLOT_STATE_K, s->k_taps, w->a, k->pre, k->key_in},
                                         {SLOT_STATE_IN, s->taps, w->a, k->pre, k->values}};
    for (size_t p = 0; p < PARTS; p++) {
        to[p] = all[p];
        to[p].pre += p * inner_of(x);
        if (x->t->whole) to[p].before = k->before + p * inner_of(x);
    }
}

void each_lay_out(struct example *x, uint32_t i) {
    struct kept_state *k = &x->kept[i].state;
    k->before = example_room(x, x->t->whole ? PARTS * inner_of(x) : 0);
    k->pre = example_room(x, PARTS * inner_of(x));
    k->low = example_room(x, low_of(x));
    k->gate_low = example_room(x, low_of(x));
}

bool each_project(struct example *x, uint32_t i, const float *in, struct scratch *w) {
    struct kept_state *k = &x->kept[i].state;
    struct convolved parts[PARTS];
    parts_of(x, i, w, parts);
    for (size_t p = 0; p < PARTS; p++) {
        if (!step_map(x, i, parts[p].slot, in, parts[p].before)) return false;
        state_convolve(x, i, parts[p].taps, parts[p].before, parts[p].pre);
        unit_forward(UNIT_SILU, inner_of(x), parts[p].pre, parts[p].out);
    }
    return step_map(x, i, SLOT_STATE_LOW, in, k->low) && step_map(x, i, SLOT_STATE_ALPHA, k->low, k->step) &&
           step_map(x, i, SLOT_STATE_GATE_LOW, in, k->gate_low) &&
           step_map(x, i, SLOT_STATE_GATE, k->gate_low, k->gate) && step_map(x, i, SLOT_STATE_BETA, in, k->beta);
}

// By way of a narrow vector: dlow is scratch.
static bool narrow_back(struct example *x, uint32_t i, unsigned low, unsigned slot, const float *in, const float *kept,
                        const float *dout, float *dlow, struct scratch *w, float *dx) {
    step_clear(x, dlow, low_of(x));
    return step_map_back(x, i, slot, kept, dout, w->some, dlow) && step_map_back(x, i, low, in, dlow, w->some, dx);
}

bool each_project_back(struct example *x, uint32_t i, const float *in, const float *dgate, const struct recur_back *d,
                       struct scratch *w, float *dx) {
    const struct kept_state *k = &x->kept[i].state;
    const float *dparts[PARTS] = {d->dquery, d->dkey, d->dx};
    struct convolved parts[PARTS];
    parts_of(x, i, w, parts);
    if (!narrow_back(x, i, SLOT_STATE_GATE_LOW, SLOT_STATE_GATE, in, k->gate_low, dgate, w->e, w, dx) ||
        !narrow_back(x, i, SLOT_STATE_LOW, SLOT_STATE_ALPHA, in, k->low, d->ddt, w->e, w, dx) ||
        !step_map_back(x, i, SLOT_STATE_BETA, in, d->dbeta, w->some, dx))
        return false;
    for (size_t p = 0; p < PARTS; p++) {
        unit_backward(UNIT_SILU, inner_of(x), parts[p].pre, dparts[p], w->c);
        if (!state_convolve_back(x, i, parts[p].taps, parts[p].before, w->c, w->d) ||
            !step_map_back(x, i, parts[p].slot, in, w->d, w->some, dx))
            return false;
    }
    return true;
}
