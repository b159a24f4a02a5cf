// What comes behind attention: an MLP, experts, or nothing.
#include "train/card.h"
#include "train/example.h"

#include <string.h>

// ----------------------------------------------------------------------------------------------------- a unit

static size_t wide_of(const struct example *x, uint32_t i, const struct unit_slots *s) {
    return trainee_linear(x->t, i, s->down)->w.cols;
}

void unit_lay_out(struct example *x, uint32_t i, const struct unit_slots *s, size_t rows, struct kept_unit *u) {
    size_t n = rows * wide_of(x, i, s);
    bool gated = s->gate != NO_SLOT || s->gate_up != NO_SLOT;
    u->rows = rows;
    u->wide = wide_of(x, i, s);
    u->gate = gated ? example_room(x, n) : NULL;
    u->up = example_room(x, n);
    u->inner = example_room(x, n);
}

// Gates and what they gate out of one matrix's rows, or their gradients back into them.
static void part(size_t rows, size_t wide, float *both, float *gate, float *up, bool back) {
    for (size_t r = 0; r < rows; r++, both += 2 * wide, gate += wide, up += wide) {
        memcpy(back ? both : gate, back ? gate : both, wide * sizeof *both);
        memcpy(back ? both + wide : up, back ? up : both + wide, wide * sizeof *both);
    }
}

static bool gate_and_up(struct example *x, uint32_t i, const struct unit_slots *s, const struct narrow *kept,
                        const float *in, const struct kept_unit *u) {
    step_together(x);
    return step_apart(x, (s->gate == NO_SLOT || step_linear(x, i, s->gate, u->rows, in, u->gate, kept->gate)) &&
                             step_linear(x, i, s->up, u->rows, in, u->up, kept->up));
}

bool unit_run(struct example *x, uint32_t i, const struct unit_slots *s, const struct narrow *kept, const float *in,
              const struct kept_unit *u, struct scratch *w, float *out) {
    if (s->gate_up != NO_SLOT) {
        if (!step_linear(x, i, s->gate_up, u->rows, in, w->a, kept->gate)) return false;
        part(u->rows, u->wide, w->a, u->gate, u->up, false);
    } else if (!gate_and_up(x, i, s, kept, in, u))
        return false;
    step_unit(x, u);
    return step_linear(x, i, s->down, u->rows, u->inner, out, kept->down);
}

bool unit_run_back(struct example *x, uint32_t i, const struct unit_slots *s, const struct narrow *kept,
                   const float *in, const struct kept_unit *u, const float *dout, struct scratch *w, float *dx) {
    float *dinner = w->a, *dgate = w->b, *dup = w->c;
    if (!step_linear_first_back(x, i, s->down, u->rows, u->inner, kept->down, dout, w->some, dinner)) return false;
    step_unit_back(x, u, dinner, dgate, dup);
    if (s->gate_up != NO_SLOT) {
        part(u->rows, u->wide, w->d, dgate, dup, true);
        return step_linear_back(x, i, s->gate_up, u->rows, in, kept->gate, w->d, w->some, dx);
    }
    step_together(x);
    return step_apart(
        x, (s->gate == NO_SLOT || step_linear_back(x, i, s->gate, u->rows, in, kept->gate, dgate, w->some, dx)) &&
               step_linear_back(x, i, s->up, u->rows, in, kept->up, dup, w->some, dx));
}

// -------------------------------------------------------------------------------------------------- the layer's

static struct unit_slots slots_of(const struct layer *l) {
    bool both = l->gate_up.w.rows, gate = l->gate.w.rows;
    return (struct unit_slots){both ? SLOT_GATE_UP : NO_SLOT, gate ? SLOT_GATE : NO_SLOT, both ? NO_SLOT : SLOT_UP,
                               SLOT_DOWN};
}

