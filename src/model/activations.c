#include "model/activations.h"

#include <stdlib.h>

// Rows are capped so that a strange shape cannot ask for more than this: the sizes come from a file.
enum { MOST_ROWS = 256, MOST_LOGITS_ROWS = 16 };
static const size_t most_bytes = (size_t)1 << 30;

static size_t clamp_rows(size_t row_floats, size_t most) {
    size_t fit = most_bytes / (row_floats * sizeof(float));
    return fit < 1 ? 1 : fit > most ? most : fit;
}

struct activations *activations_new(const struct model *m, gyr_error *e) {
    const struct hyperparameters *h = &m->h;
    size_t q = (size_t)h->heads * h->head_dim, fused = q + 2 * (size_t)h->kv_heads * h->head_dim;
    size_t gated = m->family->gated ? 2 * (size_t)h->feed_forward : 0;
    size_t row = 3 * (size_t)h->hidden + fused + 2 * q + gated + h->feed_forward;
    struct activations *a = calloc(1, sizeof *a);
    if (!a) return fail_memory(e, m->checkpoint->path), NULL;
    a->rows = clamp_rows(row, MOST_ROWS);
    a->logits_rows = clamp_rows(h->vocab, MOST_LOGITS_ROWS);
    size_t floats = a->rows * row + a->logits_rows * h->vocab;
    a->memory = m->device->ops->alloc(m->device, floats * sizeof(float), e);
    a->at = calloc(a->rows, sizeof *a->at);
    a->tokens = calloc(a->rows, sizeof *a->tokens);
    if (!a->memory || !a->at || !a->tokens) {
        activations_free(a, m->device);
        return fail_memory(e, m->checkpoint->path), NULL;
    }
    struct {
        float **part;
        size_t floats;
    } cut[] = {
        {&a->x, a->rows * h->hidden},
        {&a->normed, a->rows * h->hidden},
        {&a->branch, a->rows * h->hidden},
        {&a->fused, a->rows * fused},
        {&a->q, a->rows * q},
        {&a->mixed, a->rows * q},
        {&a->gated, a->rows * gated},
        {&a->wide, a->rows * h->feed_forward},
        {&a->logits, a->logits_rows * h->vocab},
    };
    float *p = a->memory;
    for (size_t i = 0; i < sizeof cut / sizeof *cut; i++) {
        *cut[i].part = p;
        p += cut[i].floats;
    }
    return a;
}

void activations_free(struct activations *a, struct device *d) {
    if (!a) return;
    if (a->memory) d->ops->free(d, a->memory);
    free(a->at);
    free(a->tokens);
    free(a);
}
