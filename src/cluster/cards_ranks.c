// The one card of a rank, where each rank has one: rows are shared out among all of them, and what this one has made
// goes to the other ranks'.
#include "cluster/spread_parts.h"

struct pieces_of_cards {
    const struct cards *c;
    piece_made *of;
    const void *arg;
};

static struct piece piece_here(const struct spread *s, void *arg, size_t k, uint32_t rank) {
    const struct pieces_of_cards *p = arg;
    return p->of(p->c, p->arg, k, rank);
}

void cards_gather_ranks(struct cards *c, size_t n, piece_made *of, const void *arg) {
    struct spread *s = c->spread;
    struct pieces_of_cards p = {c, of, arg};
    if (c->failed.status) {
        spread_fail(s, &c->failed);
        return;
    }
    (s->linked ? spread_gather_linked : spread_gather)(s, c->made[c->turn][0], n, piece_here, &p);
    if (s->failed.status) cards_fail(c, s->failed.status, "%s", s->failed.message);
}

// What goes wrong here the others hear of, who may wait for this card.
void cards_sync_ranks(struct cards *c, gyr_error *made) {
    struct spread *s = c->spread;
    if (s->failed.status) *made = s->failed;
    if (made->status) spread_fail(s, made);
    s->failed = (gyr_error){0};
}

struct cards *cards_of_ranks(struct spread *s, const double *part, gyr_error *e) {
    struct cards *c = cards_new(&s->d, 1, part, s->own, s->count, e);
    if (c) c->spread = s;
    return c;
}
