#include "model/forward.h"

#include <stdlib.h>

static struct run *run_on(const struct model *m, uint32_t side, struct crossing *c, gyr_error *e) {
    struct run *r = calloc(1, sizeof *r);
    if (!r) return fail_memory(e, m->checkpoint->path), NULL;
    *r = (struct run){.m = m, .d = m->on.device[side], .side = side, .crossing = c, .desk = {.side = side}};
    r->a = activations_new(m, side, e);
    return r;
}

struct run *run_new(const struct model *m, gyr_error *e) {
    struct run *first = NULL, **last = &first;
    struct crossing *c = calloc(1, sizeof *c);
    bool ok = c || fail_memory(e, m->checkpoint->path);
    for (uint32_t k = 0; ok && k < m->on.sides; k++) {
        struct run *r = *last = run_on(m, k, c, e);
        ok = r && r->a;
        if (r) last = &r->next;
    }
    if (!first) free(c);
    for (const struct run *r = first; ok && r; r = r->next) run_limit(first, r->a->rows, r->a->wanted);
    if (ok) return first;
    run_free(first);
    return NULL;
}

static void free_side(struct run *r) {
    struct device *d = r->d;
    activations_free(r->a, d);
    relay_free(r->relay);
    desk_free(&r->desk, d);
    if (r->index_work) d->ops->free(d, r->index_work);
    if (r->whole) d->ops->free(d, r->whole);
    if (r->adapt_work) d->ops->free(d, r->adapt_work);
    free(r);
}

void run_free(struct run *r) {
    if (r) free(r->crossing->host);
    if (r) free(r->crossing);
    for (struct run *next; r; r = next) {
        next = r->next;
        free_side(r);
    }
}

size_t run_rows(const struct run *r) { return r->a->rows; }

size_t run_wanted(const struct run *r, enum gives gives) { return gives == GIVES_STATES ? r->a->rows : r->a->wanted; }

bool run_join(struct run *r, struct ranks *ranks, gyr_error *e) { return (r->relay = relay_new(ranks, e)); }

void run_limit(struct run *r, size_t rows, size_t wanted) {
    for (; r; r = r->next) {
        if (rows < r->a->rows) r->a->rows = rows;
        if (wanted < r->a->wanted) r->a->wanted = wanted;
    }
}

bool run_sync(struct run *r, gyr_error *e) {
    gyr_error made = {0};
    bool own = model_sync(r->m, e), others = !r->relay || !r->m->begins || relay_settle(r->relay, &made);
    return own && (others || fail(e, made.status, "%s", made.message));
}

bool run_reply(struct run *r, bool ok, const gyr_error *why, const float *out, size_t n, gyr_error *e) {
    relay_end(r->relay);
    if (!ok) return relay_fail(r->relay, why, e);
    return !r->m->gives || relay_give(r->relay, out, n, e);
}

bool run_index(struct run *r, size_t positions, gyr_error *e) {
    static const size_t enough = (size_t)1 << 22;
    struct device *d = r->d;
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
