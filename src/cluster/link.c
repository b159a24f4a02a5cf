// Gathering by the cards' own library of collectives. All ranks agree whether they do, at the beginning; where one of
// them has no such library, another one, or one that does not start, all gather by way of the hosts, with the same
// bytes.
//
// What is asked of the library waits on the card, and no parcel says why it does not come: so a rank whose pass fails
// tells the others of it beside parcels, and a thread of the card's looks for that (ranks_watch()). The library is not
// used any more then: rank 0 says of each pass whether it is.
#include "cluster/spread_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What ranks tell each other before.
struct terms {
    char kind[16], name[48], why[160]; // of the card; of the library, "": there is none, and why
    uint8_t ticket[LINK_TICKET];       // rank 0's
    uint32_t steps;                    // of mixtures
};

static bool way_asked_for(bool *host, gyr_error *e) {
    const char *way = getenv("GYR_RANK_GATHER");
    *host = way && !strcmp(way, "host");
    return *host || !way || !*way || !strcmp(way, "library") ||
           fail(e, GYR_USAGE, "GYR_RANK_GATHER: %.40s: no such way; choose host or library", way);
}

static struct terms own_terms(struct spread *s, bool host) {
    struct terms t = {.steps = s->cards->steps};
    gyr_error why = {0};
    const char *no = host ? "GYR_RANK_GATHER says so" : NULL;
    snprintf(t.kind, sizeof t.kind, "%s", s->inner->kind);
    bool can = !no && s->inner->link && s->inner->linkable(s->d, t.name, &why) &&
               (s->own || s->inner->ticket(s->d, t.ticket, &why));
    if (can) return t;
    *t.name = 0;
    snprintf(t.why, sizeof t.why, "%.150s", no ? no : why.status ? why.message : "there is no library for it");
    return t;
}

// Whether all have one library; else why not.
static bool all_can(struct spread *s, const struct terms *all) {
    const char *why = "the cards are of several makers";
    for (uint32_t i = 0; i < s->count; i++) {
        s->cards->steps &= all[i].steps != 0;
        if (strcmp(all[i].kind, all->kind)) {
            snprintf(s->way, sizeof s->way, "gathered through the hosts: %s", why);
            return false;
        }
    }
    for (uint32_t i = 0; i < s->count; i++) {
        if (*all[i].name && !strcmp(all[i].name, all->name)) continue;
        if (*all[i].name)
            snprintf(s->way, sizeof s->way, "gathered through the hosts: rank 0 has %s, rank %u %s", all->name, i,
                     all[i].name);
        else
            snprintf(s->way, sizeof s->way, "gathered through the hosts: %s", all[i].why);
        return false;
    }
    return true;
}

static bool watch(void *arg, gyr_error *e) {
    struct spread *s = arg;
    if (ranks_watch(s->ranks, atomic_load(&s->pass), e)) return true;
    atomic_store(&s->cut, true);
    return false;
}

// All begin to link, and agree whether all did.
static bool link_all(struct spread *s, const struct terms *first, gyr_error *e) {
    struct buf b = {0};
    gyr_error why = {0};
    struct link_terms terms = {.own = s->own, .count = s->count, .watch = watch, .arg = s};
    struct {
        uint32_t linked;
        char why[200];
    } own = {0}, one;
    memcpy(terms.ticket, first->ticket, sizeof terms.ticket);
    own.linked = s->linked = s->inner->link(s->d, &terms, &why);
    if (!own.linked) ranks_tell_fault(s->ranks, 0, &why);
    snprintf(own.why, sizeof own.why, "%.199s", why.message);
    bool ok = ranks_agree(s->ranks, true, NULL, &own, sizeof own, &b, e);
    snprintf(s->way, sizeof s->way, "gathered by %s", first->name);
    for (uint32_t i = 0; ok && i < s->count; i++) {
        memcpy(&one, b.data + i * sizeof one, sizeof one);
        one.why[sizeof one.why - 1] = 0;
        if (one.linked) continue;
        spread_unlink(s);
        snprintf(s->way, sizeof s->way, "gathered through the hosts: %s", one.why);
        break;
    }
    buf_free(&b);
    return ok;
}

bool spread_meet(struct spread *s, struct ranks *ranks, const gyr_error *why, gyr_error *e) {
    struct buf b = {0};
    struct terms own = {0};
    gyr_error wrong = {0};
    bool host, ok = s && way_asked_for(&host, &wrong);
    if (ok) own = own_terms(s, host);
    ok = ranks_agree(ranks, ok, s ? &wrong : why, &own, sizeof own, &b, e);
    struct terms *all = (struct terms *)(void *)b.data;
    for (uint32_t i = 0; ok && i < s->count; i++) {
        all[i].kind[sizeof all->kind - 1] = all[i].name[sizeof all->name - 1] = 0;
        all[i].why[sizeof all->why - 1] = 0;
    }
    if (ok) ok = (s->floats = calloc(s->count, sizeof *s->floats)) || fail_memory(e, "ranks");
    if (ok && all_can(s, all)) ok = link_all(s, all, e);
    buf_free(&b);
    return ok;
}

bool spread_linked(const struct spread *s) { return s->linked && !atomic_load(&s->cut); }

void spread_unlink(struct spread *s) {
    if (!s->linked) return;
    s->linked = false;
    s->inner->unlink(s->d, true);
    snprintf(s->way, sizeof s->way, "gathered through the hosts");
}

static bool is_strewn(const struct piece *p) { return p->rows > 1 && p->n != p->row && p->n; }

// What came lies side by side, a rank's pieces together.
static void put_all(struct spread *s, size_t n, piece_of *of, void *arg) {
    const dfloat *from = s->others;
    for (uint32_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < n; k++) {
            struct piece p = of(s, arg, k, i);
            if (p.n && p.rows) s->inner->move(s->d, from, p.n, p.y + p.first, p.row, p.rows, p.n);
            from += p.rows * p.n;
        }
}

void spread_gather_linked(struct spread *s, const dfloat *from, size_t n, piece_of *of, void *arg) {
    bool strewn = n > 1;
    size_t all = 0;
    if (s->failed.status) return;
    for (uint32_t i = 0; i < s->count; i++) {
        struct piece p = of(s, arg, 0, i);
        strewn |= is_strewn(&p);
        all += s->floats[i] = spread_floats(s, n, of, arg, i);
    }
    if (!all || (strewn && !spread_room(s, &s->others, &s->room_others, all))) return;
    s->inner->gather(s->d, from, strewn ? s->others : of(s, arg, 0, 0).y, s->floats);
    if (strewn) put_all(s, n, of, arg);
}
