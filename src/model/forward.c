// The decoder's forward pass, read top to bottom like the paper (Vaswani et al., 2017): forward() first, then what it
// calls. In what its many successors differ is in the plans of the layers (hyper.h) and in which weights they have.
#include "model/forward.h"
#include "model/adapt.h"

static void layer(struct pass *p, const struct layer *l);
static void keep_wanted(struct pass *p);

// The layers that are here, of those before `to`, each on its side.
static const struct layer *through(struct pass **p, const struct layer *from, const struct layer *to) {
    while (from < to && (*p)->n && !(*p)->run->crossing->failed.status) {
        *p = forward_cross(*p, from->side);
        layer(*p, from++);
    }
    return from;
}

// From the embedding to what is wanted; or, of a model that is cut, this rank's part of the way.
static bool one_pass(struct pass *p, struct run *r, float *out, gyr_error *e) {
    const struct model *m = p->m;
    const struct layer *l = m->layers + m->first, *end = m->layers + m->end;
    const struct layer *borrowing = m->layers + m->h.layers - m->h.shared_kv;
    if (m->begins)
        forward_embed(p);
    else if (!relay_take(r->relay, p, e))
        return false;
    l = through(&p, l, m->gives ? borrowing < end ? borrowing : end : end);
    if (!m->gives) return relay_hand(r->relay, p, e);
    keep_wanted(p); // nothing is remembered from here on
    through(&p, l, end);
    const gyr_error failed = r->crossing->failed;
    r->crossing->failed = (gyr_error){0};
    if (failed.status) return fail(e, failed.status, "%s", failed.message);
    if (p->n) forward_give(p, out);
    return true;
}

static bool begin(struct pass *p, struct run *r, const struct row *rows, gyr_error *e) {
    return describe(&r->desk, p->m, p->kv, rows, p->n, &p->what, e) && run_index(r, p->what.all.at.longest, e) &&
           run_adapt(r, &p->what.all, e);
}

// Rank 0's part of a pass through a model that is cut: whatever becomes of it, the others answer.
static bool lead(struct pass *p, struct run *r, const struct row *rows, float *out, gyr_error *e) {
    gyr_error made = {0};
    bool ok = begin(p, r, rows, &made);
    size_t floats = p->what.wanted * (p->gives == GIVES_STATES ? p->m->h.hidden : p->m->h.vocab);
    p->rows = &p->what.all;
    ok = ok && one_pass(p, r, NULL, &made);
    if (!ok) relay_fail(r->relay, &made, NULL);
    relay_expect(r->relay, ok ? out : NULL, floats);
    return ok || fail(e, made.status, "%s", made.message);
}

bool forward(struct run *r, const struct kv_cache *kv, const struct row *rows, size_t n, enum gives gives, float *out,
             gyr_error *e) {
    const struct model *m = r->m;
    struct pass p[MAX_SIDES];
    for (struct run *k = r; k; k = k->next)
        p[k->side] = (struct pass){.run = k,
                                   .sides = p,
                                   .side = k->side,
                                   .m = m,
                                   .kv = kv,
                                   .a = k->a,
                                   .ops = k->d->ops,
                                   .d = k->d,
                                   .n = n,
                                   .gives = gives};
    if (r->relay && m->begins) return lead(p, r, rows, out, e);
    for (struct run *k = r; k; k = k->next) {
        if (!begin(&p[k->side], k, rows, e)) return false;
        p[k->side].rows = &p[k->side].what.all;
    }
    if (n > r->a->rows || p->what.wanted > run_wanted(r, gives)) return forward_whole(p, r, out, e);
    return one_pass(p, r, out, e);
}

struct pass *forward_beside(struct pass *p, uint32_t side) {
    if (side == p->side) return p;
    struct pass *to = &p->sides[side];
    to->n = p->n;
    to->rows = p->rows == &p->what.kept ? &to->what.kept : &to->what.all;
    return to;
}

