// A model's matrices in the form that the device's products are fastest with.
#include "base/map.h"
#include "model/model.h"

#include <sys/mman.h>

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
    struct linear *all[] = {&l->qkv,           &l->q,    &l->k,   &l->v,    &l->attn_out,
                            &l->gate_up,       &l->gate, &l->up,  &l->down, &l->router,
                            &l->shared_router, &l->q_a,  &l->kv_a};
    struct recurrent *s = &l->state;
    struct linear *states[] = {&s->in, &s->gate, &s->alpha, &s->beta, &s->x, &s->dt, &s->out};
    if (!each(states, sizeof states / sizeof *states, fn, arg)) return false;
    if (!each(all, sizeof all / sizeof *all, fn, arg) || !expert_matrices(&l->shared, fn, arg)) return false;
    for (size_t i = 0; l->experts && i < h->experts; i++)
        if (!expert_matrices(&l->experts[i], fn, arg)) return false;
    for (size_t i = 0; l->k_b && l->v_b && i < h->heads; i++)
        if (!each((struct linear *[]){&l->k_b[i], &l->v_b[i]}, 2, fn, arg)) return false;
    return true;
}

// The same for a whole model. The embedding is only looked up.
static bool each_matrix(struct model *m, matrix_fn *fn, void *arg) {
    for (uint32_t i = 0; i < m->h.layers; i++)
        if (!layer_matrices(&m->layers[i], &m->h, fn, arg)) return false;
    return fn(arg, &m->output);
}

struct sizes {
    struct device *device;
    uint64_t bytes;
};

static bool add_size(void *arg, struct weight *w) {
    struct sizes *s = arg;
    s->bytes += s->device->ops->tiled_bytes(s->device, w);
    return true;
}

uint64_t model_tiled_bytes(struct model *m) {
    struct sizes s = {m->device, 0};
    if (m->device->ops->tile) each_matrix(m, add_size, &s);
    return s.bytes;
}

struct tiler {
    struct model *m;
    const struct tiling *how;
    uint64_t done, all;
    enum tiled result;
};

static bool tile_one(void *arg, struct weight *w) {
    struct tiler *t = arg;
    struct device *d = t->m->device;
    const struct tiling *how = t->how;
    size_t bytes = d->ops->tiled_bytes(d, w), source = w->rows * type_row_bytes(w->type, w->cols);
    if (how->mapped) map_want(w->data, source);
    if (!d->ops->tile(d, w, NULL)) return true;
    if (how->lock && mlock(w->own, bytes)) t->result = TILED_NOT_LOCKED;
    // What the tiles came from is not read again, except by the embedding's look-ups.
    if (how->mapped && w->data != t->m->embedding.data) map_forget(w->data, source);
    t->done += bytes;
    if (t->result == TILED && how->progress && !how->progress(how->user, (double)t->done / (double)t->all))
        t->result = TILED_STOPPED;
    return t->result == TILED;
}

enum tiled model_tile(struct model *m, const struct tiling *how) {
    struct tiler t = {m, how, .all = model_tiled_bytes(m)};
    if (t.all) each_matrix(m, tile_one, &t);
    return t.result;
}
