// Products and mixtures of several cards.
#include "cluster/cards_parts.h"

enum { TOGETHER = 16 }; // products in a list

struct listed {
    const struct product *list;
};

static struct piece piece_of_product(const struct cards *c, const void *arg, size_t k, uint32_t i) {
    const struct product *a = ((const struct listed *)arg)->list + k;
    struct range r = cards_split(c, a->w) ? cards_rows(c, i, a->w) : (struct range){0, 0};
    return (struct piece){a->y, a->w->rows, a->rows, r.first, r.n};
}

// Card k's products; those of which it has no rows are left out.
static void own_products(struct cards *c, uint32_t k, const struct product *list, size_t n) {
    struct product own[TOGETHER];
    size_t made = 0;
    dfloat *to = c->made[c->turn][k];
    for (size_t i = 0; i < n; i++) {
        const struct product *a = &list[i];
        bool split = cards_split(c, a->w);
        struct range r = cards_rows(c, c->own + k, a->w);
        const dfloat *bias = a->bias ? cards_at(c, k, a->bias + r.first) : NULL;
        const struct weight *w = cards_part(c, k, a->w);
        dfloat *y = split ? to : cards_at(c, k, a->y);
        if (!w || !y) return;
        if (r.n) own[made++] = (struct product){w, cards_at(c, k, a->x), a->rows, bias, y};
        if (split) to += a->rows * r.n;
    }
    if (made && !c->failed.status) c->card[k]->ops->products(c->card[k], own, made);
}

static void some_products(struct cards *c, const struct product *list, size_t n) {
    struct listed all = {list};
    size_t most = 1;
    bool split = false;
    for (uint32_t i = 0; i < c->all; i++) {
        size_t floats = 0;
        for (size_t k = 0; k < n; k++) floats += list[k].rows * piece_of_product(c, &all, k, i).n;
        split |= floats > 0;
        most = floats > most ? floats : most;
    }
    if (!cards_room(c, most)) return;
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++) own_products(c, k, list, n);
    if (split) cards_gather(c, n, piece_of_product, &all);
}

void cards_products(struct device *d, const struct product *list, size_t n) {
    for (size_t k = 0; k < n; k += TOGETHER) some_products(cards_of(d), list + k, n - k < TOGETHER ? n - k : TOGETHER);
}

void cards_matmul(struct device *d, const struct weight *w, const dfloat *x, size_t rows, const dfloat *bias,
                  dfloat *y) {
    some_products(cards_of(d), &(struct product){w, x, rows, bias, y}, 1);
}

// ------------------------------------------------------------------------------- mixtures

static bool part_of_linear(struct cards *c, uint32_t k, const struct linear *l, struct linear *to) {
    const struct weight *w = cards_part(c, k, &l->w);
    struct range r = cards_rows(c, c->own + k, &l->w);
    if (!w) return false;
    *to = *l;
    to->w = *w;
    to->bias = l->bias ? cards_at(c, k, l->bias + r.first) : NULL;
    return !l->bias || to->bias;
}

static bool experts_there(struct cards *c, uint32_t k, const void *of, size_t n, void *to) {
    const struct expert *x = of;
    struct expert *own = to;
    for (size_t i = 0; i < n; i++)
        if (!part_of_linear(c, k, &x[i].gate, &own[i].gate) || !part_of_linear(c, k, &x[i].up, &own[i].up) ||
            !part_of_linear(c, k, &x[i].down, &own[i].down))
            return false;
    return true;
}

// The mixture as card k has it; no experts: it could not be made.
static struct experts there(struct cards *c, uint32_t k, const struct experts *a) {
    struct experts b = *a;
    b.expert = cards_twin(c, k, a->expert, a->n, sizeof *a->expert, experts_there);
    b.chosen = cards_at(c, k, a->chosen);
    b.weight = cards_at(c, k, a->weight);
    b.x = cards_at(c, k, a->x);
    b.out = cards_at(c, k, a->out);
    b.gathered = cards_at(c, k, a->gathered);
    b.given = cards_at(c, k, a->given);
    b.gated = cards_at(c, k, a->gated);
    b.inner = cards_at(c, k, a->inner);
    b.by = cards_at(c, k, a->by);
    b.places = cards_at(c, k, a->places);
    if (c->failed.status) b.expert = NULL;
    return b;
}

// All experts of a mixture have matrices of one shape, so what a card makes of a place is one number of columns.
struct of_places {
    const struct weight *w;
    dfloat *y;
    size_t places;
};

static struct piece piece_of_places(const struct cards *c, const void *arg, size_t k, uint32_t i) {
    const struct of_places *p = arg;
    struct range r = cards_rows(c, i, p->w);
    return (struct piece){p->y, p->w->rows, p->places, r.first, r.n};
}

// One step on all cards, and what they made of the places gathered at y.
static void mix(struct cards *c, const struct experts *a, enum mixing step, const struct weight *w, dfloat *y) {
    size_t places = a->rows * a->used;
    bool split = w && cards_split(c, w);
    struct of_places all = {w, y, places};
    if (split && !cards_room(c, places * w->rows)) return;
    for (uint32_t k = 0; k < c->count && !c->failed.status; k++) {
        struct experts b = there(c, k, a);
        size_t own = split ? cards_rows(c, c->own + k, w).n : 0;
        b.step = step;
        if (split && step == MIX_INNER) b.wide = own, b.inner = c->made[c->turn][k];
        if (split && step == MIX_GIVEN) b.given = c->made[c->turn][k];
        if (!b.expert || (split && step == MIX_GIVEN && !own)) continue;
        c->card[k]->ops->experts(c->card[k], &b);
    }
    if (split) cards_gather(c, 1, piece_of_places, &all);
}

void cards_experts(struct device *d, const struct experts *a) {
    struct cards *c = cards_of(d);
    if (!c->steps) {
        mix(c, a, MIX_ALL, NULL, NULL);
        return;
    }
    mix(c, a, MIX_INNER, &a->expert[0].gate.w, a->inner);
    mix(c, a, MIX_GIVEN, &a->expert[0].down.w, a->given);
    mix(c, a, MIX_SUM, NULL, NULL);
}
