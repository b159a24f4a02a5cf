// Attention of a layer: projections, norms and rotation of heads, attention itself, and what joins the heads.
#include "train/card.h"
#include "train/example.h"
#include "train/whole.h"

#include <string.h>

struct shape {
    size_t heads, kv_heads, dim, q, kv;
};

static const struct layer *layer_of(const struct example *x, uint32_t i) { return x->t->layers[i].l; }

static struct shape shape_of(const struct example *x, const struct layer *l) {
    size_t heads = x->t->m->h.heads, kv = l->plan.heads.kv_heads, dim = l->plan.heads.head_dim;
    return (struct shape){heads, kv, dim, heads * dim, kv * dim};
}

static bool fused(const struct layer *l) { return l->qkv.w.rows; }

// ---------------------------------------------------------------------------------- keys and values of other layers

static bool borrows(const struct example *x, uint32_t i) { return layer_of(x, i)->plan.borrows; }
static struct lent *lent_of(const struct example *x, uint32_t i) { return &x->kept[x->t->layers[i].lender].lent; }

static size_t lent_floats(const struct example *x, uint32_t i) {
    return x->t->layers[i].lends ? x->rows * shape_of(x, layer_of(x, i)).kv : 0;
}

void attend_lay_out_lent(struct example *x) {
    for (uint32_t i = 0; i < x->t->m->h.layers; i++) {
        struct lent *l = &x->kept[i].lent;
        float **all[] = {&l->k, &l->v, &l->dk, &l->dv};
        for (int n = 0; n < 4; n++) *all[n] = example_room(x, lent_floats(x, i));
    }
}

void attend_clear_lent(const struct example *x) {
    for (uint32_t i = 0; i < x->t->m->h.layers; i++) {
        step_clear(x, x->kept[i].lent.dk, lent_floats(x, i));
        step_clear(x, x->kept[i].lent.dv, lent_floats(x, i));
    }
}

// What others gave is added to a lender's own gradients; a borrower's go to its lender.
static void add_lent(const struct example *x, uint32_t i, float *dk, float *dv) {
    const struct lent *l = lent_of(x, i);
    size_t n = x->rows * shape_of(x, layer_of(x, i)).kv;
    bool own = !borrows(x, i);
    if (!borrows(x, i) && !x->t->layers[i].lends) return;
    step_add(x, own ? dk : l->dk, 1, own ? l->dk : dk, own ? dk : l->dk, n);
    step_add(x, own ? dv : l->dv, 1, own ? l->dv : dv, own ? dv : l->dv, n);
}

// --------------------------------------------------------------------------------------------------- what is kept

void attend_lay_out(struct example *x, uint32_t i) {
    const struct host_layer *h = &x->t->layers[i];
    const struct layer *l = h->l;
    struct shape s = shape_of(x, l);
    struct kept *k = &x->kept[i];
    size_t n = x->rows;
    bool gated = l->plan.gates_heads, values = l->v.w.rows || fused(l), clipped = x->t->m->h.qkv_clip > 0;
    bool q_apart = h->q.w || clipped, k_apart = !borrows(x, i) && (h->k.w || clipped),
         own = !borrows(x, i) && !h->lends;
    const struct {
        float **to;
        size_t n;
    } parts[] = {{&k->q, n * s.q},
                 {&k->k, own ? n * s.kv : 0},
                 {&k->v, own ? n * s.kv : 0},
                 {&k->mixed, n * s.q},
                 {&k->sums, n * s.heads},
                 {&k->q_in, q_apart ? n * s.q : 0},
                 {&k->k_in, k_apart ? n * s.kv : 0},
                 {&k->v_in, h->v.w && values ? n * s.kv : 0},
                 {&k->q_saved, h->q.w ? 2 * n * h->q.each : 0},
                 {&k->k_saved, h->k.w ? 2 * n * h->k.each : 0},
                 {&k->v_saved, h->v.w ? 2 * n * h->v.each : 0},
                 {&k->head_gate, gated ? n * s.q : 0},
                 {&k->ready, gated ? n * s.q : 0}};
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++) *parts[p].to = example_room(x, parts[p].n);
    if (!own) k->k = lent_of(x, i)->k, k->v = lent_of(x, i)->v;
    if (!q_apart) k->q_in = k->q;
    if (!k_apart) k->k_in = k->k;
    if (!h->v.w) k->v_in = k->v;
    if (!values) k->v_in = k->k_in; // the keys are the values too
    if (!gated) k->ready = k->mixed;
}

