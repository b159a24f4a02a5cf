// What cards have made of their parts goes to all: each takes the others' rows, or gets them by way of the host.
//
// Between cards that take from each other no host waits. What is made lies in one of two places in turns: a card writes
// to the first again when it has come to the second turn's end, which is behind the others' offers of that turn, and
// these are behind what they took in the turn before.
#include "cluster/cards_parts.h"

#include <stdlib.h>

// Memory that is outgrown may still be read by others.
static bool settle(struct cards *c) {
    gyr_error e = {0};
    for (uint32_t k = 0; k < c->count; k++)
        if (!c->card[k]->ops->sync(c->card[k], &e)) cards_fail(c, e.status, "%s", e.message);
    return !c->failed.status;
}

static bool grow(struct cards *c, dfloat **list, size_t floats) {
    for (uint32_t k = 0; k < c->count; k++) {
        struct device *d = c->card[k];
        gyr_error e = {0};
        dfloat *more = d->ops->alloc(d, floats * sizeof(float), &e);
        if (!more) return cards_fail(c, e.status, "%s", e.message), false;
        if (list[k]) d->ops->free(d, list[k]);
        list[k] = more;
    }
    return true;
}

bool cards_room(struct cards *c, size_t floats) {
    if (floats <= c->made_room) return !c->failed.status;
    size_t want = floats > 2 * c->made_room ? floats : 2 * c->made_room;
    c->made_room = 0;
    if (!settle(c) || !grow(c, c->made[0], want) || !grow(c, c->made[1], want)) return false;
    c->made_room = want;
    return true;
}

// Only what a card itself asks for reads what comes from the others: it goes behind that.
static bool others_room(struct cards *c, size_t floats) {
    if (floats <= c->others_room) return true;
    c->others_room = 0;
    if (!settle(c) || !grow(c, c->others, floats)) return false;
    c->others_room = floats;
    return true;
}

struct gathering {
    struct cards *c;
    size_t n;
    piece_made *of;
    const void *arg;
    size_t floats[MOST_CARDS]; // that card i made
    const uint8_t *host[MOST_CARDS];
};

static bool is_strewn(const struct piece *p) { return p->rows > 1 && p->n != p->row && p->n; }

// What card i made, to card k.
static void carry(const struct gathering *g, uint32_t k, uint32_t i, dfloat *to, size_t floats) {
    struct cards *c = g->c;
    struct device *d = c->card[k];
    if (!to || !floats) return;
    if (c->direct)
        d->ops->take(d, to, c->card[i], c->made[c->turn][i], floats * sizeof(float));
    else
        d->ops->write(d, to, g->host[i], floats * sizeof(float));
}

// Rows that lie apart come by way of memory in which they lie side by side, and so do several pieces: one copy from
// each card, and what is moved then is a launch among others.
static bool by_way_of_others(const struct gathering *g) {
    bool strewn = g->n > 1;
    for (uint32_t i = 0; i < g->c->count; i++) {
        struct piece p = g->of(g->c, g->arg, 0, i);
        strewn |= is_strewn(&p);
    }
    return strewn;
}

// Card k gets what the others made.
static void take_all(const struct gathering *g, uint32_t k, bool others) {
    struct cards *c = g->c;
    size_t at = 0;
    for (uint32_t i = 0; i < c->count; at += g->floats[i++]) {
        if (i == k) continue;
        struct piece p = g->of(c, g->arg, 0, i);
        dfloat *y = others ? c->others[k] + at : cards_at(c, k, p.y);
        if (y) carry(g, k, i, others ? y : y + p.first, g->floats[i]);
    }
}

static void put_all(const struct gathering *g, uint32_t k) {
    struct cards *c = g->c;
    const dfloat *from = c->others[k];
    for (uint32_t i = 0; i < c->count; i++)
        for (size_t j = 0; j < g->n; j++) {
            struct piece p = g->of(c, g->arg, j, i);
            dfloat *y = i == k ? NULL : cards_at(c, k, p.y);
            if (y && p.n) c->card[k]->ops->move(c->card[k], from, p.n, y + p.first, p.row, p.rows, p.n);
            from += p.rows * p.n;
        }
}

static void keep_own(const struct gathering *g, uint32_t k) {
    struct cards *c = g->c;
    const dfloat *from = c->made[c->turn][k];
    for (size_t j = 0; j < g->n; j++) {
        struct piece p = g->of(c, g->arg, j, k);
        dfloat *y = cards_at(c, k, p.y);
        if (y && p.n) c->card[k]->ops->move(c->card[k], from, p.n, y + p.first, p.row, p.rows, p.n);
        from += p.rows * p.n;
    }
}

// What all made, on the host.
static bool bring_down(struct gathering *g) {
    struct cards *c = g->c;
    size_t all = 0, at = 0;
    for (uint32_t i = 0; i < c->count; i++) all += g->floats[i] * sizeof(float);
    if (all > c->host_room) {
        uint8_t *more = realloc(c->host, all);
        if (!more) return cards_fail(c, GYR_NO_MEMORY, "cards: out of memory"), false;
        c->host = more;
        c->host_room = all;
    }
    for (uint32_t i = 0; i < c->count; at += g->floats[i++] * sizeof(float)) {
        g->host[i] = c->host + at;
        if (g->floats[i])
            c->card[i]->ops->read(c->card[i], c->host + at, c->made[c->turn][i], g->floats[i] * sizeof(float));
    }
    return settle(c);
}

void cards_gather(struct cards *c, size_t n, piece_made *of, const void *arg) {
    struct gathering g = {.c = c, .n = n, .of = of, .arg = arg};
    size_t all = 0;
    if (c->spread) {
        cards_gather_ranks(c, n, of, arg);
        return;
    }
    for (uint32_t i = 0; i < c->count; all += g.floats[i++])
        for (size_t j = 0; j < n; j++) {
            struct piece p = of(c, arg, j, i);
            g.floats[i] += p.rows * p.n;
        }
    bool others = by_way_of_others(&g);
    if (c->failed.status || (others && !others_room(c, all)) || (!c->direct && !bring_down(&g))) return;
    for (uint32_t k = 0; k < c->count; k++) { // one list of launches with the products
        keep_own(&g, k);
        if (c->direct) c->card[k]->ops->offer(c->card[k]);
    }
    for (uint32_t k = 0; k < c->count; k++) {
        for (uint32_t i = 0; c->direct && i < c->count; i++)
            if (i != k) c->card[k]->ops->await(c->card[k], c->card[i]);
        take_all(&g, k, others);
        if (others) put_all(&g, k);
    }
    c->turn ^= 1;
}
