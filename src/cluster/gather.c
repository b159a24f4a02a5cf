// Gathering what ranks have made of their parts. A message has the number of the pass, so that what is left of one that
// failed is known where it comes.
#include "cluster/spread_parts.h"

#include <stdlib.h>

static void tell_failure(struct spread *s) {
    if (s->pass_linked && !s->told) {
        ranks_tell_fault(s->ranks, s->pass, &s->failed);
        spread_unlink(s);
        s->told = true;
    }
    for (uint32_t i = 0; i < s->count && !s->told; i++)
        if (i != s->own) ranks_send_failure(s->ranks, i, PARCEL_SLICE, s->pass, &s->failed, NULL);
    s->told = true;
}

void spread_fail(struct spread *s, const gyr_error *why) {
    if (!s->failed.status) s->failed = *why;
    if (!s->failed.status) fail(&s->failed, GYR_FAILED, "the pass failed");
    tell_failure(s);
}

bool spread_room(struct spread *s, dfloat **p, size_t *room, size_t floats) {
    gyr_error e = {0};
    if (floats <= *room) return true;
    dfloat *more = s->inner->alloc(s->d, floats * sizeof(float), &e);
    if (!more) return spread_fail(s, &e), false;
    if (*p) s->inner->free(s->d, *p);
    *p = more;
    *room = floats;
    return true;
}

size_t spread_floats(const struct spread *s, size_t n, piece_of *of, void *arg, uint32_t rank) {
    size_t floats = 0;
    for (size_t k = 0; k < n; k++) {
        struct piece p = of(s, arg, k, rank);
        floats += p.rows * p.n;
    }
    return floats;
}

static bool send_own(struct spread *s, const dfloat *from, size_t floats, gyr_error *e) {
    buf_clear(&s->out);
    if (s->out.room < floats * sizeof(float) + 1) {
        buf_free(&s->out);
        s->out.data = malloc(floats * sizeof(float) + 1);
        s->out.room = s->out.data ? floats * sizeof(float) + 1 : 0;
        if (!s->out.data) return fail_memory(e, "ranks");
    }
    s->inner->read(s->d, s->out.data, from, floats * sizeof(float));
    if (!s->inner->sync(s->d, e)) return false;
    for (uint32_t i = 0; i < s->count; i++)
        if (i != s->own &&
            !ranks_send_numbered(s->ranks, i, PARCEL_SLICE, s->pass, s->out.data, floats * sizeof(float), e))
            return false;
    return true;
}

// To their places; of several rows by way of memory in which they lie side by side.
static bool put(struct spread *s, const struct piece *p, const char *from) {
    if (!p->n || !p->rows) return true;
    if (p->rows == 1 || p->n == p->row) {
        s->inner->write(s->d, p->y + p->first, from, p->rows * p->n * sizeof(float));
        return true;
    }
    if (!spread_room(s, &s->others, &s->room_others, p->rows * p->n)) return false;
    s->inner->write(s->d, s->others, from, p->rows * p->n * sizeof(float));
    s->inner->move(s->d, s->others, p->n, p->y + p->first, p->row, p->rows, p->n);
    return true;
}

static bool take(struct spread *s, uint32_t rank, size_t n, piece_of *of, void *arg, gyr_error *e) {
    size_t floats = spread_floats(s, n, of, arg, rank), at = 0;
    if (!floats) return true;
    if (!ranks_receive_numbered(s->ranks, rank, PARCEL_SLICE, s->pass, &s->in, e)) return false;
    if (s->in.size != floats * sizeof(float))
        return ranks_blame(s->ranks, rank, GYR_FAILED, "sent a part of another size", e);
    for (size_t k = 0; k < n; k++) {
        struct piece p = of(s, arg, k, rank);
        if (!put(s, &p, s->in.data + at)) return fail(e, s->failed.status, "%s", s->failed.message);
        at += p.rows * p.n * sizeof(float);
    }
    return true;
}

// What it made itself lies in `from`.
static void keep_own(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg) {
    for (size_t k = 0; k < n; k++) {
        struct piece p = of(s, arg, k, s->own);
        if (p.n && p.rows && from != p.y + p.first) s->inner->move(s->d, from, p.n, p.y + p.first, p.row, p.rows, p.n);
        from += p.rows * p.n;
    }
}

void spread_gather(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg) {
    size_t own = spread_floats(s, n, of, arg, s->own);
    gyr_error e = {0};
    if (s->failed.status) return;
    bool ok = !own || send_own(s, from, own, &e);
    if (ok) keep_own(s, from, n, of, arg);
    for (uint32_t i = 0; ok && i < s->count; i++)
        if (i != s->own) ok = take(s, i, n, of, arg, &e);
    if (!ok) spread_fail(s, &e);
}
