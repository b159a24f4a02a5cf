// A model's matrices in the form that the device's products are fastest with.
#include "base/buf.h"
#include "base/map.h"
#include "model/model.h"

#include <stdlib.h>

static bool each(struct linear *const all[], size_t n, matrix_fn *fn, void *arg) {
    for (size_t i = 0; i < n; i++)
        if (all[i]->w.rows && !fn(arg, &all[i]->w)) return false;
    return true;
}

static bool expert_matrices(struct expert *x, matrix_fn *fn, void *arg) {
    struct linear *all[] = {&x->gate, &x->up, &x->down};
    return each(all, sizeof all / sizeof *all, fn, arg);
}

bool layer_matrices(struct layer *l, const struct hyperparameters *h, matrix_fn *fn, void *arg) {
    struct linear *all[] = {&l->qkv,           &l->q,          &l->k,        &l->v,       &l->attn_out,
                            &l->gate_up,       &l->gate,       &l->up,       &l->down,    &l->router,
                            &l->shared_router, &l->q_a,        &l->kv_a,     &l->index_q, &l->index_k,
                            &l->index_weight,  &l->input_gate, &l->input_out};
    struct recurrent *s = &l->state;
    struct linear *states[] = {&s->in,  &s->gate, &s->alpha, &s->beta, &s->x,       &s->dt,
                               &s->out, &s->q,    &s->k,     &s->low,  &s->gate_low};
    if (!each(states, sizeof states / sizeof *states, fn, arg)) return false;
    if (!each(all, sizeof all / sizeof *all, fn, arg) || !expert_matrices(&l->shared, fn, arg)) return false;
    for (size_t i = 0; l->experts && i < h->experts; i++)
        if (!expert_matrices(&l->experts[i], fn, arg)) return false;
    for (size_t i = 0; l->k_b && l->v_b && i < h->heads; i++)
        if (!each((struct linear *[]){&l->k_b[i], &l->v_b[i]}, 2, fn, arg)) return false;
    return true;
}

// The same for a whole model. The embedding, and the table of per-layer inputs, are only looked up.
static bool each_matrix(struct model *m, matrix_fn *fn, void *arg) {
    for (uint32_t i = 0; i < m->h.layers; i++)
        if (!layer_matrices(&m->layers[i], &m->h, fn, arg)) return false;
    return (!m->inputs.project.w.rows || fn(arg, &m->inputs.project.w)) && (!m->output.rows || fn(arg, &m->output));
}

struct list {
    struct weight **all;
    size_t n, room;
};

static bool add_matrix(void *arg, struct weight *w) {
    struct list *l = arg;
    if (!ARRAY_GROW(l->all, l->n, l->room)) return false;
    l->all[l->n++] = w;
    return true;
}

struct weight **model_matrices(struct model *m, size_t *n) {
    struct list l = {0};
    bool ok = each_matrix(m, add_matrix, &l);
    *n = l.n;
    if (ok) return l.all;
    free(l.all);
    return NULL;
}

// A device with memory of its own, which has ready(), writes its form when it is told to.
static size_t form_bytes(const struct weight *w) { return w->on->ops->ready ? 0 : w->on->ops->form_bytes(w->on, w); }

uint64_t model_tiled_bytes(struct model *m) {
    size_t n;
    uint64_t bytes = 0;
    struct weight **all = model_matrices(m, &n);
    for (size_t i = 0; all && i < n; i++) bytes += form_bytes(all[i]);
    free(all);
    return bytes;
}

// What the tiles came from is not read again, except by the embedding's look-ups.
static void tile(struct model *m, struct weight *w, const struct tiling *how) {
    size_t source = w->rows * type_row_bytes(w->type, w->cols);
    if (!form_bytes(w)) return; // another rank has it
    if (how->mapped) map_want(w->data, source);
    if (w->on->ops->form_make(w->on, w) && how->mapped && w->data != m->embedding.data) map_forget(w->data, source);
}

static void take(struct weight *w, void *room, size_t bytes) {
    if (w->on->ops->form_take(w->on, w, room)) map_read(room, bytes);
}

enum tiled model_tile(struct model *m, const struct tiling *how) {
    size_t n;
    uint64_t done = 0, all = model_tiled_bytes(m);
    struct weight **w = all ? model_matrices(m, &n) : NULL;
    enum tiled result = TILED;
    for (size_t i = 0; w && i < n && result == TILED; i++) {
        size_t bytes = form_bytes(w[i]);
        if (w[i]->on->ops->ready) continue;
        if (how->rooms)
            take(w[i], how->rooms[i], bytes);
        else
            tile(m, w[i], how);
        done += bytes;
        if (how->lock && !w[i]->on->ops->form_lock(w[i]->on, w[i])) result = TILED_NOT_LOCKED;
        if (how->progress && !how->progress(how->user, (double)done / (double)all)) result = TILED_STOPPED;
    }
    free(w);
    return result;
}

// Whether to go on.
static bool make_ready(const struct weight *w, bool looked_up, const struct tiling *how, uint64_t all, uint64_t *done) {
    if (!w->rows || !w->on->ops->ready) return true;
    w->on->ops->ready(w->on, w, looked_up);
    *done += w->rows * type_row_bytes(w->type, w->cols);
    return !how->progress || how->progress(how->user, *done < all ? (double)*done / (double)all : 1);
}

bool model_ready(struct model *m, const struct tiling *how) {
    const struct weight *tables[] = {&m->embedding, &m->positions, &m->types, &m->inputs.table.w};
    size_t n = 0;
    uint64_t done = 0, all = m->weight_bytes;
    struct weight **w = model_matrices(m, &n);
    bool go_on = true;
    for (size_t i = 0; i < sizeof tables / sizeof *tables && go_on; i++)
        go_on = make_ready(tables[i], true, how, all, &done);
    for (size_t i = 0; w && i < n && go_on; i++) go_on = make_ready(w[i], how->looked_up, how, all, &done);
    free(w);
    return go_on;
}
