#include "model/sharing.h"
#include "model/bind.h"

#include <stdlib.h>

static bool refuse(const struct model *m, const char *what, gyr_error *e) {
    return fail(e, GYR_UNSUPPORTED, "%s: %s cannot be shared out among devices; keep it on one", m->checkpoint->path,
                what);
}

bool sharing_fits(struct model *m, gyr_error *e) {
    struct homes *on = &m->on;
    on->from[on->sides] = m->h.layers;
    if (on->sides == 1) return true;
    if (m->family->encoder || m->h.bidirectional) return refuse(m, "a model whose tokens see those after them", e);
    bool *may = calloc(m->h.layers + 1, sizeof *may);
    if (!may) return fail_memory(e, m->checkpoint->path);
    cut_places(m, may);
    bool ok = true;
    for (uint32_t k = 1; ok && k < on->sides; k++)
        ok = (on->from[k] >= on->from[k - 1] && on->from[k] < m->h.layers && may[on->from[k]]) ||
             fail(e, GYR_USAGE, "%s: cannot be cut before layer %u of %u; choose another number of layers",
                  m->checkpoint->path, on->from[k], m->h.layers);
    free(may);
    return ok;
}

bool model_sync(const struct model *m, gyr_error *e) {
    gyr_error first = {0}, later;
    for (uint32_t k = 0; k < m->on.sides; k++)
        m->on.device[k]->ops->sync(m->on.device[k], first.status ? &later : &first);
    return !first.status || fail(e, first.status, "%s", first.message);
}

struct kv_cache *model_cache(const struct model *m, enum type type, gyr_error *e) {
    struct kv_layout layout = kv_cache_layout(&m->h, type);
    size_t n = 0;
    for (int k = 0; k < KV_KINDS; k++) n += layout.n[k];
    uint8_t *side = calloc(n + 1, sizeof *side);
    if (!side) return fail_memory(e, "KV cache"), NULL;
    for (uint32_t i = m->first; i < m->end; i++) {
        const struct layer *l = &m->layers[i];
        if (l->plan.attends && !l->plan.borrows) side[l->plan.cache] = (uint8_t)l->side;
        if (l->plan.indexes) side[l->plan.index] = (uint8_t)l->side;
    }
    struct kv_cache *kv = kv_cache_on(m->on.device, m->on.sides, side, layout, e);
    free(side);
    return kv;
}

struct state_pool model_states(const struct model *m) {
    struct state_pool p = {.sides = m->on.sides};
    for (uint32_t k = 0; k < m->on.sides; k++) p.device[k] = m->on.device[k];
    for (uint32_t i = m->first; i < m->end; i++)
        if (m->layers[i].plan.recurs) p.floats[m->layers[i].side] += recurrence_floats(&m->h.recurrence);
    return p;
}

uint64_t model_side_page(const struct model *m, uint32_t side, enum type type) {
    struct kv_layout layout = kv_cache_layout(&m->h, type);
    for (int k = 0; k < KV_KINDS; k++) layout.n[k] = 0;
    for (uint32_t i = m->first; i < m->end; i++) {
        const struct layer *l = &m->layers[i];
        if (l->side != side) continue;
        layout.n[l->plan.kind] += l->plan.attends && !l->plan.borrows;
        layout.n[KV_INDEX] += l->plan.indexes;
    }
    return kv_cache_bytes(layout, PAGE_TOKENS);
}

struct sum {
    const struct device *on;
    uint64_t bytes;
};

static bool add(void *arg, struct weight *w) {
    struct sum *s = arg;
    if (w->rows && w->on == s->on) s->bytes += w->rows * type_row_bytes(w->type, w->cols);
    return true;
}

uint64_t model_side_weights(struct model *m, uint32_t side) {
    struct sum s = {m->on.device[side], 0};
    if (m->on.sides == 1) return m->weight_bytes;
    for (uint32_t i = 0; i < m->h.layers; i++) layer_matrices(&m->layers[i], &m->h, add, &s);
    struct weight *others[] = {&m->output, &m->embedding, &m->positions, &m->inputs.table.w, &m->inputs.project.w};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) add(&s, others[i]);
    return s.bytes;
}

// ------------------------------------------------------------------------------- crossing

static bool make_room(struct crossing *c, size_t floats) {
    if (floats <= c->room) return true;
    float *more = realloc(c->host, floats * sizeof *more);
    if (!more) return fail_memory(&c->failed, "batch");
    c->host = more;
    c->room = floats;
    return true;
}

bool cross(struct crossing *c, struct device *from, struct device *to, const struct carried *list, size_t n) {
    size_t all = 0, at = 0;
    for (size_t i = 0; i < n; i++) all += list[i].n;
    if (c->failed.status || !make_room(c, all)) return false;
    for (size_t i = 0; i < n; at += list[i++].n)
        from->ops->read(from, c->host + at, list[i].from, list[i].n * sizeof(float));
    if (!from->ops->sync(from, &c->failed)) return false;
    at = 0;
    for (size_t i = 0; i < n; at += list[i++].n)
        to->ops->write(to, list[i].to, c->host + at, list[i].n * sizeof(float));
    return true;
}
