#include "cluster/cards_parts.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cards_fail(struct cards *c, enum gyr_status status, const char *format, ...) {
    char text[400];
    va_list args;
    if (c->failed.status) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fail(&c->failed, status, "%s", text);
}

// ------------------------------------------------------------------------------- addresses

// The first stretch that begins behind p.
static size_t behind(const struct cards *c, const dbyte *p) {
    size_t low = 0, high = c->n_stretches;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c->stretch[middle].at[0] <= p)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_in(const struct stretch *s, const dbyte *p) { return p >= s->at[0] && p <= s->at[0] + s->bytes; }

void *cards_at(struct cards *c, uint32_t k, const void *p) {
    const dbyte *at = p;
    if (!k || !p) return (void *)(uintptr_t)p;
    bool again = c->last < c->n_stretches && is_in(&c->stretch[c->last], at) &&
                 at < c->stretch[c->last].at[0] + c->stretch[c->last].bytes;
    size_t i = again ? c->last + 1 : behind(c, at);
    if (!i || !is_in(&c->stretch[i - 1], at)) {
        cards_fail(c, GYR_FAILED, "%s: an address of no memory of the cards'", c->ops.kind);
        return NULL;
    }
    c->last = i - 1;
    return c->stretch[i - 1].at[k] + (at - c->stretch[i - 1].at[0]);
}

// ------------------------------------------------------------------------------- memory

static void *alloc_on_all(struct device *d, size_t bytes, gyr_error *e) {
    struct cards *c = cards_of(d);
    struct stretch s = {.bytes = bytes};
    uint32_t k = 0;
    bool ok = ARRAY_GROW(c->stretch, c->n_stretches, c->stretch_room) || fail_memory(e, "cards");
    for (; ok && k < c->count; k++)
        if (!(s.at[k] = c->card[k]->ops->alloc(c->card[k], bytes, e))) ok = false;
    if (ok) {
        size_t at = behind(c, s.at[0]);
        memmove(c->stretch + at + 1, c->stretch + at, (c->n_stretches++ - at) * sizeof *c->stretch);
        c->stretch[at] = s;
        return s.at[0];
    }
    for (k = 0; k < c->count && s.at[k]; k++) c->card[k]->ops->free(c->card[k], s.at[k]);
    return NULL;
}

static void free_on_all(struct device *d, void *p) {
    struct cards *c = cards_of(d);
    size_t i = p ? behind(c, p) : 0;
    if (!i || c->stretch[i - 1].at[0] != (dbyte *)p) return;
    struct stretch gone = c->stretch[--i];
    memmove(c->stretch + i, c->stretch + i + 1, (--c->n_stretches - i) * sizeof *c->stretch);
    for (uint32_t k = 0; k < c->count; k++) c->card[k]->ops->free(c->card[k], gone.at[k]);
}

static void *host_alloc(struct device *d, size_t bytes, gyr_error *e) {
    return device_host_alloc(cards_of(d)->card[0], bytes, e);
}

static void host_free(struct device *d, void *p) { device_host_free(cards_of(d)->card[0], p); }

// In all; and what each has, where it has the same as the others.
static void room(struct device *d, uint64_t *total, uint64_t *available) {
    struct cards *c = cards_of(d);
    *total = 0;
    *available = UINT64_MAX;
    for (uint32_t k = 0; k < c->count; k++) {
        uint64_t all, left;
        c->card[k]->ops->room(c->card[k], &all, &left);
        *total += all;
        if (left < *available) *available = left;
    }
}

static void write_to_all(struct device *d, void *dst, const void *src, size_t bytes) {
    struct cards *c = cards_of(d);
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++)
        c->card[k]->ops->write(c->card[k], cards_at(c, k, dst), src, bytes);
}

static bool host_room(struct cards *c, size_t bytes) {
    if (bytes <= c->host_room) return true;
    uint8_t *more = realloc(c->host, bytes);
    if (more) c->host = more, c->host_room = bytes;
    if (!more) cards_fail(c, GYR_NO_MEMORY, "cards: out of memory");
    return more;
}

static void put_addresses(struct cards *c, uint32_t k, const struct addresses *a) {
    for (size_t i = 0; i < a->n; i++) {
        const void *p;
        uint8_t *at = c->host + a->at + i * a->step;
        memcpy(&p, at, sizeof p);
        p = cards_at(c, k, p);
        memcpy(at, &p, sizeof p);
    }
}

static void write_addresses(struct device *d, void *dst, const void *src, size_t bytes, const struct addresses *list,
                            size_t n) {
    struct cards *c = cards_of(d);
    if (!host_room(c, bytes)) return;
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++) {
        memcpy(c->host, src, bytes);
        for (size_t i = 0; k && i < n; i++) put_addresses(c, k, &list[i]);
        c->card[k]->ops->write(c->card[k], cards_at(c, k, dst), c->host, bytes);
    }
}

static void read_from_first(struct device *d, void *dst, const void *src, size_t bytes) {
    struct cards *c = cards_of(d);
    c->card[0]->ops->read(c->card[0], dst, src, bytes);
}

