// A model whose matrices' rows are shared out among several cards (--split rows): each has some rows of all, and all
// keys, values and states.
#include "cluster/cards.h"
#include "device/count.h"
#include "device/read_rate.h"
#include "engine/place_parts.h"
#include "engine/ranks.h"

#include <stdio.h>
#include <string.h>

enum { LARGE = 256 << 20 }; // weights worth measuring for

struct row_hand {
    struct card card[MOST_CARDS];
    uint32_t n;
    struct needs needs;
    double part[MOST_CARDS];
};

bool place_is_rows(const gyr_model_options *o) { return o && o->split == GYR_SPLIT_ROWS; }

static void let_go(struct row_hand *h) {
    while (h->n) h->n--, h->card[h->n].d->ops->close(h->card[h->n].d);
}

static bool is_of(const struct card *k, const char *kind) {
    size_t n = kind ? strlen(kind) : 0;
    return !n || (!strncmp(k->device, kind, n) && k->device[n] == ':');
}

static void take_all(struct row_hand *h, struct placement *p, const gyr_model_options *o, const char *kind) {
    struct card k;
    for (size_t i = 0; h->n < MOST_CARDS && place_next(&k, &i, p, o);)
        if (is_of(&k, kind))
            h->card[h->n++] = k;
        else
            k.d->ops->close(k.d);
}

// What every card takes, whatever its part is: the model's, and on the way rows that come from the others.
static double each_needs(const struct needs *n) { return n->whole + n->cache + n->states + 2.5 * n->work + BESIDE; }

void place_row_needs(const struct gyr_model *m, double *room, double *split) {
    struct needs n;
    uint64_t total, available;
    struct use use = place_use(&m->options, m->device->ops->rows);
    *room = *split = 0;
    if (!needs_count(&n, m->checkpoint, &use, device_like_card(), NULL)) return; // opening says what is wrong
    m->device->ops->room(m->device, &total, &available);
    *split = n.split;
    *room = (double)available - each_needs(&n);
}

static bool are_alike(const struct row_hand *h) {
    for (uint32_t i = 1; i < h->n; i++)
        if (strcmp(strchr(h->card[i].name, '('), strchr(h->card[0].name, '('))) return false;
    return true;
}

// Unlike cards have parts by how fast they read, alike ones equal parts; none more than it has room for.
static bool deal(struct row_hand *h) {
    double speed[MOST_CARDS], rate;
    uint64_t room[MOST_CARDS];
    bool measured = !are_alike(h) && h->needs.split > LARGE;
    for (uint32_t i = 0; i < h->n; i++) {
        double left = h->card[i].available - each_needs(&h->needs);
        room[i] = left > 0 ? (uint64_t)left : 0;
        speed[i] = 1;
        if (!measured) continue;
        bool known = device_has_read_rate(h->card[i].d) && device_read_rate(h->card[i].d, &rate, NULL);
        if (known)
            speed[i] = rate;
        else
            measured = false;
    }
    if (!measured)
        for (uint32_t i = 0; i < h->n; i++) speed[i] = 1;
    split_round(speed, h->n);
    return split_parts(speed, room, h->n, h->needs.split, h->part);
}

static bool refuse(const struct row_hand *h, const struct checkpoint *c, gyr_error *e) {
    const struct card *least = h->card;
    char a[16], b[16];
    for (uint32_t i = 1; i < h->n; i++)
        if (h->card[i].available < least->available) least = &h->card[i];
    double need = each_needs(&h->needs) + h->needs.split / h->n;
    return fail(e, GYR_NO_MEMORY,
                "%s: by rows each of %u cards needs %s GB, and %s has %s free; choose a shorter context, a smaller "
                "type, or --split layers",
                c->path, h->n, place_gigabytes(a, need), least->device, place_gigabytes(b, least->available));
}

static void say(struct placement *p, const struct row_hand *h) {
    size_t at = (size_t)snprintf(p->why, sizeof p->why, "by rows on ");
    for (uint32_t i = 0; i < h->n && at < sizeof p->why; i++) {
        char a[16], b[16];
        double need = each_needs(&h->needs) + h->needs.split * h->part[i];
        at += (size_t)snprintf(p->why + at, sizeof p->why - at, "%s%s, %s GB of %s GB", i ? "; " : "", h->card[i].name,
                               place_gigabytes(a, need), place_gigabytes(b, h->card[i].memory));
    }
    memcpy(p->device, h->card[0].device, sizeof p->device);
}

bool place_rows(struct placement *p, struct homes *on, const struct checkpoint *c, const gyr_model_options *o,
                const char *kind, gyr_error *e) {
    struct row_hand h = {.n = 0};
    struct device *all[MOST_CARDS], *joined = NULL;
    bool again = p->avoid, ok = true; // cards that were lost before: then whatever fits
    take_all(&h, p, o, kind);
    struct use use = place_use(o, h.n ? h.card[0].rows : 1);
    if (h.n > 1) {
        ok = needs_count(&h.needs, c, &use, device_like_card(), e);
        if (ok && !deal(&h)) ok = again ? (let_go(&h), true) : refuse(&h, c, e);
        for (uint32_t i = 0; i < h.n; i++) all[i] = h.card[i].d;
        if (ok && h.n) ok = (joined = cards_join(all, h.n, h.part, e));
    }
    if (!joined) return let_go(&h), ok;
    *on = (struct homes){.device = {joined}, .sides = 1, .from = {0, UINT32_MAX}};
    p->taken = 0;
    for (uint32_t i = 0; i < h.n; i++) p->taken |= h.card[i].bit;
    say(p, &h);
    return true;
}
