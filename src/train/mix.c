// Experts of a layer: the rows of each are gathered, so that its matrices are read once; what it gives goes back to the
// rows, in the order in which they chose.
#include "train/example.h"

#include <string.h>

static struct route_op route_op(const struct example *x, uint32_t i) {
    const struct hyperparameters *h = &x->t->m->h;
    const struct host_layer *l = &x->t->layers[i];
    return (struct route_op){.score = h->route,
                             .rows = x->rows,
                             .experts = h->experts,
                             .used = h->experts_used,
                             .groups = h->groups,
                             .groups_used = h->groups_used,
                             .pairs = l->l->plan.route_pairs,
                             .normed = h->route_normed,
                             .scale = h->route_scale,
                             .shift = l->shift,
                             .own_scale = l->expert_scale};
}

static struct unit_slots slots_of(size_t expert) {
    unsigned first = SLOTS + 3 * (unsigned)expert;
    return (struct unit_slots){NO_SLOT, first, first + 1, first + 2};
}

static const struct unit_slots shared_slots = {NO_SLOT, SLOT_SHARED_GATE, SLOT_SHARED_UP, SLOT_SHARED_DOWN};

static struct narrow shared_narrow(const struct kept *k) {
    return (struct narrow){k->narrow[SLOT_SHARED_GATE], k->narrow[SLOT_SHARED_UP], k->narrow[SLOT_SHARED_DOWN]};
}

// The highest rank that experts' gates, ups or downs have.
static size_t rank_of(const struct example *x, uint32_t i, unsigned matrix) {
    size_t most = 0;
    for (size_t e = 0; e < x->t->m->h.experts; e++) {
        size_t rank = x->t->layers[i].pair[SLOTS + 3 * e + matrix].rank;
        most = rank > most ? rank : most;
    }
    return most;
}

static int32_t *whole_room(struct example *x, size_t n) { return (int32_t *)(void *)example_room(x, n); }

void mix_lay_out(struct example *x, uint32_t i) {
    const struct hyperparameters *h = &x->t->m->h;
    const struct layer *l = x->t->layers[i].l;
    struct kept *k = &x->kept[i];
    struct kept_mix *m = &k->mix;
    size_t n = x->rows, places = n * h->experts_used;
    struct unit_slots any = slots_of(0);
    m->logits = example_room(x, n * h->experts);
    m->scores = example_room(x, n * h->experts);
    m->weight = example_room(x, places);
    m->dweight = example_room(x, places);
    m->expert = whole_room(x, places);
    m->place = whole_room(x, places);
    m->row = whole_room(x, places);
    m->first = whole_room(x, h->experts + 1);
    m->gathered = example_room(x, places * x->hidden);
    m->given = example_room(x, places * x->hidden);
    unit_lay_out(x, i, &any, places, &m->unit);
    for (unsigned f = 0; f < 3; f++) m->narrow[f] = example_room(x, places * rank_of(x, i, f));
    if (!l->shared.up.w.rows) return;
    unit_lay_out(x, i, &shared_slots, n, &m->shared);
    m->shared_given = example_room(x, n * x->hidden);
    m->share = l->shared_router.w.rows ? example_room(x, n) : NULL;
}

size_t mix_widest(const struct example *x, uint32_t i) {
    const struct hyperparameters *h = &x->t->m->h;
    size_t wide = h->expert_feed_forward, shared = x->t->layers[i].l->shared.up.w.rows;
    size_t most = h->experts_used * (x->hidden > wide ? x->hidden : wide);
    return shared > most ? shared : most;
}

// ------------------------------------------------------------------------------------------------ the chosen

// Gives each row's choices their places, by expert, and within one by row.
static void arrange(const struct example *x, struct kept_mix *m) {
    const struct hyperparameters *h = &x->t->m->h;
    size_t used = h->experts_used, places = x->rows * used;
    memset(m->first, 0, (h->experts + 1) * sizeof *m->first);
    for (size_t c = 0; c < places; c++) m->first[m->expert[c] + 1]++;
    for (size_t e = 0; e < h->experts; e++) m->first[e + 1] += m->first[e];
    for (size_t c = 0; c < places; c++) m->place[c] = m->first[m->expert[c]]++;
    for (size_t e = h->experts; e > 0; e--) m->first[e] = m->first[e - 1];
    m->first[0] = 0;
    for (size_t c = 0; c < places; c++) m->row[m->place[c]] = (int32_t)(c / used);
}

static void gather(const struct example *x, struct kept_mix *m, const float *in, bool weighted) {
    size_t used = x->t->m->h.experts_used, dim = x->hidden;
    for (size_t c = 0; c < x->rows * used; c++) {
        float *to = m->gathered + (size_t)m->place[c] * dim, by = weighted ? m->weight[c] : 1;
        const float *from = in + c / used * dim;
        for (size_t k = 0; k < dim; k++) to[k] = by * from[k];
    }
}

// The part of an expert.
struct share_of {
    size_t first, n;
    struct unit_slots slots;
    struct narrow narrow;
    struct kept_unit unit;
};

static struct share_of share_of(const struct example *x, uint32_t i, size_t expert) {
    const struct kept_mix *m = &x->kept[i].mix;
    size_t first = (size_t)m->first[expert], n = (size_t)m->first[expert + 1] - first, at = first * m->unit.wide;
    return (struct share_of){.first = first,
                             .n = n,
                             .slots = slots_of(expert),
                             .narrow = {m->narrow[0] + first * rank_of(x, i, 0),
                                        m->narrow[1] + first * rank_of(x, i, 1),
                                        m->narrow[2] + first * rank_of(x, i, 2)},
                             .unit = {m->unit.gate + at, m->unit.up + at, m->unit.inner + at, n, m->unit.wide}};
}