size_t attend_widest(const struct example *x, uint32_t i) {
    struct shape s = shape_of(x, layer_of(x, i));
    return 2 * s.q + 2 * s.kv;
}

// ------------------------------------------------------------------------------------------------ projections

// Queries, keys and values out of the matrix's rows, or their gradients back into them.
static void part(const struct example *x, const struct shape *s, float *all, float *q, float *k, float *v, bool back) {
    size_t groups = x->t->m->grouped ? s->kv_heads : 1, wide = s->q + 2 * s->kv;
    const struct {
        float *x;
        size_t n, first;
    } parts[] = {
        {q, s->q / groups, 0}, {k, s->kv / groups, s->q / groups}, {v, s->kv / groups, (s->q + s->kv) / groups}};
    for (size_t r = 0; r < x->rows; r++)
        for (size_t g = 0; g < groups; g++)
            for (int p = 0; p < 3; p++) {
                float *one = parts[p].x + (r * groups + g) * parts[p].n,
                      *in = all + r * wide + g * (wide / groups) + parts[p].first;
                memcpy(back ? in : one, back ? one : in, parts[p].n * sizeof *in);
            }
}

// Each head's query is followed by what gates its output.
static void part_gates(const struct example *x, const struct shape *s, float *both, float *q, float *gate, bool back) {
    for (size_t h = 0; h < x->rows * s->heads; h++) {
        float *at = both + 2 * h * s->dim, *one = q + h * s->dim, *two = gate + h * s->dim;
        memcpy(back ? at : one, back ? one : at, s->dim * sizeof *at);
        memcpy(back ? at + s->dim : two, back ? two : at + s->dim, s->dim * sizeof *at);
    }
}

static bool project(struct example *x, uint32_t i, const float *in, struct scratch *w) {
    const struct layer *l = layer_of(x, i);
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, l);
    bool gated = l->plan.gates_heads;
    if (fused(l)) {
        if (!step_map(x, i, SLOT_QKV, in, w->a)) return false;
        part(x, &s, w->a, k->q_in, k->k_in, k->v_in, false);
        return true;
    }
    step_together(x);
    if (!step_apart(x, step_map(x, i, SLOT_Q, in, gated ? w->a : k->q_in) &&
                           (borrows(x, i) || step_map(x, i, SLOT_K, in, k->k_in)) &&
                           (!l->v.w.rows || step_map(x, i, SLOT_V, in, k->v_in))))
        return false;
    if (gated) part_gates(x, &s, w->a, k->q_in, k->head_gate, false);
    return true;
}

// dq, dk and dv are the gradients by what the projections gave; dgate that by the gates of heads.
static bool project_back(struct example *x, uint32_t i, const float *in, float *dq, float *dk, float *dv, float *dgate,
                         struct scratch *w, float *dx) {
    const struct layer *l = layer_of(x, i);
    struct shape s = shape_of(x, l);
    if (fused(l)) {
        part(x, &s, w->a, dq, dk, dv, true);
        return step_map_back(x, i, SLOT_QKV, in, w->a, w->some, dx);
    }
    if (l->plan.gates_heads) {
        part_gates(x, &s, w->a, dq, dgate, true);
        dq = w->a;
    }
    step_together(x);
    return step_apart(x, step_map_back(x, i, SLOT_Q, in, dq, w->some, dx) &&
                             (borrows(x, i) || step_map_back(x, i, SLOT_K, in, dk, w->some, dx)) &&
                             (!l->v.w.rows || step_map_back(x, i, SLOT_V, in, dv, w->some, dx)));
}

// ------------------------------------------------------------------------------------- norms, bounds, positions

static bool whole_rows(const struct layer *l) { return l->plan.qk_norm == QK_NORM_ROW; }

static void clamp(const struct example *x, float *v, size_t n) {
    if (x->t->m->h.qkv_clip > 0) clamp_forward(n, x->t->m->h.qkv_clip, v);
}

static void head_norm(const struct example *x, const struct host_norm *n, const float *in, float *out, float *saved,
                      size_t count) {
    if (n->w) step_norm(x, n, in, out, saved);
    if (!n->w && in != out) memcpy(out, in, count * sizeof *out);
}

