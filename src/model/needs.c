#include "model/needs.h"

#include "cluster/cards.h"
#include "device/count.h"
#include "model/bind.h"
#include "model/kv_cache.h"
#include "model/recurrence.h"
#include "model/run.h"

#include <stdlib.h>

struct sum {
    struct device *d;
    double bytes, whole; // whole: of those that cards that share rows have all of
};

static bool add(void *arg, struct weight *w) {
    struct sum *s = arg;
    size_t form = s->d->ops->form_bytes(s->d, w);
    double bytes = (double)(form ? form : w->rows * type_row_bytes(w->type, w->cols));
    s->bytes += bytes;
    s->whole += cards_have_whole(w) ? bytes : 0;
    return true;
}

void needs_weights(struct needs *n, struct model *m) {
    struct device *d = m->device;
    struct sum layers = {.d = d}, rest = {.d = d};
    for (uint32_t i = 0; i < m->h.layers; i++) layer_matrices(&m->layers[i], &m->h, add, &layers);
    if (m->inputs.project.w.rows) add(&rest, &m->inputs.project.w);
    if (m->output.rows) add(&rest, &m->output);
    const struct weight *tables[] = {&m->embedding, &m->positions, &m->types, &m->inputs.table.w};
    bool formed = m->output.rows && d->ops->form_bytes(d, &m->output);
    double products = layers.bytes + rest.bytes, looked_up = 0;
    *n = (struct needs){0};
    for (int i = 0; i < 4; i++) {
        bool shared = i == 0 && m->tied && m->output.rows;
        double bytes = (double)tables[i]->rows * (double)type_row_bytes(tables[i]->type, tables[i]->cols);
        looked_up += bytes;
        if (!tables[i]->rows || (shared && !formed)) continue;
        rest.bytes += bytes;
        if (!shared) n->tables += bytes;
    }
    n->whole = layers.whole + rest.whole + looked_up;
    n->split = products - layers.whole - rest.whole;
    n->layers = layers.bytes;
    n->rest = rest.bytes;
    n->parameters = m->parameters;
}

size_t needs_state(const struct model *m) { return m->h.state_layers * recurrence_floats(&m->h.recurrence); }

bool needs_count(struct needs *n, const struct checkpoint *c, const struct use *u, struct device *like, gyr_error *e) {
    struct device *d = device_count(like, u->rows, e);
    struct model *m = d ? model_hollow(c, d, e) : NULL;
    struct run *run = m ? run_new(m, e) : NULL;
    bool ok = run;
    if (ok) {
        struct kv_layout cache = kv_cache_layout(&m->h, kv_cache_wanted(m->type, u->kv_type));
        size_t slab = SLAB_PAGES * PAGE_TOKENS, slabs = u->tokens / slab + (u->tokens % slab != 0);
        needs_weights(n, m);
        n->cache = (double)kv_cache_bytes(cache, (uint64_t)slabs * slab);
        n->states = (double)u->sequences * (double)needs_state(m) * sizeof(float);
        n->work = (double)device_count_held(d);
    }
    run_free(run);
    model_free(m);
    if (d) d->ops->close(d);
    return ok;
}

static void share_layer(struct share_needs *n, struct model *m, uint32_t i, struct kv_layout cache, double tokens) {
    struct layer *l = &m->layers[i];
    struct layer_needs *to = &n->layer[i];
    struct hyperparameters others = m->h;
    struct sum all = {.d = m->device}, rest = {.d = m->device};
    others.experts = 0;
    layer_matrices(l, &m->h, add, &all);
    layer_matrices(l, &others, add, &rest);
    for (int k = 0; k < KV_KINDS; k++) cache.n[k] = 0;
    cache.n[l->plan.kind] += l->plan.attends && !l->plan.borrows;
    cache.n[KV_INDEX] += l->plan.indexes;
    *to = (struct layer_needs){rest.bytes, all.bytes - rest.bytes, (double)kv_cache_bytes(cache, PAGE_TOKENS) * tokens};
    n->mixtures += l->experts != NULL;
}

static double input_bytes(struct model *m) {
    const struct weight *tables[] = {&m->embedding, &m->positions, &m->types, &m->inputs.table.w};
    struct sum all = {.d = m->device};
    if (m->inputs.project.w.rows) add(&all, &m->inputs.project.w);
    for (int i = 0; i < 4; i++)
        if (tables[i]->rows)
            all.bytes += (double)tables[i]->rows * (double)type_row_bytes(tables[i]->type, tables[i]->cols);
    return all.bytes;
}

static bool share_model(struct share_needs *n, struct model *m, const struct use *u) {
    size_t slab = SLAB_PAGES * PAGE_TOKENS, slabs = u->tokens / slab + (u->tokens % slab != 0);
    struct kv_layout cache = kv_cache_layout(&m->h, kv_cache_wanted(m->type, u->kv_type));
    double state = (double)recurrence_floats(&m->h.recurrence) * sizeof(float) * (double)u->sequences;
    struct sum output = {.d = m->device};
    if (m->family->encoder || m->h.bidirectional) return true;
    n->layers = m->h.layers;
    n->layer = calloc(n->layers, sizeof *n->layer);
    n->may = calloc(n->layers + 1, sizeof *n->may);
    if (!n->layer || !n->may) return false;
    cut_places(m, n->may);
    for (uint32_t i = 0; i < n->layers; i++) {
        share_layer(n, m, i, cache, (double)(slabs * SLAB_PAGES));
        if (m->layers[i].plan.recurs) n->layer[i].kept += state;
    }
    if (m->output.rows) add(&output, &m->output);
    n->output = output.bytes;
    n->input = input_bytes(m);
    return true;
}

bool needs_share(struct share_needs *n, const struct checkpoint *c, const struct use *u, struct device *like,
                 gyr_error *e) {
    struct device *d = device_count(like, u->rows, e);
    struct model *m = d ? model_hollow(c, d, e) : NULL;
    struct run *run = m ? run_new(m, e) : NULL;
    *n = (struct share_needs){0};
    bool ok = run && (share_model(n, m, u) || fail_memory(e, c->path));
    if (ok) n->work = (double)device_count_held(d);
    run_free(run);
    model_free(m);
    if (d) d->ops->close(d);
    return ok;
}

void needs_share_free(struct share_needs *n) {
    free(n->layer);
    free(n->may);
}

double needs_of_layers(const struct share_needs *n, uint32_t from, uint32_t end, uint32_t experts) {
    double all = n->work + (end == n->layers ? n->output : 0);
    for (uint32_t i = from; i < end; i++)
        all += n->layer[i].weights + n->layer[i].kept + (i < experts ? 0 : n->layer[i].experts);
    return all;
}

double needs_bytes(const struct needs *n) { return n->layers + n->rest + n->cache + n->states + n->work; }