static void add_by(float *x, const float *y, float by, size_t n) {
    for (size_t k = 0; k < n; k++) x[k] += by * y[k];
}

static float dot(const float *x, const float *y, size_t n) {
    float sum = 0;
    for (size_t k = 0; k < n; k++) sum += x[k] * y[k];
    return sum;
}

// ---------------------------------------------------------------------------------------------- the shared expert

static bool mix_shared(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    struct kept *k = &x->kept[i];
    struct kept_mix *m = &k->mix;
    struct narrow narrow = shared_narrow(k);
    if (!unit_run(x, i, &shared_slots, &narrow, in, &m->shared, w, m->shared_given)) return false;
    if (m->share) {
        if (!step_map(x, i, SLOT_SHARED_ROUTER, in, w->a)) return false;
        unit_forward(UNIT_SIGMOID, x->rows, w->a, m->share);
    }
    for (size_t r = 0; r < x->rows; r++)
        add_by(out + r * x->hidden, m->shared_given + r * x->hidden, m->share ? m->share[r] : 1, x->hidden);
    return true;
}

static bool mix_shared_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w,
                            float *dx) {
    struct kept *k = &x->kept[i];
    struct kept_mix *m = &k->mix;
    struct narrow narrow = shared_narrow(k);
    const float *given = dout;
    if (m->share) {
        for (size_t r = 0; r < x->rows; r++) {
            size_t at = r * x->hidden;
            float s = m->share[r];
            w->e[r] = dot(dout + at, m->shared_given + at, x->hidden) * s * (1 - s);
            for (size_t d = 0; d < x->hidden; d++) w->f[at + d] = s * dout[at + d];
        }
        if (!step_map_back(x, i, SLOT_SHARED_ROUTER, in, w->e, w->some, dx)) return false;
        given = w->f;
    }
    return unit_run_back(x, i, &shared_slots, &narrow, in, &m->shared, given, w, dx);
}

// --------------------------------------------------------------------------------------------------------- all

bool mix(struct example *x, uint32_t i, const float *in, const float *asked, struct scratch *w, float *out) {
    const struct hyperparameters *h = &x->t->m->h;
    const struct layer *l = x->t->layers[i].l;
    struct kept_mix *m = &x->kept[i].mix;
    struct route_op route = route_op(x, i);
    bool weighted = l->plan.route_input;
    if (!step_map(x, i, SLOT_ROUTER, asked, m->logits) ||
        !route_forward(&route, m->logits, m->expert, m->weight, m->scores, x->e))
        return false;
    arrange(x, m);
    gather(x, m, in, weighted);
    for (size_t e = 0; e < h->experts; e++) {
        struct share_of s = share_of(x, i, e);
        if (s.n && !unit_run(x, i, &s.slots, &s.narrow, m->gathered + s.first * x->hidden, &s.unit, w,
                             m->given + s.first * x->hidden))
            return false;
    }
    memset(out, 0, x->rows * x->hidden * sizeof *out);
    for (size_t c = 0; c < x->rows * h->experts_used; c++)
        add_by(out + c / h->experts_used * x->hidden, m->given + (size_t)m->place[c] * x->hidden,
               weighted ? 1 : m->weight[c], x->hidden);
    return !l->shared.up.w.rows || mix_shared(x, i, in, w, out);
}

// Gradients by what experts read (w->e) from those by what they gave (w->f).
static bool experts_back(struct example *x, uint32_t i, struct scratch *w) {
    const struct hyperparameters *h = &x->t->m->h;
    struct kept_mix *m = &x->kept[i].mix;
    memset(w->e, 0, x->rows * h->experts_used * x->hidden * sizeof *w->e);
    for (size_t e = 0; e < h->experts; e++) {
        struct share_of s = share_of(x, i, e);
        size_t at = s.first * x->hidden;
        if (s.n && !unit_run_back(x, i, &s.slots, &s.narrow, m->gathered + at, &s.unit, w->f + at, w, w->e + at))
            return false;
    }
    return true;
}

bool mix_back(struct example *x, uint32_t i, const float *in, const float *asked, const float *dout, struct scratch *w,
              float *dx, float *dasked) {
    const struct hyperparameters *h = &x->t->m->h;
    const struct layer *l = x->t->layers[i].l;
    struct kept_mix *m = &x->kept[i].mix;
    struct route_op route = route_op(x, i);
    bool weighted = l->plan.route_input;
    size_t used = h->experts_used, dim = x->hidden;
    if (l->shared.up.w.rows && !mix_shared_back(x, i, in, dout, w, dx)) return false;
    for (size_t c = 0; c < x->rows * used; c++) {
        size_t at = (size_t)m->place[c] * dim, row = c / used * dim;
        m->dweight[c] = weighted ? 0 : dot(dout + row, m->given + at, dim);
        memset(w->f + at, 0, dim * sizeof *w->f);
        add_by(w->f + at, dout + row, weighted ? 1 : m->weight[c], dim);
    }
    if (!experts_back(x, i, w)) return false;
    for (size_t c = 0; c < x->rows * used; c++) {
        size_t at = (size_t)m->place[c] * dim, row = c / used * dim;
        if (weighted) m->dweight[c] = dot(in + row, w->e + at, dim);
        add_by(dx + row, w->e + at, weighted ? m->weight[c] : 1, dim);
    }
    route_backward(&route, m->expert, m->scores, m->dweight, m->logits); // which are not needed any more
    return step_map_back(x, i, SLOT_ROUTER, asked, m->logits, w->some, dasked);
}