// Norms of whole rows stand in front of the bounds, those of heads behind them. What is borrowed has been through both.
static void norms(struct example *x, uint32_t i) {
    const struct host_layer *h = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, h->l);
    size_t q = x->rows * s.q, kv = borrows(x, i) ? 0 : x->rows * s.kv;
    if (h->v.w) step_norm(x, &h->v, k->v_in, k->v, k->v_saved);
    if (!whole_rows(h->l)) clamp(x, k->q_in, q), clamp(x, k->k_in, kv);
    head_norm(x, &h->q, k->q_in, k->q, k->q_saved, q);
    if (kv) head_norm(x, &h->k, k->k_in, k->k, k->k_saved, kv);
    if (whole_rows(h->l)) clamp(x, k->q, q), clamp(x, k->k, kv);
    clamp(x, k->v, kv);
}

// Of queries or keys: d becomes the gradient by what the projection gave. What a norm of whole rows gave is computed
// again, to know where it lay out of bounds.
static void norm_back(struct example *x, const struct host_norm *n, bool whole, const float *in, const float *saved,
                      size_t count, struct scratch *w, float *d) {
    float clip = x->t->m->h.qkv_clip;
    if (n->w && whole && clip > 0) {
        step_norm(x, n, in, w->some, w->e);
        clamp_backward(count, clip, w->some, d);
    }
    if (n->w) {
        memcpy(w->e, d, count * sizeof *d);
        memset(d, 0, count * sizeof *d);
        step_norm_back(x, n, in, saved, w->e, w->some, d);
    }
    if (clip > 0 && !whole) clamp_backward(count, clip, in, d);
}

static void norms_back(struct example *x, uint32_t i, struct scratch *w, float *dq, float *dk, float *dv) {
    const struct host_layer *h = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, h->l);
    size_t q = x->rows * s.q, kv = borrows(x, i) ? 0 : x->rows * s.kv;
    bool whole = whole_rows(h->l);
    if (x->t->m->h.qkv_clip > 0) clamp_backward(kv, x->t->m->h.qkv_clip, k->v, dv);
    norm_back(x, &h->q, whole, k->q_in, k->q_saved, q, w, dq);
    if (kv) norm_back(x, &h->k, whole, k->k_in, k->k_saved, kv, w, dk);
    if (!h->v.w) return;
    bool own = k->v_in != k->k_in;
    memcpy(w->e, dv, kv * sizeof *dv);
    if (own) memset(dv, 0, kv * sizeof *dv);
    step_norm_back(x, &h->v, k->v_in, k->v_saved, w->e, w->some, own ? dv : dk);
}

// Queries by what their positions make of them.
static void temper(const struct example *x, const struct layer *l, const struct shape *s, float *q) {
    if (!l->plan.tempered) return;
    for (size_t r = 0; r < x->rows; r++)
        for (size_t k = 0; k < s->q; k++) q[r * s->q + k] *= x->temper[r];
}

// Some rows to a task.
enum { ROTATED = 16 };

struct rotating {
    struct rope_op o;
    float *v;
    bool back;
};

static void rotate_task(void *arg, size_t task) {
    const struct rotating *w = arg;
    struct rope_op o = w->o;
    size_t first = task * ROTATED;
    o.rows = o.rows - first < ROTATED ? o.rows - first : ROTATED;
    o.angles += first * (o.dim / 2) * 2;
    (w->back ? rope_backward : rope_forward)(&o, w->v + first * o.heads * o.head_dim);
}

static void rotate(const struct example *x, const struct layer *l, size_t heads, bool back, float *v) {
    const struct layer_plan *p = &l->plan;
    struct rotating w = {
        {x->rows, heads, p->heads.head_dim, p->rotary_dim, x->t->m->pairs == PAIRS_ADJACENT, x->angles[p->own_rope]},
        v,
        back};
    if (p->rotated && x->t->m->family->positions == POSITIONS_ROTARY)
        pool_run(x->t->pool, (x->rows + ROTATED - 1) / ROTATED, rotate_task, &w);
}

