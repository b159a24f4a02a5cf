// An open model is put on another device, with its sessions and adapters.
#include "engine/adapter.h"
#include "engine/place.h"

#include <stdlib.h>

// The same model there: nothing of it is the sessions' yet.
static bool settle_there(struct gyr_model *to, const struct gyr_model *m, const char *device, gyr_error *e) {
    gyr_model_options o = m->options;
    o.device = device;
    o.gpu_layers = 0;
    o.cpu_experts = false;
    *to = (struct gyr_model){.checkpoint = m->checkpoint, .mapped = m->mapped};
    bool ok = place_is_open(&o) ? place_model(&to->placement, &to->on, m->checkpoint, &o, e)
                                : place_named(&to->placement, &to->on, m->checkpoint, &o, e);
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
    SWAP(on), SWAP(device), SWAP(placement), SWAP(model), SWAP(run), SWAP(states), SWAP(scores), SWAP(n_scores);
    SWAP(workers), SWAP(own_workers), SWAP(samplers), SWAP(n_samplers), SWAP(kept);
#undef SWAP
    for (int i = 0; i < KV_POOLS; i++) {
        m->kv[i] = to->kv[i];
        to->kv[i] = old.kv[i];
    }
    for (int i = 0; i < MAX_SIDES; i++) m->weights[i] = to->weights[i];
}

static bool move(struct gyr_model *m, const char *device, gyr_error *e) {
    struct gyr_model to = {0};
    struct adapter **adapters = NULL;
    size_t i = 0;
    bool ok = model_here(m, "another device", e) && settle_there(&to, m, device, e) && make_pools(&to, m, e) &&
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
    model_unsettle(&to);
    return ok;
}

gyr_status gyr_model_move(gyr_model *m, const char *device, gyr_error *e) {
    gyr_error made = {0};
    return status_of(move(m, device, &made), &made, e);
}
