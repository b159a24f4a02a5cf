// Mixtures of experts (Shazeer et al., 2017; Jiang et al., 2024; Dai et al., 2024): each row goes through a few of the
// layer's MLPs. Rows are gathered by expert, so that an expert's matrices are read once a batch; what a row gets is
// summed in the order of its own choice, so that it does not depend on who else was there.
#include "model/forward.h"

#include <string.h>

static void route(struct pass *p, const struct layer *l, const float *x) {
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

// Gives each (row, choice) a place, those of an expert side by side. start[e] is expert e's first; start[experts] their
// number.
static int32_t *sort_places(struct pass *p) {
    struct activations *a = p->a;
    size_t used = p->m->h.experts_used, n = p->n * used, experts = p->m->h.experts;
    int32_t *expert = a->host, *from = expert + n, *place = from + n, *start = place + n;
    p->ops->read(p->d, expert, a->expert, n * sizeof *expert);
    p->ops->read(p->d, a->host_weight, a->weight, n * sizeof *a->host_weight);
    memset(start, 0, (experts + 1) * sizeof *start);
    for (size_t i = 0; i < n; i++) start[expert[i] + 1]++;
    for (size_t e = 0; e < experts; e++) start[e + 1] += start[e];
    for (size_t i = 0; i < n; i++) {
        place[i] = start[expert[i]]++;
        from[place[i]] = (int32_t)(i / used);
        a->host_weight[n + (size_t)place[i]] = a->host_weight[i];
    }
    memmove(start + 1, start, experts * sizeof *start);
    start[0] = 0;
    p->ops->write(p->d, a->from, from, n * sizeof *from);
    p->ops->write(p->d, a->place, place, n * sizeof *place);
    p->ops->write(p->d, a->input_weight, a->host_weight + n, n * sizeof *a->host_weight);
    return start;
}

// The same as linear(), of so many rows.
static void some(struct pass *p, const struct linear *l, const float *x, size_t rows, float *y) {
    p->ops->matmul(p->d, &l->w, x, rows, l->bias, y);
    scale(p, y, rows * l->w.rows, l->by);
}

static void gate(struct pass *p, size_t rows, size_t wide) {
    float *gated = p->a->gated;
    forward_gate(p, &(struct gate){.rows = rows, .n = wide, .stride = wide, .gate = gated, .up = gated + rows * wide});
}

// The chosen experts of all rows: gathered inputs in, outputs by place.
static void run_experts(struct pass *p, const struct layer *l, const int32_t *start) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t wide = h->expert_feed_forward, n = p->n * h->experts_used;
    for (size_t e = 0; e < h->experts; e++) {
        size_t first = (size_t)start[e], rows = (size_t)start[e + 1] - first;
        if (!rows) continue;
        some(p, &l->experts[e].gate, a->gathered + first * h->hidden, rows, a->gated + first * wide);
        some(p, &l->experts[e].up, a->gathered + first * h->hidden, rows, a->gated + (n + first) * wide);
    }
    gate(p, n, wide);
    for (size_t e = 0; e < h->experts; e++) {
        size_t first = (size_t)start[e], rows = (size_t)start[e + 1] - first;
        if (rows) some(p, &l->experts[e].down, a->wide + first * wide, rows, a->given + first * h->hidden);
    }
}

// The expert that every row goes through; it may count by a share of its own.
static void add_shared(struct pass *p, const struct layer *l, const float *x) {
    struct activations *a = p->a;
    size_t wide = l->shared.up.w.rows, hidden = p->m->h.hidden;
    linear(p, &l->shared.gate, x, a->gated);
    linear(p, &l->shared.up, x, a->gated + p->n * wide);
    gate(p, p->n, wide);
    linear(p, &l->shared.down, a->wide, a->given);
    float *add = a->given;
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
        for (size_t r = 0; r < p->n; r++) a->host[r] = (int32_t)r;
        p->ops->write(p->d, a->from, a->host, p->n * sizeof *a->host);
        add = a->gathered;
        p->ops->mix(p->d, &(struct mix){p->n, 1, hidden, a->from, a->weight, a->given, add});
    }
    p->ops->add(p->d, a->branch, add, p->n * hidden);
}

void forward_experts(struct pass *p, const struct layer *l, const float *x) {
    const struct hyperparameters *h = &p->m->h;
    struct activations *a = p->a;
    size_t used = h->experts_used;
    bool at_input = l->plan.route_input;
    route(p, l, x);
    const int32_t *start = sort_places(p);
    p->ops->mix(p->d,
                &(struct mix){p->n * used, 1, h->hidden, a->from, at_input ? a->input_weight : NULL, x, a->gathered});
    run_experts(p, l, start);
    p->ops->mix(p->d, &(struct mix){p->n, used, h->hidden, a->place, at_input ? NULL : a->weight, a->given, a->branch});
    if (l->shared.up.w.rows) add_shared(p, l, x);
}
