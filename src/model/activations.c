#include "model/activations.h"

#include <stdlib.h>

// Rows are capped so that a strange shape cannot ask for more than this: the sizes come from a file.
enum { MOST_ROWS = 256, MOST_LOGITS_ROWS = 16 };
enum { MOST_TEXT = 2048 }; // rows of models that compute a whole text at once
static const size_t most_bytes = (size_t)1 << 30;

static size_t clamp_rows(size_t row_floats, size_t most) {
    size_t fit = most_bytes / (row_floats * sizeof(float));
    return fit < 1 ? 1 : fit > most ? most : fit;
}

static size_t most(size_t a, size_t b) { return a > b ? a : b; }

// Numbers of a row's expert places, on the device and on the host.
static bool alloc_places(struct activations *a, const struct model *m, gyr_error *e) {
    size_t places = a->rows * m->h.experts_used;
    if (!places) return true;
    a->expert = m->device->ops->alloc(m->device, 3 * places * sizeof *a->expert, e);
    a->host = calloc(4 * places + m->h.experts + 1, sizeof *a->host);
    a->host_weight = calloc(2 * places, sizeof *a->host_weight);
    if (!a->expert || !a->host || !a->host_weight) return false;
    a->from = a->expert + places;
    a->place = a->from + places;
    return true;
}

// The rows' own numbers.
static bool alloc_self(struct activations *a, const struct model *m, gyr_error *e) {
    size_t bytes = a->rows * sizeof *a->self;
    if (!m->h.temper_every) return true;
    if (!(a->self = m->device->ops->alloc(m->device, bytes, e))) return false;
    for (size_t r = 0; r < a->rows; r++) a->tokens[r] = (int32_t)r;
    m->device->ops->write(m->device, a->self, a->tokens, bytes);
    return true;
}

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
    float *chosen = NULL;
    size_t index_q = (size_t)h->index_heads * h->index_dim;
    if (!a) return fail_memory(e, m->checkpoint->path), NULL;
    struct {
        float **part;
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
        {&a->one_head, h->kv_latent},
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
        {&a->temper, h->temper_every ? 1 : 0},
        {&a->gated, need.gated ? 2 * wide : 0},
        {&a->wide, wide},
        {&a->router, 3 * (size_t)h->experts},
        {&a->weight, places},
        {&a->input_weight, places},
        {&a->gathered, places * h->hidden},
        {&a->given, places * h->hidden},
    };
    size_t row = 0, parts = sizeof cut / sizeof *cut;
    for (size_t i = 0; i < parts; i++) row += cut[i].floats;
    a->rows = clamp_rows(row, h->bidirectional ? most(MOST_ROWS, h->context < MOST_TEXT ? h->context : MOST_TEXT)
                                               : MOST_ROWS);
    a->logits_rows = clamp_rows(h->vocab, MOST_LOGITS_ROWS);
    size_t floats = a->rows * row + a->logits_rows * h->vocab;
    a->memory = m->device->ops->alloc(m->device, floats * sizeof(float), e);
    a->at = calloc(a->rows, sizeof *a->at);
    a->in_chunk = calloc(a->rows, sizeof *a->in_chunk);
    a->tokens = calloc(a->rows, sizeof *a->tokens);
    if (!a->memory || !a->at || !a->in_chunk || !a->tokens || !alloc_places(a, m, e) || !alloc_self(a, m, e)) {
        activations_free(a, m->device);
        return fail_memory(e, m->checkpoint->path), NULL;
    }
    float *p = a->memory;
    for (size_t i = 0; i < parts; p += a->rows * cut[i++].floats) *cut[i].part = p;
    a->logits = p;
    a->chosen = (int32_t *)(void *)chosen;
    return a;
}

void activations_free(struct activations *a, struct device *d) {
    if (!a) return;
    if (a->memory) d->ops->free(d, a->memory);
    if (a->expert) d->ops->free(d, a->expert);
    free(a->host);
    free(a->host_weight);
    if (a->self) d->ops->free(d, a->self);
    free(a->at);
    free(a->in_chunk);
    free(a->tokens);
    free(a);
}
