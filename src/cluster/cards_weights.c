// A card's part of each matrix.
#include "cluster/cards_parts.h"

#include <stdlib.h>

bool cards_have_whole(const struct weight *w) {
    struct weight one = *w;
    if (one.place >= WEIGHT_EXPERT) one.place = WEIGHT_ROWS; // rows of every expert
    return shares_is_whole(&one);
}

bool cards_split(const struct cards *c, const struct weight *w) {
    return !cards_have_whole(w) && (c->steps || w->place < WEIGHT_EXPERT);
}

struct range cards_rows(const struct cards *c, uint32_t i, const struct weight *w) {
    return cards_split(c, w) ? shares_rows(&c->shares, i, w->rows) : (struct range){0, w->rows};
}

static void unbind_all(struct cards *c, struct weight **list) {
    for (uint32_t k = 0; *list && k < c->count; k++)
        if ((*list)[k].on) weight_unbind(&(*list)[k]);
    free(*list);
    *list = NULL;
}

// On every card its rows of a matrix, or all of it; a card may have none.
static bool bind_all(struct cards *c, struct weight **list, const struct weight *w, bool table, gyr_error *e) {
    struct weight *all = calloc(c->count, sizeof *all);
    bool ok = all || fail_memory(e, "cards");
    for (uint32_t k = 0; ok && k < c->count; k++) {
        struct range r = table ? (struct range){0, w->rows} : cards_rows(c, c->own + k, w);
        all[k] = (struct weight){.type = w->type,
                                 .rows = r.n,
                                 .cols = w->cols,
                                 .data = (const char *)w->data + r.first * type_row_bytes(w->type, w->cols),
                                 .place = w->place,
                                 .of = w->of};
        if (!r.n) continue;
        ok = weight_bind(&all[k], c->card[k], e);
        if (!ok) all[k].on = NULL;
        if (ok && c->card[k]->ops->ready) c->card[k]->ops->ready(c->card[k], &all[k], table);
    }
    if (!ok && all) unbind_all(c, &all);
    *list = all;
    return ok;
}

// What is known to be wanted is made at once; else cards_ready() says what is.
bool cards_bind(struct device *d, struct weight *w, gyr_error *e) {
    struct cards *c = cards_of(d);
    struct pieces *p = calloc(1, sizeof *p);
    w->own = NULL;
    if (!p) return fail_memory(e, "cards");
    if (w->place == WEIGHT_WHOLE && !bind_all(c, &p->part, w, false, e)) {
        free(p);
        return false;
    }
    w->own = p;
    return true;
}

static void drop(struct cards *c, struct pieces *p) {
    unbind_all(c, &p->part);
    unbind_all(c, &p->table);
    free(p);
}

void cards_unbind(struct device *d, struct weight *w) {
    struct pieces *p = w->own;
    w->own = NULL;
    if (!p) return;
    cards_drop_twins(cards_of(d));
    drop(cards_of(d), p);
}

void cards_free_found(struct cards *c) {
    while (c->found) {
        struct pieces *p = c->found;
        c->found = p->next;
        drop(c, p);
    }
}

static struct pieces *pieces_of(struct cards *c, const struct weight *w) {
    if (w->own) return w->own;
    for (struct pieces *p = c->found; p; p = p->next)
        if (p->data == w->data && p->rows == w->rows && p->cols == w->cols) return p;
    struct pieces *p = calloc(1, sizeof *p);
    if (!p) return cards_fail(c, GYR_NO_MEMORY, "cards: out of memory"), NULL;
    *p = (struct pieces){.next = c->found, .data = w->data, .rows = w->rows, .cols = w->cols};
    return c->found = p;
}

static const struct weight *made(struct cards *c, uint32_t k, const struct weight *w, bool table) {
    struct pieces *p = pieces_of(c, w);
    gyr_error e = {0};
    if (!p) return NULL;
    struct weight **list = table ? &p->table : &p->part;
    if (!*list && !c->failed.status && !bind_all(c, list, w, table, &e)) cards_fail(c, e.status, "%s", e.message);
    return *list ? *list + k : NULL;
}

const struct weight *cards_part(struct cards *c, uint32_t k, const struct weight *w) { return made(c, k, w, false); }
const struct weight *cards_table(struct cards *c, uint32_t k, const struct weight *w) { return made(c, k, w, true); }

void cards_ready(struct device *d, const struct weight *w, bool looked_up) { made(cards_of(d), 0, w, looked_up); }

// ------------------------------------------------------------------------------- arrays of them

static struct twin *find(const struct cards *c, const void *of, size_t n) {
    struct twin *next = c->next_twin; // mostly it is the one that comes behind the last one
    if (next && next->of == of && next->n == n) return next;
    for (struct twin *t = c->twins; t; t = t->next)
        if (t->of == of && t->n == n) return t;
    return NULL;
}

static struct twin *make_twin(struct cards *c, const void *of, size_t n, size_t size, twin_fn *make) {
    struct twin *t = calloc(1, sizeof *t), **end = &c->twins;
    bool ok = t;
    for (uint32_t k = 0; ok && k < c->count; k++)
        ok = (t->at[k] = calloc(n ? n : 1, size)) && make(c, k, of, n, t->at[k]);
    if (ok) {
        t->of = of;
        t->n = n;
        while (*end) end = &(*end)->next;
        return *end = t;
    }
    for (uint32_t k = 0; t && k < c->count; k++) free(t->at[k]);
    free(t);
    cards_fail(c, GYR_NO_MEMORY, "cards: out of memory");
    return NULL;
}

const void *cards_twin(struct cards *c, uint32_t k, const void *of, size_t n, size_t size, twin_fn *make) {
    struct twin *t = find(c, of, n);
    if (!t && !c->failed.status) t = make_twin(c, of, n, size, make);
    if (t && k + 1 == c->count) c->next_twin = t->next;
    return t ? t->at[k] : NULL;
}

void cards_drop_twins(struct cards *c) {
    while (c->twins) {
        struct twin *t = c->twins;
        c->twins = t->next;
        for (uint32_t k = 0; k < c->count; k++) free(t->at[k]);
        free(t);
    }
    c->next_twin = NULL;
}
