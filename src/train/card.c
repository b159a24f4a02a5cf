#include "train/card_parts.h"

#include "base/pages.h"
#include "model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64, LEAST_PIECE = 4 << 20, COPIED = 256 << 10 };

// ------------------------------------------------------------------------------------- a card's memory

// What was taken for one group is one piece for the next.
static struct piece *new_piece(struct desk *k, size_t n) {
    size_t want = n > k->wanted ? n : k->wanted;
    if (want < LEAST_PIECE) want = LEAST_PIECE;
    if (k->pieces == MOST_PIECES) {
        fail(&k->failed, GYR_NO_MEMORY, "too many pieces of memory for one step");
        return NULL;
    }
    struct piece *p = &k->piece[k->pieces];
    *p = (struct piece){.floats = want};
    p->at = k->d->ops->alloc(k->d, want * sizeof(float), &k->failed);
    if (!p->at) return NULL;
    k->pieces++;
    return p;
}

dfloat *desk_take(struct desk *k, size_t n) {
    size_t take = (n + ALIGN - 1) / ALIGN * ALIGN;
    struct piece *p = k->pieces ? &k->piece[k->pieces - 1] : NULL;
    if ((!p || p->floats - p->used < take) && !(p = new_piece(k, take))) return NULL;
    dfloat *at = p->at + p->used;
    p->used += take;
    return at;
}

static void free_pieces(struct desk *k) {
    while (k->pieces) k->d->ops->free(k->d, k->piece[--k->pieces].at);
}

// Nobody uses any of it any more.
static void clear(struct desk *k) {
    size_t all = 0;
    for (size_t i = 0; i < k->pieces; i++) all += k->piece[i].used;
    if (all > k->wanted) k->wanted = all;
    if (k->pieces > 1) free_pieces(k);
    if (k->pieces) k->piece[0].used = 0;
    k->reads = k->sums = 0;
    k->busy = false;
}

static dfloat *bring(struct desk *k, struct there *list, size_t *count, size_t most, const float *of, size_t n) {
    for (size_t i = 0; i < *count; i++)
        if (list[i].of == of && list[i].floats == n) return list[i].at;
    dfloat *at = desk_take(k, n);
    if (!at) return NULL;
    k->d->ops->write(k->d, at, of, n * sizeof *of);
    if (*count < most) list[(*count)++] = (struct there){of, at, n};
    return at;
}

dfloat *desk_read(struct desk *k, const float *of, size_t n) { return bring(k, k->read, &k->reads, MOST_MAPS, of, n); }

dfloat *desk_sum(struct desk *k, float *of, size_t n) { return bring(k, k->sum, &k->sums, MOST_SUMS, of, n); }

// ----------------------------------------------------------------------------------------- opening

struct card *card_new(const struct model *m, gyr_error *e) {
    size_t n = 0;
    for (uint32_t i = 0; i < m->on.sides; i++) n += m->on.device[i]->ops->sums != NULL;
    struct card *c = n ? calloc(1, sizeof *c) : NULL;
    if (!n) return NULL;
    if (!c) return fail_memory(e, "training"), NULL;
    c->layers = m->h.layers;
    for (uint32_t i = 0; i < m->on.sides; i++)
        if (m->on.device[i]->ops->sums) c->desk[c->n++] = (struct desk){.d = m->on.device[i], .good = true};
    return c;
}

void card_free(struct card *c) {
    for (size_t i = 0; c && i < c->n; i++) {
        struct desk *k = &c->desk[i];
        free_pieces(k);
        desk_forget(k);
        if (k->decoded) k->d->ops->free(k->d, k->decoded);
        if (k->ids) k->d->ops->free(k->d, k->ids);
        if (k->landing) device_host_free(k->d, k->landing);
    }
    free(c);
}

const char *card_failed(const struct card *c) { return c && *c->why ? c->why : NULL; }

float *card_memory(struct card *c, size_t floats) {
    gyr_error e;
    if (!c) return large_pages(malloc(floats * sizeof(float)), floats * sizeof(float));
    return device_host_alloc(c->desk->d, floats * sizeof(float), &e);
}

void card_memory_free(struct card *c, float *room) {
    if (!room) return;
    if (c)
        device_host_free(c->desk->d, room);
    else
        free(room);
}

// -------------------------------------------------------------------------------------------- failure

static bool compute(const struct asked *a, gyr_error *e) {
    struct linear_op o = a->o;
    o.card = NULL;
    if (!a->dy) return linear_forward(&o, a->x, a->y, a->kept, e);
    if (a->how == DX_IS) return linear_backward(&o, a->x, a->saved, a->dy, a->dx, a->da, a->db, e);
    size_t n = o.rows * o.in;
    float *some = malloc((n + 1) * sizeof *some);
    bool ok = some ? linear_backward(&o, a->x, a->saved, a->dy, some, a->da, a->db, e) : fail_memory(e, "training");
    for (size_t i = 0; ok && i < n; i++) a->dx[i] = (a->how == DX_MORE ? a->dx[i] : 0) + some[i];
    free(some);
    return ok;
}