static void copy_on_all(struct device *d, void *dst, const void *src, size_t bytes) {
    struct cards *c = cards_of(d);
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++)
        c->card[k]->ops->copy(c->card[k], cards_at(c, k, dst), cards_at(c, k, src), bytes);
}

// ------------------------------------------------------------------------------- together

// All are asked, also behind a failure: none has anything left to say then.
static bool sync_all(struct device *d, gyr_error *e) {
    struct cards *c = cards_of(d);
    gyr_error made = {0}, later;
    for (uint32_t k = 0; k < c->count; k++) c->card[k]->ops->sync(c->card[k], made.status ? &later : &made);
    if (!made.status) made = c->failed;
    c->failed = (gyr_error){0};
    if (c->spread) cards_sync_ranks(c, &made);
    return !made.status || fail(e, made.status, "%s", made.message);
}

static struct pool *workers(struct device *d) {
    struct device *first = cards_of(d)->card[0];
    return first->ops->workers ? first->ops->workers(first) : NULL;
}

static struct device *const *parts(struct device *d, size_t *n) {
    *n = cards_of(d)->count;
    return cards_of(d)->card;
}

static void free_own(struct cards *c) {
    for (int i = 0; i < 2; i++)
        for (uint32_t k = 0; k < c->count; k++)
            if (c->made[i][k]) c->card[k]->ops->free(c->card[k], c->made[i][k]);
    for (uint32_t k = 0; k < c->count; k++)
        if (c->others[k]) c->card[k]->ops->free(c->card[k], c->others[k]);
}

void cards_let_go(struct cards *c) {
    gyr_error e;
    sync_all(&c->device, &e); // none takes from another that is closed
    free_own(c);
    cards_drop_twins(c);
    cards_free_found(c);
    shares_free(&c->shares);
    free(c->stretch);
    free(c->host);
    free(c);
}

static void close_all(struct device *d) {
    struct cards *c = cards_of(d);
    struct device *card[MOST_CARDS];
    uint32_t count = c->count;
    memcpy(card, c->card, sizeof card);
    cards_let_go(c);
    for (uint32_t k = 0; k < count; k++) card[k]->ops->close(card[k]);
}

// Nothing of weights is kept in files, and the forms are the cards' own.
static size_t form_bytes(struct device *d, const struct weight *w) { return 0; }
static bool form_make(struct device *d, struct weight *w) { return true; }
static bool form_take(struct device *d, struct weight *w, const void *form) { return false; }
static bool form_give(struct device *d, const struct weight *w, size_t at, size_t bytes, void *to) { return false; }
static bool form_lock(struct device *d, const struct weight *w) { return true; }

static const struct device_ops table = {.close = close_all,
                                        .sync = sync_all,
                                        .workers = workers,
                                        .room = room,
                                        .alloc = alloc_on_all,
                                        .free = free_on_all,
                                        .host_alloc = host_alloc,
                                        .host_free = host_free,
                                        .write = write_to_all,
                                        .write_addresses = write_addresses,
                                        .read = read_from_first,
                                        .copy = copy_on_all,
                                        .parts = parts,
                                        .bind = cards_bind,
                                        .unbind = cards_unbind,
                                        .ready = cards_ready,
                                        .form_bytes = form_bytes,
                                        .form_make = form_make,
                                        .form_take = form_take,
                                        .form_give = form_give,
                                        .form_lock = form_lock};

static bool all_reach(struct cards *c) {
    bool all = true;
    for (uint32_t i = 0; i < c->count; i++)
        for (uint32_t k = 0; k < c->count; k++)
            if (i != k) all = c->card[i]->ops->reaches && c->card[i]->ops->reaches(c->card[i], c->card[k]) && all;
    return all;
}

struct cards *cards_new(struct device *const *card, uint32_t n, const double *part, uint32_t own, uint32_t all,
                        gyr_error *e) {
    struct cards *c = calloc(1, sizeof *c);
    if (!c || !shares_new(&c->shares, all, part)) {
        free(c);
        return fail_memory(e, "cards"), NULL;
    }
    c->count = n;
    c->own = own;
    c->all = all;
    memcpy(c->card, card, n * sizeof(*card));
    c->ops = table;
    cards_operations(&c->ops);
    c->ops.kind = card[0]->ops->kind;
    c->ops.rows = card[0]->ops->rows;
    c->steps = true;
    for (uint32_t k = 0; k < n; k++) {
        if (card[k]->ops->rows < c->ops.rows) c->ops.rows = card[k]->ops->rows;
        c->steps = c->steps && card[k]->ops->mixes_in_steps;
    }
    c->device.ops = &c->ops;
    return c;
}

struct device *cards_join(struct device *const *card, uint32_t n, const double *part, gyr_error *e) {
    struct cards *c = cards_new(card, n, part, 0, n, e);
    if (c) c->direct = all_reach(c);
    return c ? &c->device : NULL;
}