static struct narrow narrow_of(const struct example *x, uint32_t i, const struct unit_slots *s) {
    float **all = x->kept[i].narrow;
    return (struct narrow){s->gate_up != NO_SLOT ? all[s->gate_up]
                           : s->gate != NO_SLOT  ? all[s->gate]
                                                 : NULL,
                           s->up != NO_SLOT ? all[s->up] : NULL, all[s->down]};
}

void feed_lay_out(struct example *x, uint32_t i) {
    const struct layer *l = x->t->layers[i].l;
    struct unit_slots s = slots_of(l);
    bool mlp = l->plan.feed == FEED_MLP || l->plan.feed == FEED_BOTH;
    if (mlp) unit_lay_out(x, i, &s, x->rows, &x->kept[i].unit);
    if (l->plan.feed == FEED_EXPERTS) mix_lay_out(x, i);
    if (l->plan.feed == FEED_BOTH) feed_both_lay_out(x, i);
}

size_t feed_widest(const struct example *x, uint32_t i) {
    const struct layer *l = x->t->layers[i].l;
    bool mixes = l->plan.feed == FEED_EXPERTS || l->plan.feed == FEED_BOTH;
    size_t mixed = mixes ? mix_widest(x, i) : 0, mlp = 2 * (size_t)l->plan.feed_forward;
    if (l->plan.feed == FEED_NONE || l->plan.feed == FEED_EXPERTS) return mixed;
    return mixed > mlp ? mixed : mlp;
}

// For a card: an MLP whose gates, if it has such, are not bounded, and no one matrix with what they gate.
static bool mlp_of(const struct example *x, uint32_t i, const struct unit_slots *s, const struct narrow *kept,
                   struct card_mlp *m) {
    size_t rows = x->rows;
    *m = (struct card_mlp){.gated = s->gate != NO_SLOT,
                           .unit = x->t->unit,
                           .kept_gate = kept->gate,
                           .kept_up = kept->up,
                           .kept_down = kept->down};
    if (!x->t->card || x->t->whole || s->gate_up != NO_SLOT || (m->gated && x->t->m->h.gate_limit > 0)) return false;
    if (m->gated) m->gate = step_op(x, i, s->gate, rows, &m->da[MLP_GATE], &m->db[MLP_GATE]);
    m->up = step_op(x, i, s->up, rows, &m->da[MLP_UP], &m->db[MLP_UP]);
    m->down = step_op(x, i, s->down, rows, &m->da[MLP_DOWN], &m->db[MLP_DOWN]);
    return true;
}

bool mlp_run(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    struct unit_slots s = slots_of(x->t->layers[i].l);
    struct narrow n = narrow_of(x, i, &s);
    struct kept_unit *u = &x->kept[i].unit;
    struct card_mlp m;
    u->away = mlp_of(x, i, &s, &n, &m) && card_mlp(&m, i, in, out);
    return u->away || unit_run(x, i, &s, &n, in, u, w, out);
}

bool mlp_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    struct unit_slots s = slots_of(x->t->layers[i].l);
    struct narrow n = narrow_of(x, i, &s);
    struct card_mlp m;
    if (x->kept[i].unit.away) {
        if (mlp_of(x, i, &s, &n, &m) && card_mlp_back(&m, i, in, dout, dx)) return true;
        if (!unit_run(x, i, &s, &n, in, &x->kept[i].unit, w, w->b)) return false; // the card is lost, or its memory
    }
    return unit_run_back(x, i, &s, &n, in, &x->kept[i].unit, dout, w, dx);
}

bool feed(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    enum feed how = x->t->layers[i].l->plan.feed;
    return how == FEED_EXPERTS ? mix(x, i, in, in, w, out)
           : how == FEED_BOTH  ? feed_both(x, i, in, w, out)
                               : mlp_run(x, i, in, w, out);
}

bool feed_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    enum feed how = x->t->layers[i].l->plan.feed;
    return how == FEED_EXPERTS ? mix_back(x, i, in, in, dout, w, dx, dx)
           : how == FEED_BOTH  ? feed_both_back(x, i, in, dout, w, dx)
                               : mlp_back(x, i, in, dout, w, dx);
}
