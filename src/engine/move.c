// An open model is put on another device, with its sessions and adapters.
#include "engine/adapter.h"
#include "engine/place.h"
#include "engine/scores.h"

#include <stdlib.h>

// The same model there: nothing of it is the sessions' yet.
static bool settle_there(struct gyr_model *to, const struct gyr_model *m, const char *device, uint64_t avoid,
                         gyr_error *e) {
    gyr_model_options o = m->options;
    o.device = device;
    o.gpu_layers = 0;
    o.cpu_experts = false;
    *to = (struct gyr_model){.checkpoint = m->checkpoint, .mapped = m->mapped, .placement.avoid = avoid};
    if (!place_is_allowed(&o, false, m->checkpoint->path, e)) return false;
    bool ok = place_is_open(&o) ? place_model(&to->placement, &to->on, m->checkpoint, &o, e)
                                : place_named(&to->placement, &to->on, m->checkpoint, &o, false, e);
    to->device = to->on.sides ? to->on.device[to->on.sides - 1] : NULL;
    return ok && (to->model = model_shared(m->checkpoint, &to->on, e)) && model_settle(to, &o, e);
}

static bool make_pools(struct gyr_model *to, const struct gyr_model *m, gyr_error *e) {
    for (int i = 0; i < KV_POOLS; i++) {
        if (!m->kv[i]) continue;
        to->kv[i] = model_cache(to->model, m->kv[i]->layout.shape[KV_USUAL].type, e);
        if (!to->kv[i]) return false;
        to->kv[i]->far = m->kv[i]->far;
    }
    return true;
}

// Of each adapter of the list, one for the model there; all of them, or none.
static struct adapter **bind_again(const struct gyr_model *to, const struct gyr_model *m, gyr_error *e) {
    size_t n = 0, i = 0;
    for (const struct gyr_adapter *a = m->adapters; a; a = a->next) n++;
    struct adapter **all = calloc(n + 1, sizeof(*all));
    bool ok = all || fail_memory(e, "adapters");
    for (const struct gyr_adapter *a = m->adapters; ok && a; a = a->next) ok = (all[i++] = adapter_again(a, to, e));
    if (ok && model_sync(to->model, e)) return all;
    for (i = 0; all && i < n; i++) adapter_free(all[i]);
    free(all);
    return NULL;
}

// What the old devices have of a session is let go. Its tokens and scores are the host's.
static void let_go(struct gyr_session *s, const struct gyr_model *from, const struct gyr_model *to) {
    int i = 0;
    while (from->kv[i] != s->kv) i++;
    session_keep_scores(s);
    kv_cache_trim(s->kv, &s->pages, 0);
    state_pool_give(&s->model->states, s->state);
    s->state = NULL;
    s->known = 0;
    s->lost = s->length;
    s->kv = to->kv[i];
}

// All that belongs to devices changes places.
static void swap(struct gyr_model *m, struct gyr_model *to) {
    const struct gyr_model old = *m;
#define SWAP(member) (m->member = to->member, to->member = old.member)
    SWAP(on), SWAP(device), SWAP(placement), SWAP(model), SWAP(run), SWAP(states), SWAP(scores);
    SWAP(workers), SWAP(own_workers), SWAP(samplers), SWAP(n_samplers), SWAP(kept);
#undef SWAP
    for (int i = 0; i < KV_POOLS; i++) {
        m->kv[i] = to->kv[i];
        to->kv[i] = old.kv[i];
    }
    for (int i = 0; i < MAX_SIDES; i++) m->weights[i] = to->weights[i];
}

// Cards that are not to have the model once more: of those that have it now the ones that are lost, which say so each
// time that they are asked; where none does, all of them.
static uint64_t worn(const struct gyr_model *m) {
    uint64_t left = m->placement.taken, lost = 0;
    for (uint32_t k = 0; k < m->on.sides; k++) {
        struct device *d = m->on.device[k], *const *list = &d;
        size_t n = 1;
        gyr_error said;
        if (!d->ops->ready) continue; // the CPU
        if (d->ops->parts) list = d->ops->parts(d, &n);
        for (size_t i = 0; i < n; i++) {
            uint64_t bit = left & -left; // cards are sides, or parts of one, in their order
            left &= ~bit;
            if (!list[i]->ops->sync(list[i], &said)) lost |= bit;
        }
    }
    return lost ? lost : m->placement.taken;
}

// Where it fails, *tried has the cards that it was tried with.
static bool move(struct gyr_model *m, const char *device, uint64_t avoid, uint64_t *tried, gyr_error *e) {
    struct gyr_model to = {0};
    struct adapter **adapters = NULL;
    size_t i = 0;
    bool ok = model_here(m, "another device", e) && settle_there(&to, m, device, avoid, e) && make_pools(&to, m, e) &&
              (adapters = bind_again(&to, m, e));
    if (ok) {
        for (struct gyr_session *s = m->sessions; s; s = s->next) let_go(s, m, &to);
        for (struct gyr_adapter *a = m->adapters; a; a = a->next) {
            adapter_free(a->bound);
            a->bound = adapters[i++];
        }
        pthread_mutex_lock(&m->checksum_lock); // others may be at it
        swap(m, &to);
        pthread_mutex_unlock(&m->checksum_lock);
    }
    free(adapters);
    *tried = ok ? 0 : to.placement.taken;
    model_unsettle(&to);
    return ok;
}

gyr_status gyr_model_move(gyr_model *m, const char *device, gyr_error *e) {
    const gyr_model_options o = {.device = device};
    gyr_error made = {0};
    uint64_t avoid = place_is_open(&o) ? m->placement.avoid | worn(m) : m->placement.avoid, tried = 0;
    bool ok;
    while (!(ok = move(m, device, avoid, &tried, &made)) && tried && place_is_open(&o)) avoid |= tried; // the next one
    return status_of(ok, &made, e);
}