static struct attention_op attention_op(const struct example *x, const struct host_layer *h) {
    const struct layer_plan *p = &h->l->plan;
    const struct hyperparameters *own = &x->t->m->h;
    return (struct attention_op){.pool = x->t->pool,
                                 .rows = x->rows,
                                 .heads = own->heads,
                                 .kv_heads = p->heads.kv_heads,
                                 .dim = p->heads.head_dim,
                                 .window = p->window,
                                 .scale = own->attn_scale,
                                 .cap = own->attn_cap,
                                 .slopes = x->t->slopes,
                                 .sinks = h->sinks,
                                 .slopes_bf16 = x->t->m->slopes_bf16,
                                 .chunk = p->chunked ? own->chunk : 0};
}

// Each sequence by itself; on the layer's card, if it has such attention.
static bool weigh(const struct example *x, const struct host_layer *h, const struct kept *k) {
    struct attention_op a = attention_op(x, h);
    size_t q = a.heads * a.dim, kv = a.kv_heads * a.dim;
    if (!x->t->n_starts &&
        card_attend(x->t->card, x->t->m->on.device[h->l->side], &a, k->q, k->k, k->v, k->mixed, k->sums))
        return true;
    for (size_t i = 0, at; example_sequence(x, i, &at, &a.rows); i++)
        if (!attention_forward(&a, k->q + at * q, k->k + at * kv, k->v + at * kv, k->mixed + at * q,
                               k->sums + at * a.heads, x->e))
            return false;
    return true;
}

static bool weigh_back(const struct example *x, const struct host_layer *h, const struct kept *k, const float *dy,
                       float *dq, float *dk, float *dv) {
    struct attention_op a = attention_op(x, h);
    size_t q = a.heads * a.dim, kv = a.kv_heads * a.dim;
    if (!x->t->n_starts && card_attend_back(x->t->card, x->t->m->on.device[h->l->side], &a, k->q, k->k, k->v, k->mixed,
                                            k->sums, dy, dq, dk, dv))
        return true;
    for (size_t i = 0, at; example_sequence(x, i, &at, &a.rows); i++) {
        const float *y = k->mixed + at * q, *sums = k->sums + at * a.heads;
        if (!attention_backward(&a, k->q + at * q, k->k + at * kv, k->v + at * kv, y, sums, dy + at * q, dq + at * q,
                                dk + at * kv, dv + at * kv, x->e))
            return false;
        if (x->t->whole && a.sinks) whole_sinks(x->t->whole, &a, y, sums, dy + at * q, x->gradients);
    }
    return true;
}

// -------------------------------------------------------------------------------------------------------- all

bool attend_run(struct example *x, uint32_t i, const float *in, struct scratch *w, float *out) {
    const struct host_layer *h = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, h->l);
    if (!project(x, i, in, w)) return false;
    norms(x, i);
    rotate(x, h->l, s.heads, false, k->q);
    if (!borrows(x, i)) rotate(x, h->l, s.kv_heads, false, k->k);
    temper(x, h->l, &s, k->q);
    if (!weigh(x, h, k)) return false;
    if (k->ready != k->mixed) gated_forward(UNIT_SIGMOID, x->rows * s.q, k->head_gate, k->mixed, k->ready);
    return step_map(x, i, SLOT_OUT, k->ready, out);
}

bool attend_back(struct example *x, uint32_t i, const float *in, const float *dout, struct scratch *w, float *dx) {
    const struct host_layer *h = &x->t->layers[i];
    struct kept *k = &x->kept[i];
    struct shape s = shape_of(x, h->l);
    float *dmixed = w->a, *dq = w->b, *dk = w->c, *dv = w->d, *dgate = w->f;
    if (!step_linear_first_back(x, i, SLOT_OUT, x->rows, k->ready, k->narrow[SLOT_OUT], dout, w->some, dmixed))
        return false;
    if (k->ready != k->mixed) {
        memcpy(w->e, dmixed, x->rows * s.q * sizeof *dmixed);
        gated_backward(UNIT_SIGMOID, x->rows * s.q, k->head_gate, k->mixed, w->e, dgate, dmixed);
    }
    if (!weigh_back(x, h, k, dmixed, dq, dk, dv)) return false;
    add_lent(x, i, dk, dv);
    temper(x, h->l, &s, dq);
    rotate(x, h->l, s.heads, true, dq);
    if (!borrows(x, i)) rotate(x, h->l, s.kv_heads, true, dk);
    norms_back(x, i, w, dq, dk, dv);
    return project_back(x, i, in, dq, dk, dv, dgate, w, dx);
}