struct pass *forward_cross(struct pass *p, uint32_t side) {
    struct pass *to = forward_beside(p, side);
    size_t inputs = p->m->h.layers * (size_t)p->m->h.layer_input;
    const struct carried all[] = {{p->a->x, to->a->x, p->n * p->m->h.hidden},
                                  {p->a->inputs, to->a->inputs, p->n * inputs}};
    if (to != p) cross(p->run->crossing, p->d, to->d, all, inputs ? 2 : 1);
    return to;
}

static void tokens_meet(struct pass *p, const struct layer *l, const dfloat *x);
static void feed(struct pass *p, const struct layer *l, const dfloat *x);
static void join(struct pass *p, const struct layer *l, const struct norm *w);

// x += attention(norm(x)), then x += mlp(norm(x)); or, parallel, both of the same x.
static void layer(struct pass *p, const struct layer *l) {
    const struct layer_plan *plan = &l->plan;
    const dfloat *x = input(p, &l->attn_norm);
    tokens_meet(p, l, x);
    if (plan->parallel && l->mlp_norm.weight) x = input(p, &l->mlp_norm); // before the first branch joins
    forward_rest(p, l, plan->parallel ? x : NULL);
}

void forward_rest(struct pass *p, const struct layer *l, const dfloat *x) {
    join(p, l, &l->attn_post_norm);
    if (l->plan.feed != FEED_NONE) {
        feed(p, l, x ? x : input(p, &l->mlp_norm));
        join(p, l, &l->mlp_post_norm);
    }
    if (l->input_gate.w.rows) {
        forward_input(p, l);
        join(p, l, &l->input_post_norm);
    }
    scale(p, p->a->x, p->n * p->m->h.hidden, l->scale);
}

// x += branch, which may have a norm behind it; or the stream has one then.
static void join(struct pass *p, const struct layer *l, const struct norm *w) {
    size_t n = p->n * p->m->h.hidden;
    bool joined = l->plan.norms_joined;
    if (w->weight && !joined) norm(p, w, p->a->branch, p->n, p->a->branch);
    scale(p, p->a->branch, n, p->m->h.residual_scale);
    p->ops->add(p->d, p->a->x, p->a->branch, n);
    if (w->weight && joined) norm(p, w, p->a->x, p->n, p->a->x);
}

// branch = what the layer makes of other positions: by attention, by a state, or the sum of both.
static void tokens_meet(struct pass *p, const struct layer *l, const dfloat *x) {
    size_t hidden = p->m->h.hidden, n = p->n * hidden;
    float in = p->m->h.recurrence.attn_in;
    bool both = l->plan.attends && l->plan.recurs;
    if (l->plan.recurs) forward_state(p, l, x, both ? p->a->beside : p->a->branch);
    if (!l->plan.attends) return;
    if (in != 1) { // a copy: others may read x too
        p->ops->move(p->d, x, hidden, p->a->branch, hidden, p->n, hidden);
        scale(p, p->a->branch, n, in);
        x = p->a->branch;
    }
    forward_attention(p, l, x);
    if (both) p->ops->add(p->d, p->a->branch, p->a->beside, n);
}

// branch = Wdown activation(Wup x), or Wdown (activation(Wgate x) * Wup x).
static void mlp(struct pass *p, const struct layer *l, const dfloat *x) {
    size_t wide = l->plan.feed_forward, n = p->n * wide;
    dfloat *gated = p->a->gated;
    if (l->gate_up.w.rows) {
        linear(p, &l->gate_up, x, gated);
        forward_gate(p, &(struct gate){.rows = p->n, .n = wide, .stride = 2 * wide, .gate = gated, .up = gated + wide});
    } else if (l->gate.w.rows) {
        linears(p, (struct output[]){{&l->gate, gated}, {&l->up, gated + n}}, 2, x);
        forward_gate(p, &(struct gate){.rows = p->n, .n = wide, .stride = wide, .gate = gated, .up = gated + n});
    } else {
        linear(p, &l->up, x, p->a->wide);
        p->ops->activate(p->d, p->m->h.activation, p->a->wide, n);
    }
    linear(p, &l->down, p->a->wide, p->a->branch);
}

