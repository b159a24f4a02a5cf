// A model on its devices: weights in their forms, and what a pass needs beside them.
#include "base/buf.h"
#include "engine/ranks.h"
#include "engine/scores.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool cannot_lock(const struct checkpoint *c, uint64_t total, gyr_error *e) {
    return fail(e, GYR_NO_MEMORY,
                "%s: %.1f GB cannot be locked in memory: %s; raise the limit (ulimit -l) or leave it unlocked", c->path,
                (double)total / 1e9, strerror(errno));
}

// Reads the weights into the page cache, so that the first token does not wait for the disk, and so that a person sees
// how long loading takes. A hint: what cannot be read now is read when it is used.
static bool warm(const struct checkpoint *c, const gyr_model_options *o, uint64_t total, gyr_error *e) {
    const size_t step = (size_t)64 << 20, page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t done = 0;
    for (size_t i = 0; i < c->n_tensors; i++)
        for (size_t at = 0; at < c->tensors[i].bytes; at += step) {
            size_t left = c->tensors[i].bytes - at, n = left < step ? left : step;
            uintptr_t first = (uintptr_t)(c->tensors[i].data + at) / page * page;
            size_t size = (uintptr_t)(c->tensors[i].data + at) + n - first;
            if (o && o->lock && mlock((void *)first, size)) return cannot_lock(c, total, e);
#ifdef MADV_POPULATE_READ
            if (!o || !o->lock) madvise((void *)first, size, MADV_POPULATE_READ);
#endif
            done += n;
            if (o && o->progress && !o->progress(o->user, (double)done / (double)total))
                return fail(e, GYR_CANCELLED, "%s: loading was stopped", c->path);
        }
    return true;
}

static bool stopped(const struct gyr_model *m, gyr_error *e) {
    return fail(e, GYR_CANCELLED, "%s: loading was stopped", m->checkpoint->path);
}

// The device that has no memory of its own; NULL: they all have.
static struct device *host_of(const struct gyr_model *m) {
    for (uint32_t k = 0; k < m->on.sides; k++)
        if (!m->on.device[k]->ops->ready) return m->on.device[k];
    return NULL;
}

// The weights in the device's own form: in a file of the cache, or in memory, if that has room for them beside what
// else is there; as the model's file has them otherwise, read into the page cache.
static bool load(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    bool mapped = m->mapped;
    uint64_t tiles = model_tiled_bytes(m->model), total = m->model->weight_bytes, all, room;
    struct tiling how = {.mapped = mapped, .lock = o && o->lock, .looked_up = o && o->mapped};
    if (o) how.progress = o->progress, how.user = o->user;
    struct device *host = host_of(m);
    if (!model_ready(m->model, &how)) return stopped(m, e);
    if (!host || (o && o->mapped)) return true;
    host->ops->room(host, &all, &room);
    if (!tiles || tiles > room - room / 16)
        return !mapped || m->ranks || total > all || warm(m->checkpoint, o, total, e);
    m->kept = mapped && o && o->cache && m->on.sides == 1 && !m->spread ? kept_open(m) : NULL;
    how.rooms = kept_rooms(m->kept);
    switch (model_tile(m->model, &how)) {
    case TILED: kept_write(m->kept, m); return true;
    case TILED_NOT_LOCKED: return cannot_lock(m->checkpoint, total, e);
    default: return stopped(m, e);
    }
}

uint64_t model_own_bytes(const struct gyr_model *m) {
    uint64_t all = m->model->weight_bytes;
    return m->spread ? (uint64_t)((double)all * spread_own(m->spread)) : all;
}

static bool check_memory(const struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    for (uint32_t k = 0; k < m->on.sides; k++) {
        struct device *d = m->on.device[k];
        uint64_t total, available, need = m->weights[k];
        d->ops->room(d, &total, &available);
        if (need > total && !(o && o->oversize))
            return fail(e, GYR_NO_MEMORY,
                        "%s: the weights take %.1f GB and this machine has %.1f GB; choose a smaller type, or "
                        "--oversize to run from the disk",
                        m->checkpoint->path, (double)need / 1e9, (double)total / 1e9);
    }
    return true;
}

// Threads that choose tokens: those that the device leaves idle while nothing is computed.
static bool hire(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    if (m->workers) return true;
    for (uint32_t k = 0; k < m->on.sides && !m->workers; k++) {
        struct device *d = m->on.device[k];
        m->workers = d->ops->workers ? d->ops->workers(d) : NULL;
    }
    if (!m->workers) m->workers = m->own_workers = pool_new(o ? o->threads : 0, e);
    if (!m->workers) return false;
    m->samplers = calloc(pool_threads(m->workers), sizeof *m->samplers);
    return m->samplers ? model_samplers(m, 1) || fail_memory(e, "sampler") : fail_memory(e, "sampler");
}

size_t model_samplers(struct gyr_model *m, size_t want) {
    while (m->n_samplers < want && sampler_init(&m->samplers[m->n_samplers], m->model->h.vocab, NULL)) m->n_samplers++;
    return m->n_samplers;
}

// A state of layers that are other ranks' takes a float here: there is one.
static struct state_pool states_of(const struct model *m) {
    struct state_pool p = model_states(m);
    if (m->keeps_states && !state_pool_floats(&p)) p.floats[0] = 1;
    return p;
}

bool model_settle(struct gyr_model *m, const gyr_model_options *o, gyr_error *e) {
    for (uint32_t k = 0; k < m->on.sides; k++) m->weights[k] = model_side_weights(m->model, k);
    if (m->spread) m->weights[0] = model_own_bytes(m);
    if (!check_memory(m, o, e) || !hire(m, o, e) || !load(m, o, e)) return false;
    m->states = states_of(m->model);
    return (m->run = run_new(m->model, e)) && (!m->ranks || m->spread || run_join(m->run, m->ranks, e)) &&
           model_sync(m->model, e);
}

void model_unspread(struct gyr_model *m) {
    struct device *d = spread_free(m->spread);
    if (d) m->device = *m->on.device = d;
    m->spread = NULL;
}

void model_unsettle(struct gyr_model *m) {
    for (size_t i = 0; i < m->n_samplers; i++) sampler_free(&m->samplers[i]);
    free(m->samplers);
    pool_free(m->own_workers);
    for (int i = 0; i < KV_POOLS; i++) kv_cache_free(m->kv[i]);
    state_pool_free(&m->states);
    run_free(m->run);
    kept_close(m->kept);
    model_free(m->model);
    if (m->device) scores_free(m);
    model_unspread(m);
    for (uint32_t k = 0; k < m->on.sides; k++) m->on.device[k]->ops->close(m->on.device[k]);
}
