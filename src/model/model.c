#include "model/model.h"
#include "model/adapt.h"
#include "model/bind.h"
#include "model/traits.h"

#include <stdlib.h>

static bool make_slopes(struct model *m, gyr_error *e) {
    size_t bytes = m->h.heads * sizeof(float);
    float *host = malloc(bytes);
    m->slopes = host ? m->device->ops->alloc(m->device, bytes, e) : (fail_memory(e, "ALiBi slopes"), NULL);
    if (m->slopes) {
        alibi_slopes(m->h.alibi_max, m->h.heads, m->family->attention.alibi_bf16, host);
        for (uint32_t i = 0; !m->family->attention.alibi_bf16 && i < m->h.heads; i++) host[i] /= m->h.attn_scale;
        m->device->ops->write(m->device, m->slopes, host, bytes);
    }
    free(host);
    return m->slopes;
}

static bool unbind_one(void *arg, struct weight *w) {
    struct model *m = arg;
    m->device->ops->unbind(m->device, w);
    return true;
}

void model_free(struct model *m) {
    if (!m) return;
    const struct device_ops *ops = m->device->ops;
    for (uint32_t i = 0; m->layers && i < m->h.layers; i++) {
        layer_matrices(&m->layers[i], &m->h, unbind_one, m);
        free(m->layers[i].experts);
        free(m->layers[i].k_b);
        free(m->layers[i].v_b);
    }
    ops->unbind(m->device, &m->output);
    ops->unbind(m->device, &m->embedding);
    ops->unbind(m->device, &m->positions);
    ops->unbind(m->device, &m->types);
    for (int i = 0; i < MAX_DENSE; i++) ops->unbind(m->device, &m->dense[i].w);
    ops->unbind(m->device, &m->inputs.table.w);
    ops->unbind(m->device, &m->inputs.project.w);
    if (m->vectors) ops->free(m->device, m->vectors);
    if (m->slopes) ops->free(m->device, m->slopes);
    for (size_t k = 0; k < 2; k++) free(m->rope_factors[k]);
    for (size_t i = 0; i < m->n_rewritten; i++) free(m->rewritten[i]);
    free(m->rewritten);
    free(m->layers);
    free(m);
}

enum depth { WHOLE, HOLLOW, LOOK };

static struct model *open_model(const struct family *f, const struct checkpoint *c, struct device *d, enum depth depth,
                                const struct cut *cut, gyr_error *e) {
    struct model *m = f ? calloc(1, sizeof *m) : NULL;
    if (!m) return f ? (fail_memory(e, c->path), NULL) : NULL;
    m->family = f;
    m->checkpoint = c;
    m->device = d;
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
    return open_model(f, c, d, WHOLE, NULL, e);
}

struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, d, WHOLE, NULL, e);
}

struct model *model_part(const struct checkpoint *c, struct device *d, const struct cut *cut, gyr_error *e) {
    return open_model(family_find(c, e), c, d, WHOLE, cut, e);
}

struct model *model_hollow(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, d, HOLLOW, NULL, e);
}

struct model *model_look(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, d, LOOK, NULL, e);
}