void forward_gate(struct pass *p, const struct gate *g) {
    const struct hyperparameters *h = &p->m->h;
    struct gate a = *g;
    a.activation = h->activation;
    a.out = p->a->wide;
    a.limit = h->gate_limit;
    a.alpha = h->gate_alpha;
    p->ops->gate(p->d, &a);
}

// branch = what the MLP, the experts, or both, each under a norm of its own, make of x. Those beside an MLP read the
// stream.
static void feed(struct pass *p, const struct layer *l, const dfloat *x) {
    if (l->plan.feed != FEED_EXPERTS) mlp(p, l, x);
    if (l->plan.feed == FEED_MLP) return;
    if (l->plan.feed == FEED_EXPERTS) {
        forward_experts(p, l, x);
        return;
    }
    norm(p, &l->dense_post_norm, p->a->branch, p->n, p->a->beside);
    forward_experts(p, l, input(p, &l->expert_norm));
    norm(p, &l->expert_post_norm, p->a->branch, p->n, p->a->branch);
    p->ops->add(p->d, p->a->branch, p->a->beside, p->n * p->m->h.hidden);
}

// x += rows of a table, of models that have it.
static void embed_more(struct pass *p, const struct weight *table, const dint *ids) {
    if (!table->rows) return;
    p->ops->embed(p->d, table, ids, p->n, p->a->branch);
    p->ops->add(p->d, p->a->x, p->a->branch, p->n * p->m->h.hidden);
}

// x = the tokens' embeddings, and those of their types and positions where a model has some.
void forward_embed(struct pass *p) {
    const struct model *m = p->m;
    p->ops->embed(p->d, &m->embedding, p->what.tokens, p->n, p->a->x);
    scale(p, p->a->x, p->n * m->h.hidden, m->h.embed_scale);
    if (m->h.layer_input) forward_inputs(p);
    embed_more(p, &m->types, p->what.types);
    embed_more(p, &m->positions, p->what.positions);
    if (m->embed_norm.weight) norm(p, &m->embed_norm, p->a->x, p->n, p->a->x);
}

// x = its rows that want logits, by way of `beside`.
static void pick(struct pass *p, dfloat *x, dfloat *beside, size_t dim) {
    size_t n = p->what.wanted;
    p->ops->sum_rows(p->d, &(struct sum_rows){n, 1, dim, p->what.chosen, NULL, x, beside});
    p->ops->move(p->d, beside, n * dim, x, n * dim, 1, n * dim);
}

// Only the rows that want logits go on.
static void keep_wanted(struct pass *p) {
    const struct hyperparameters *h = &p->m->h;
    size_t inputs = h->layers * (size_t)h->layer_input;
    p->rows = &p->what.kept;
    if (p->what.wanted == p->n) return;
    p->n = p->what.wanted;
    if (!p->n) return;
    pick(p, p->a->x, p->a->branch, h->hidden);
    if (inputs && h->shared_kv) pick(p, p->a->inputs, p->a->looked_up, inputs);
}

// The final norm, and, where logits are wanted, the output matrix.
void forward_give(struct pass *p, float *out) {
    const struct model *m = p->m;
    dfloat *x = p->a->logits;
    size_t n = p->n * m->h.vocab;
    const dfloat *state = input(p, &m->final_norm);
    if (p->gives == GIVES_STATES) {
        p->ops->read(p->d, out, state, p->n * m->h.hidden * sizeof *out);
        return;
    }
    p->ops->matmul(p->d, &m->output, state, p->n, m->output_bias, x);
    if (p->rows->n_spans) forward_adapt(p, &(struct adapted){ADAPTS_OUTPUT, x}, 1, state);
    scale(p, x, n, m->h.logit_scale);
    if (m->h.logit_cap > 0) p->ops->cap(p->d, x, m->h.logit_cap, n);
    p->ops->read(p->d, out, x, n * sizeof *out);
}
