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

struct activations *activations_new(const struct model *m, gyr_error *e) {
    const struct hyperparameters *h = &m->h;
    const struct recurrence *r = &h->recurrence;
    struct needs need = {0};
    for (uint32_t i = 0; i < h->layers; i++) add_needs(&need, &m->layers[i], h);
    size_t places = h->experts_used, wide = most(h->most_feed_forward, h->shared_feed_forward);
    wide = most(wide, places * h->expert_feed_forward);
    size_t narrow = most(most(h->q_latent, h->head_dim), most(h->key_plain, h->value));
    size_t ready = (size_t)h->heads * most(h->head_dim, h->value);
    struct activations *a = calloc(1, sizeof *a);
    dfloat *chosen = NULL, *expert = NULL, *two_places = NULL, *each_expert = NULL;
    size_t index_q = (size_t)h->index_heads * h->index_dim;
    if (!a) return fail_memory(e, m->checkpoint->path), NULL;
    struct {
        dfloat **part;
        size_t floats; // of a row
    } cut[] = {
        {&a->x, h->hidden},
        {&a->normed, h->hidden},
        {&a->branch, h->hidden},
        {&a->fused, need.fused},
        {&a->q, need.q},
        {&a->mixed, need.mixed},
        {&a->ready, h->kv_latent ? ready : 0},
        {&a->keys, h->kv_latent ? h->head_dim : 0},
        {&a->values, h->kv_latent},
        {&a->latent, h->kv_latent ? narrow : 0},
        {&a->one_head, h->kv_latent ? h->kv_latent + most(h->key_plain, h->value) : 0},
        {&a->index_q, index_q},
        {&a->index_ready, index_q},
        {&a->index_key, h->index_dim},
        {&a->index_weight, h->index_heads},
        {&chosen, h->index_most},
        {&a->projected, r->columns},
        {&a->convolved, r->channels},
        {&a->terms, r->rank ? r->rank + 2 * (size_t)r->size : 0},
        {&a->low, r->each ? r->size : r->rank},
        {&a->step, r->steps},
        {&a->beta, r->heads},
        {&a->key, (size_t)r->groups * r->size},
        {&a->query, (size_t)r->groups * r->size},
        {&a->gate, r->inner},
        {&a->given_back, r->inner},
        {&a->beside, need.beside},
        {&a->head_gate, need.head_gate},
        {&a->inputs, h->layers * (size_t)h->layer_input},
        {&a->looked_up, h->layers * (size_t)h->layer_input},
        {&a->let_through, 2 * (size_t)h->layer_input},
        {&a->gated, need.gated ? 2 * wide : 0},
        {&a->wide, wide},
        {&a->router, 3 * (size_t)h->experts},
        {&a->weight, places},
        {&expert, places},
        {&a->gathered, places * h->hidden},
        {&a->given, places * h->hidden},
        {&a->by, places},
        {&two_places, 2 * places},
        {&each_expert, h->experts}, // of which one row would do
    };
    size_t row = 0, parts = sizeof cut / sizeof *cut;
    for (size_t i = 0; i < parts; i++) row += cut[i].floats;
    a->rows = clamp_rows(row, most_bytes, m->device->ops->rows);
    a->wanted = clamp_rows(h->vocab, most_logits, a->rows);
    size_t floats = a->rows * row + a->wanted * h->vocab;
    dfloat *p = a->memory = m->device->ops->alloc(m->device, floats * sizeof(float), e);
    if (!p) {
        free(a);
        return NULL;
    }
    for (size_t i = 0; i < parts; p += a->rows * cut[i++].floats) *cut[i].part = p;
    a->logits = p;
    a->chosen = (dint *)(void *)chosen;
    a->expert = (dint *)(void *)expert;
    a->places = (dint *)(void *)two_places;
    return a;
}

void activations_free(struct activations *a, struct device *d) {
    if (!a) return;
    d->ops->free(d, a->memory);
    free(a);
}
