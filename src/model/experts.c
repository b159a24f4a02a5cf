// Mixtures of experts (Shazeer et al., 2017; Jiang et al., 2024; Dai et al., 2024): each row goes through a few of the
// layer's MLPs.
#include "model/forward.h"

static void route(struct pass *p, const struct layer *l, const dfloat *x) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t scores = p->n * h->experts;
    if (l->router_norm.weight) {
        norm(p, &l->router_norm, a->x, p->n, a->given);
        x = a->given;
    }
    linear(p, &l->router, x, a->router);
    struct route r = {.score = h->route,
                      .rows = p->n,
                      .experts = h->experts,
                      .used = h->experts_used,
                      .groups = h->groups,
                      .groups_used = h->groups_used,
                      .pairs = l->plan.route_pairs,
                      .logits = a->router,
                      .shift = l->router_shift,
                      .normed = h->route_normed,
                      .scale = h->route_scale,
                      .own_scale = l->expert_scale,
                      .expert = a->expert,
                      .weight = a->weight,
                      .work = a->router + scores};
    p->ops->route(p->d, &r);
}

// The expert that every row goes through; it may count by a share of its own.
static void add_shared(struct pass *p, const struct layer *l, const dfloat *x) {
    struct activations *a = p->a;
    size_t wide = l->shared.up.w.rows, hidden = p->m->h.hidden;
    linears(p, (struct output[]){{&l->shared.gate, a->gated}, {&l->shared.up, a->gated + p->n * wide}}, 2, x);
    forward_gate(
        p, &(struct gate){.rows = p->n, .n = wide, .stride = wide, .gate = a->gated, .up = a->gated + p->n * wide});
    linear(p, &l->shared.down, a->wide, a->given);
    dfloat *add = a->given;
    if (l->shared_router.w.rows) {
        struct route share = {.score = ROUTE_SIGMOID,
                              .rows = p->n,
                              .experts = 1,
                              .used = 1,
                              .logits = a->router,
                              .scale = 1,
                              .expert = a->expert,
                              .weight = a->weight,
                              .work = a->router + p->n};
        linear(p, &l->shared_router, x, a->router);
        p->ops->route(p->d, &share);
        add = a->gathered;
        p->ops->sum_rows(p->d, &(struct sum_rows){p->n, 1, hidden, p->what.self, a->weight, a->given, add});
    }
    p->ops->add(p->d, a->branch, add, p->n * hidden);
}

// What the layer's experts make of x, on the side where they are: `at` is its pass, and x and the choice are there.
static void mix_at(struct pass *at, const struct layer *l, const dfloat *x) {
    const struct hyperparameters *h = &at->m->h;
    struct activations *a = at->a;
    struct experts e = {.rows = at->n,
                        .hidden = h->hidden,
                        .wide = h->expert_feed_forward,
                        .n = h->experts,
                        .used = h->experts_used,
                        .expert = l->experts,
                        .chosen = a->expert,
                        .weight = a->weight,
                        .at_input = l->plan.route_input,
                        .activation = h->activation,
                        .limit = h->gate_limit,
                        .alpha = h->gate_alpha,
                        .x = x,
                        .out = a->branch,
                        .gathered = a->gathered,
                        .given = a->given,
                        .gated = a->gated,
                        .inner = a->wide,
                        .by = a->by,
                        .places = a->places};
    forward_mix(at, l, &e);
}

// Experts that are elsewhere are brought what goes into them; what comes out is brought back.
static void mix_elsewhere(struct pass *p, const struct layer *l, const dfloat *x) {
    struct pass *to = forward_beside(p, l->experts_side);
    struct crossing *c = p->run->crossing;
    size_t n = p->n * p->m->h.hidden, places = p->n * p->m->h.experts_used;
    const struct carried there[] = {{x, to->a->normed, n},
                                    {p->a->expert, to->a->expert, places},
                                    {p->a->weight, to->a->weight, places}};
    const struct carried back = {to->a->branch, p->a->branch, n};
    if (!cross(c, p->d, to->d, there, sizeof there / sizeof *there)) return;
    mix_at(to, l, to->a->normed);
    cross(c, to->d, p->d, &back, 1);
}

void forward_experts(struct pass *p, const struct layer *l, const dfloat *x) {
    route(p, l, x);
    (l->experts_side == p->side ? mix_at : mix_elsewhere)(p, l, x);
    if (l->shared.up.w.rows) add_shared(p, l, x);
}