// What was asked of a desk, by the host.
static bool compute_all(struct card *c, const struct desk *k, gyr_error *e) {
    bool ok = true;
    for (size_t i = 0; ok && i < c->count; i++)
        if (c->asked[i].desk == k) ok = compute(&c->asked[i], e);
    return ok;
}

// A step that it had no memory for may be too long; of other failures it is not known whether they come again.
static void give_up(struct card *c, struct desk *k) {
    if (k->failed.status != GYR_NO_MEMORY) k->good = false;
    free_pieces(k);
    desk_forget(k);
    k->wanted = 0;
    if (!*c->why) snprintf(c->why, sizeof c->why, "%s", k->failed.message);
}

// --------------------------------------------------------------------------------------------- the end

static bool have_landing(struct desk *k) {
    size_t n = 0;
    for (size_t i = 0; i < k->sums; i++) n += k->sum[i].floats;
    if (n <= k->landing_n) return true;
    if (k->landing) device_host_free(k->d, k->landing);
    k->landing_n = 0;
    k->landing = device_host_alloc(k->d, n * sizeof *k->landing, &k->failed);
    if (k->landing) k->landing_n = n;
    return k->landing;
}

struct copying {
    float *to;
    const float *from;
    size_t n;
};

static void copy_task(void *arg, size_t i) {
    const struct copying *w = arg;
    size_t at = i * COPIED, left = w->n - at;
    memcpy(w->to + at, w->from + at, (left < COPIED ? left : COPIED) * sizeof *w->to);
}

// What came back counts when all of it came.
static bool finish(struct card *c, struct desk *k) {
    if (k->failed.status || !have_landing(k)) return false;
    float *at = k->landing;
    for (size_t i = 0; i < k->sums; at += k->sum[i++].floats)
        k->d->ops->read(k->d, at, k->sum[i].at, k->sum[i].floats * sizeof *at);
    if (!k->d->ops->sync(k->d, &k->failed)) return false;
    at = k->landing;
    for (size_t i = 0; i < k->sums; at += k->sum[i++].floats) {
        struct copying w = {(float *)(uintptr_t)k->sum[i].of, at, k->sum[i].floats};
        pool_run(c->pool, (w.n + COPIED - 1) / COPIED, copy_task, &w);
    }
    return true;
}

// Of a desk that failed nothing may still be under way when its work is done anew.
bool desk_end(struct card *c, struct desk *k) {
    gyr_error later;
    bool good = finish(c, k);
    if (!good) k->d->ops->sync(k->d, &later);
    clear(k);
    if (good) return true;
    give_up(c, k);
    k->failed = (gyr_error){0};
    return false;
}

void card_begin(struct card *c) {
    if (c) c->depth++;
}

bool card_settle(struct card *c, gyr_error *e) {
    bool ok = true;
    for (size_t i = 0; c && i < c->n; i++)
        if (c->desk[i].busy && !desk_end(c, &c->desk[i])) ok = compute_all(c, &c->desk[i], e) && ok;
    if (c) c->count = 0;
    return ok;
}

bool card_end(struct card *c, gyr_error *e) { return !c || --c->depth || card_settle(c, e); }

// ------------------------------------------------------------------------------------------------ maps

struct desk *card_desk(struct card *c, const struct device *d) {
    for (size_t i = 0; c && i < c->n; i++)
        if (c->desk[i].d == d) return c->desk[i].good ? &c->desk[i] : NULL;
    return NULL;
}

static struct desk *desk_of(const struct linear_op *o) { return o->bound ? card_desk(o->card, o->bound->on) : NULL; }

bool card_has(const struct linear_op *o) { return o->rows && o->in && o->out && desk_of(o); }

static bool put(const struct asked *a, gyr_error *e) {
    struct card *c = a->o.card;
    struct desk *k = desk_of(&a->o);
    bool ok = c->count < MOST_MAPS || card_settle(c, e); // a group that is too long becomes two
    card_begin(c);
    struct asked *own = &c->asked[c->count++];
    *own = *a;
    own->desk = k;
    c->pool = a->o.pool;
    k->busy = true;
    if (!k->failed.status && !(a->dy ? desk_backward : desk_forward)(k, own) && !k->failed.status)
        fail(&k->failed, GYR_NO_MEMORY, "training: no memory");
    return card_end(c, e) && ok;
}

bool card_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e) {
    return put(&(struct asked){.o = *o, .x = x, .y = y, .kept = saved}, e);
}

bool card_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                   enum card_dx how, float *da, float *db, gyr_error *e) {
    return put(&(struct asked){.o = *o, .x = x, .saved = saved, .dy = dy, .dx = dx, .how = how, .da = da, .db = db}, e);
}
