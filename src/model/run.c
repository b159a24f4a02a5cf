#include "model/forward.h"

#include <stdlib.h>

struct run *run_new(const struct model *m, gyr_error *e) {
    struct run *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, m->checkpoint->path), NULL;
    r->m = m;
    if ((r->a = activations_new(m, e))) return r;
    run_free(r);
    return NULL;
}

void run_free(struct run *r) {
    if (!r) return;
    struct device *d = r->m->device;
    activations_free(r->a, d);
    relay_free(r->relay);
    desk_free(&r->desk, d);
    if (r->index_work) d->ops->free(d, r->index_work);
    if (r->whole) d->ops->free(d, r->whole);
    if (r->adapt_work) d->ops->free(d, r->adapt_work);
    free(r);
}

size_t run_rows(const struct run *r) { return r->a->rows; }

size_t run_wanted(const struct run *r, enum gives gives) { return gives == GIVES_STATES ? r->a->rows : r->a->wanted; }

bool run_join(struct run *r, struct ranks *ranks, gyr_error *e) { return (r->relay = relay_new(ranks, e)); }

void run_limit(struct run *r, size_t rows, size_t wanted) {
    if (rows < r->a->rows) r->a->rows = rows;
    if (wanted < r->a->wanted) r->a->wanted = wanted;
}

bool run_sync(struct run *r, gyr_error *e) {
    struct device *d = r->m->device;
    gyr_error made = {0};
    bool own = d->ops->sync(d, e), others = !r->relay || !r->m->begins || relay_settle(r->relay, &made);
    return own && (others || fail(e, made.status, "%s", made.message));
}

bool run_reply(struct run *r, bool ok, const gyr_error *why, const float *out, size_t n, gyr_error *e) {
    relay_end(r->relay);
    if (!ok) return relay_fail(r->relay, why, e);
    return !r->m->gives || relay_give(r->relay, out, n, e);
}

bool run_index(struct run *r, size_t positions, gyr_error *e) {
    static const size_t enough = (size_t)1 << 22;
    struct device *d = r->m->device;
    size_t most = r->index_positions ? r->index_positions : 512;
    if (!r->m->h.kv_layers[KV_INDEX] || positions <= r->index_positions) return true;
    while (most < positions) most *= 2;
    size_t rows = most < enough ? enough / most < 256 ? enough / most : 256 : 1;
    dfloat *work = d->ops->alloc(d, rows * most * sizeof(float), e);
    if (!work) return false;
    if (r->index_work) d->ops->free(d, r->index_work);
    r->index_work = work;
    r->index_room = rows * most;
    r->index_positions = most;
    return true;
}
