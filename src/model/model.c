#include "model/model.h"
#include "device/rope.h"
#include "model/activations.h"
#include "model/bind.h"
#include "model/traits.h"

#include <stdlib.h>

static float *new_table(struct model *m, const struct rope *r, bool far, const float *factors, size_t positions,
                        gyr_error *e) {
    const struct device_ops *ops = m->device->ops;
    size_t pairs = r->dim / 2, bytes = positions * pairs * 2 * sizeof(float);
    float scale, *frequency = malloc(pairs * sizeof *frequency), *host = malloc(bytes);
    float *table = frequency && host ? ops->alloc(m->device, bytes, e) : (fail_memory(e, "rotary positions"), NULL);
    if (table) {
        rope_angles(r, far, factors, frequency, &scale);
        rope_table(host, positions, pairs, frequency, scale);
        ops->write(m->device, table, host, bytes);
    }
    free(frequency);
    free(host);
    return table;
}

static void free_tables(struct model *m, const struct rope_tables *t) {
    if (t->all) m->device->ops->free(m->device, t->all);
    if (t->local) m->device->ops->free(m->device, t->local);
}

// Scratch for the scores of a few rows of that length.
static bool new_index_work(struct model *m, size_t positions, gyr_error *e) {
    static const size_t enough = (size_t)1 << 22;
    size_t room = positions < enough ? (enough / positions < 256 ? enough / positions : 256) * positions : positions;
    if (!m->h.kv_layers[KV_INDEX] || room <= m->index_room) return true;
    float *work = m->device->ops->alloc(m->device, room * sizeof *work, e);
    if (!work) return false;
    if (m->index_work) m->device->ops->free(m->device, m->index_work);
    m->index_work = work;
    m->index_room = room;
    return true;
}

bool model_cover(struct model *m, size_t positions, bool far, gyr_error *e) {
    const struct hyperparameters *h = &m->h;
    struct rope_tables *have = &m->rope[far], made = {.positions = have->positions ? have->positions : 512};
    if (!h->rope.dim || m->family->positions != POSITIONS_ROTARY || positions <= have->positions) return true;
    while (made.positions < positions) made.positions *= 2;
    if (!new_index_work(m, made.positions, e)) return false;
    made.all = new_table(m, &h->rope, far, m->rope_factors[far], made.positions, e);
    if (made.all && m->family->local_rope) made.local = new_table(m, &h->local_rope, far, NULL, made.positions, e);
    bool ok = made.all && (made.local || !m->family->local_rope);
    free_tables(m, ok ? have : &made);
    if (ok) *have = made;
    return ok;
}

static bool make_slopes(struct model *m, gyr_error *e) {
    size_t bytes = m->h.heads * sizeof(float);
    float *host = malloc(bytes);
    m->slopes = host ? m->device->ops->alloc(m->device, bytes, e) : NULL;
    if (m->slopes) {
        alibi_slopes(m->h.alibi_max, m->h.heads, m->family->alibi_bf16, host);
        for (uint32_t i = 0; !m->family->alibi_bf16 && i < m->h.heads; i++) host[i] /= m->h.attn_scale;
        m->device->ops->write(m->device, m->slopes, host, bytes);
    }
    free(host);
    return m->slopes || fail_memory(e, "ALiBi slopes");
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
    ops->unbind(m->device, &m->inputs.table.w);
    ops->unbind(m->device, &m->inputs.project.w);
    void *memory[] = {m->vectors, m->slopes, m->index_work};
    for (size_t k = 0; k < sizeof memory / sizeof *memory; k++)
        if (memory[k]) ops->free(m->device, memory[k]);
    for (size_t k = 0; k < 2; k++) {
        free_tables(m, &m->rope[k]);
        free(m->rope_factors[k]);
    }
    for (size_t i = 0; i < m->n_rewritten; i++) free(m->rewritten[i]);
    free(m->rewritten);
    activations_free(m->activations, m->device);
    state_pool_free(&m->states);
    free(m->layers);
    free(m);
}

static struct model *open_model(const struct family *f, const struct checkpoint *c, struct device *d, bool look_only,
                                gyr_error *e) {
    struct model *m = f ? calloc(1, sizeof *m) : NULL;
    if (!m) return f ? (fail_memory(e, c->path), NULL) : NULL;
    m->family = f;
    m->checkpoint = c;
    m->device = d;
    m->tied = true;
    m->pairs = c->source == CHECKPOINT_HF ? f->hf_pairs : f->gguf_pairs;
    m->index_pairs = f->index_pairs;
    m->slopes_bf16 = f->alibi_bf16;
    m->grouped = c->source == CHECKPOINT_HF && f->hf_grouped;
    if (!traits_compose(f, NULL, c, e) || !hyperparameters(f, c, &m->h, e) || !traits_compose(f, &m->h, c, e) ||
        !bind_model(m, look_only, e) || (!look_only && f->positions == POSITIONS_ALIBI && !make_slopes(m, e)) ||
        (!look_only && !(m->activations = activations_new(m, e)))) {
        model_free(m);
        return NULL;
    }
    if (m->h.bidirectional && m->activations && m->activations->rows < m->h.context)
        m->h.context = m->h.far_context = (uint32_t)m->activations->rows;
    m->states = (struct state_pool){.device = d, .floats = m->h.state_layers * recurrence_floats(&m->h.recurrence)};
    return m;
}

struct model *model_of(const struct family *f, const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(f, c, d, false, e);
}

struct model *model_new(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, d, false, e);
}

struct model *model_look(const struct checkpoint *c, struct device *d, gyr_error *e) {
    return open_model(family_find(c, e), c, d, true, e);
}
