#include "model/model.h"
#include "model/adapt.h"
#include "model/bind.h"
#include "model/traits.h"

#include <stdlib.h>

static bool make_slopes(struct model *m, gyr_error *e) {
    size_t bytes = m->h.heads * sizeof(float);
    float *host = malloc(bytes);
    bool ok = host || fail_memory(e, "ALiBi slopes");
    if (ok) alibi_slopes(m->h.alibi_max, m->h.heads, m->family->attention.alibi_bf16, host);
    for (uint32_t i = 0; ok && !m->family->attention.alibi_bf16 && i < m->h.heads; i++) host[i] /= m->h.attn_scale;
    for (uint32_t k = 0; ok && k < m->on.sides; k++) {
        struct device *d = m->on.device[k];
        m->slopes[k] = d->ops->alloc(d, bytes, e);
        if ((ok = m->slopes[k])) d->ops->write(d, m->slopes[k], host, bytes);
    }
    free(host);
    return ok;
}

static bool unbind_one(void *arg, struct weight *w) {
    weight_unbind(w);
    return true;
}

void model_free(struct model *m) {
    if (!m) return;
    for (uint32_t i = 0; m->layers && i < m->h.layers; i++) {
        layer_matrices(&m->layers[i], &m->h, unbind_one, NULL);
        free(m->layers[i].experts);
        free(m->layers[i].k_b);
        free(m->layers[i].v_b);
    }
    struct weight *others[] = {&m->output, &m->embedding,      &m->positions,
                               &m->types,  &m->inputs.table.w, &m->inputs.project.w};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) weight_unbind(others[i]);
    for (int i = 0; i < MAX_DENSE; i++) weight_unbind(&m->dense[i].w);
    for (uint32_t k = 0; k < m->on.sides; k++) {
        struct device *d = m->on.device[k];
        if (m->vectors[k]) d->ops->free(d, m->vectors[k]);
        if (m->slopes[k]) d->ops->free(d, m->slopes[k]);
    }
    for (size_t k = 0; k < 2; k++) free(m->rope_factors[k]);
    for (size_t i = 0; i < m->n_rewritten; i++) free(m->rewritten[i]);
    free(m->rewritten);
    free(m->layers);
    free(m);
}

enum depth { WHOLE, HOLLOW, LOOK };

// All of it on one device: no layers before the first, and none behind the last, whose number is not known yet.
#define ALONE(d) ((struct homes){.device = {d}, .sides = 1, .from = {0, UINT32_MAX}})

static struct model *open_model(const struct family *f, const struct checkpoint *c, const struct homes *on,
                                enum depth depth, const struct cut *cut, gyr_error *e) {
    struct model *m = f ? calloc(1, sizeof *m) : NULL;
    if (!m) return f ? (fail_memory(e, c->path), NULL) : NULL;
    m->family = f;
    m->checkpoint = c;
    m->on = *on;
    m->device = on->device[on->sides - 1];
    m->tied = true;
    m->hollow = depth == HOLLOW;
    m->pairs = c->source == CHECKPOINT_HF ? f->rope.hf_pairs : f->rope.gguf_pairs;
    m->index_pairs = f->latent.index_pairs;
    m->slopes_bf16 = f->attention.alibi_bf16;
    m->grouped = c->source == CHECKPOINT_HF && f->attention.hf_grouped;
    if (!traits_compose(f, NULL, c, e) || !hyperparameters(f, c, &m->h, e) || !traits_compose(f, &m->h, c, e) ||
        !bind_model(m, depth == LOOK, cut, e) ||
        (depth != LOOK && f->positions == POSITIONS_ALIBI && !make_slopes(m, e))) {
        model_free(m);
        return NULL;
    }
    adapt_number(m);
    return m;
}

struct model *model_of(const struct family *f, const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(f, c, &ALONE(d), WHOLE, NULL, e);
}

struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, &ALONE(d), WHOLE, NULL, e);
}

struct model *model_shared(const struct checkpoint *c, const struct homes *on, gyr_error *e) {
    return open_model(family_find(c, e), c, on, WHOLE, NULL, e);
}

struct model *model_part(const struct checkpoint *c, struct device *d, const struct cut *cut, gyr_error *e) {
    return open_model(family_find(c, e), c, &ALONE(d), WHOLE, cut, e);
}

struct model *model_hollow(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, &ALONE(d), HOLLOW, NULL, e);
}

struct model *model_look(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, &ALONE(d), LOOK, NULL, e);
}
