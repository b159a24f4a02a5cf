#include "model/activations.h"

#include <stdlib.h>

// Rows are capped so that a strange shape cannot ask for more than this: the sizes come from a file.
static const size_t most_bytes = (size_t)1 << 30, most_logits = (size_t)1 << 28;

static size_t clamp_rows(size_t row_floats, size_t bytes, size_t most) {
    size_t fit = bytes / (row_floats * sizeof(float));
    return fit < 1 ? 1 : fit > most ? most : fit;
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

// The most that any layer needs of a part, in floats of a row.
struct needs {
    size_t fused, q, mixed, head_gate, gated, beside;
};

static void add_needs(struct needs *n, const struct layer *l, const struct hyperparameters *h) {
    const struct layer_plan *p = &l->plan;
    size_t q = (size_t)h->heads * p->heads.head_dim, kv = (size_t)p->heads.kv_heads * p->heads.head_dim;
    size_t fused = p->latent ? (size_t)h->heads * (h->key_plain + h->rope.dim) : q + 2 * kv;
    size_t mixed = (size_t)h->heads * most(h->value_dim, p->heads.head_dim);
    bool gates = l->gate.w.rows || l->gate_up.w.rows || l->router.w.rows;
    if (p->feed == FEED_BOTH || (p->attends && p->recurs)) n->beside = h->hidden;
    if (gates) n->gated = 1;
    if (!p->attends) return;
    if (p->gates_heads) n->head_gate = most(n->head_gate, q);
    n->fused = most(n->fused, p->gates_heads ? fused + q : fused);
    if (p->tempered) n->fused = most(n->fused, q);
    n->q = most(n->q, q);
    n->mixed = most(n->mixed, mixed);
}

// Floats of a row of all parts; where there is memory, it is cut up among them.
static size_t cut_up(const struct model *m, struct activations *a, dfloat *memory) {
    const struct hyperparameters *h = &m->h;
    const struct recurrence *r = &h->recurrence;
    struct needs need = {0};
    for (uint32_t i = 0; i < h->layers; i++) add_needs(&need, &m->layers[i], h);
    size_t places = h->experts_used, wide = most(h->most_feed_forward, h->shared_feed_forward);
    wide = most(wide, places * h->expert_feed_forward);
    size_t narrow = most(most(h->q_latent, h->head_dim), most(h->key_plain, h->value));
    size_t ready = (size_t)h->heads * most(h->head_dim, h->value), index_q = (size_t)h->index_heads * h->index_dim;
    dfloat *chosen, *expert, *two_places, *each_expert;
    struct activations to = a ? *a : (struct activations){0};
    struct {
        dfloat **part;
        size_t floats; // of a row
    } cut[] = {
        {&to.x, h->hidden},
        {&to.normed, h->hidden},
        {&to.branch, h->hidden},
        {&to.fused, need.fused},
        {&to.q, need.q},
        {&to.mixed, need.mixed},
        {&to.ready, h->kv_latent ? ready : 0},
        {&to.keys, h->kv_latent ? h->head_dim : 0},
        {&to.values, h->kv_latent},
        {&to.latent, h->kv_latent ? narrow : 0},
        {&to.one_head, h->kv_latent ? h->kv_latent + most(h->key_plain, h->value) : 0},
        {&to.index_q, index_q},
        {&to.index_ready, index_q},
        {&to.index_key, h->index_dim},
        {&to.index_weight, h->index_heads},
        {&chosen, h->index_most},
        {&to.projected, r->columns},
        {&to.convolved, r->channels},
        {&to.terms, r->rank ? r->rank + 2 * (size_t)r->size : 0},
        {&to.low, r->each ? r->size : r->rank},
        {&to.step, r->steps},
        {&to.beta, r->heads},
        {&to.key, (size_t)r->groups * r->size},
        {&to.query, (size_t)r->groups * r->size},
        {&to.gate, r->inner},
        {&to.given_back, r->inner},
        {&to.beside, need.beside},
        {&to.head_gate, need.head_gate},
        {&to.inputs, h->layers * (size_t)h->layer_input},
        {&to.looked_up, h->layers * (size_t)h->layer_input},
        {&to.let_through, 2 * (size_t)h->layer_input},
        {&to.gated, need.gated ? 2 * wide : 0},
        {&to.wide, wide},
        {&to.router, 3 * (size_t)h->experts},
        {&to.weight, places},
        {&expert, places},
        {&to.gathered, places * h->hidden},
        {&to.given, places * h->hidden},
        {&to.by, places},
        {&two_places, 2 * places},
        {&each_expert, h->experts}, // of which one row would do
    };
    size_t row = 0;
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        if (memory) *cut[i].part = memory + row * to.rows;
        row += cut[i].floats;
    }
    if (!memory) return row;
    to.logits = memory + row * to.rows;
    to.chosen = (dint *)(void *)chosen;
    to.expert = (dint *)(void *)expert;
    to.places = (dint *)(void *)two_places;
    *a = to;
    return row;
}

struct activations *activations_new(const struct model *m, uint32_t side, gyr_error *e) {
    struct device *d = m->on.device[side];
    size_t row = cut_up(m, NULL, NULL);
    struct activations *a = calloc(1, sizeof *a);
    if (!a) return fail_memory(e, m->checkpoint->path), NULL;
    a->rows = clamp_rows(row, most_bytes, d->ops->rows);
    a->wanted = clamp_rows(m->h.vocab, most_logits, a->rows);
    bool gives = side + 1 == m->on.sides && !m->family->encoder;
    size_t logits = !gives ? 0 : a->wanted * m->h.vocab;
    a->memory = d->ops->alloc(d, (a->rows * row + logits) * sizeof(float), e);
    if (!a->memory) {
        free(a);
        return NULL;
    }
    cut_up(m, a, a->memory);
    return a;
}

void activations_free(struct activations *a, struct device *d) {
    if (!a) return;
    d->ops->free(d, a->memory);
    free(a);
}
