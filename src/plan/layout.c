#include "plan/layout.h"
#include "plan/power.h"

#include <math.h>
#include <string.h>

// Seconds that handing a step on from card to card takes in any case.
static const double seconds_hop = 20e-6;

double card_room(const struct accelerator *a) {
    double all = a->memory * 1e9, kept = all * 0.05;
    return all - (kept < 0.5e9 ? 0.5e9 : kept);
}

static double layer_bytes(const struct demand *d) { return d->layer + (d->cache + d->states) / d->layers; }

// How many layers a card has room for, beside its own activations, and what belongs to no layer where it has that.
static double most_layers(const struct demand *d, const struct place_for *p, bool rest) {
    double left = p->room - d->work - (rest ? d->rest : 0);
    return left < 0 ? 0 : fmin(floor(left / layer_bytes(d)), d->layers);
}

// The kind of card that has what belongs to no layer: of the largest ones.
static size_t place_of_rest(const struct place_for *p, size_t n) {
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (p[i].room > p[best].room) best = i;
    return best;
}

struct speeds {
    struct spent prompt[MAX_KINDS_OF_CARD], answer[MAX_KINDS_OF_CARD]; // with all layers on one
};

static double pace(const struct speeds *s, size_t i) {
    const struct spent *by = s->answer[i].seconds > 0 ? &s->answer[i] : &s->prompt[i];
    return by->seconds > 0 ? by->seconds : INFINITY;
}

// The fastest cards are filled first: while one computes, the others wait for it.
static void give_layers(struct layout *l, const struct demand *d, const struct place_for *p, size_t n,
                        const struct speeds *s) {
    double left = d->layers;
    size_t rest = place_of_rest(p, n);
    for (size_t done = 0; done < n && left > 0; done++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!l->given[i].cards && (best == n || pace(s, i) < pace(s, best))) best = i;
        struct given *g = &l->given[best];
        for (size_t k = 0; k < p[best].n && left > 0; k++) {
            double take = fmin(left, most_layers(d, &p[best], best == rest && !k));
            if (take <= 0 && !(best == rest && !k)) break;
            g->cards++;
            g->layers += (uint32_t)take;
            left -= take;
        }
        if (!g->cards) g->cards = SIZE_MAX; // none fits: not asked again
    }
    for (size_t i = 0; i < n; i++)
        if (l->given[i].cards == SIZE_MAX) l->given[i].cards = 0;
    l->fits = left <= 0 && d->rest + d->work <= p[rest].room;
    l->layers = d->rest + d->work <= p[rest].room ? (uint32_t)(d->layers - left) : 0;
}

// Where it does not fit, how it would go if it did: every kind has its share.
static void share_out(struct layout *l, const struct demand *d, const struct place_for *p, size_t n) {
    double all = 0;
    for (size_t i = 0; i < n; i++) all += p[i].room * (double)p[i].n;
    for (size_t i = 0; i < n; i++) {
        l->given[i].cards = p[i].n;
        l->given[i].layers = (uint32_t)(d->layers * p[i].room * (double)p[i].n / all);
    }
}

static struct spent share_of(struct spent s, double share) {
    return (struct spent){s.seconds * share, s.read * share, s.compute * share, s.other * share};
}

static void add(struct spent *to, const struct spent *s) {
    to->seconds += s->seconds;
    to->read += s->read;
    to->compute += s->compute;
    to->other += s->other;
}

static void sum_up(struct layout *l, const struct demand *d, const struct place_for *p, size_t n,
                   const struct speeds *s) {
    bool known = true, answers = true, watts = true;
    size_t cards = 0, rest = place_of_rest(p, n);
    for (size_t i = 0; i < n; i++) {
        struct given *g = &l->given[i];
        double share = (double)g->layers / d->layers;
        if (!g->cards) continue;
        g->bytes = layer_bytes(d) * g->layers + d->work * (double)g->cards + (i == rest ? d->rest : 0);
        g->prompt = share_of(s->prompt[i], share);
        g->answer = share_of(s->answer[i], share);
        add(&l->prompt, &g->prompt);
        add(&l->answer, &g->answer);
        known = known && (!share || s->prompt[i].seconds > 0);
        answers = answers && (!share || s->answer[i].seconds > 0);
        watts = watts && p[i].watts > 0;
        l->joules += g->answer.seconds * p[i].watts * share_watts;
        l->bytes += g->bytes;
        cards += g->cards;
        if (p[i].rates.basis < l->basis) l->basis = p[i].rates.basis;
        l->slow = fmin(l->slow, p[i].rates.slow);
        l->fast = fmax(l->fast, p[i].rates.fast);
    }
    double hops = cards ? (double)(cards - 1) * seconds_hop : 0;
    add(&l->prompt, &(struct spent){hops, 0, 0, hops});
    add(&l->answer, &(struct spent){hops, 0, 0, hops});
    if (!known) l->prompt = (struct spent){0};
    if (!answers || d->encoder) l->answer = (struct spent){0};
    l->joules = watts && l->answer.seconds > 0 ? l->joules / d->answer.tokens : 0;
}

void lay_out(struct layout *l, const struct demand *d, const struct place_for *p, size_t n) {
    struct speeds s = {0};
    *l = (struct layout){.basis = BASIS_MEASURED, .slow = 1, .fast = 1};
    for (size_t i = 0; i < n; i++) {
        s.prompt[i] = step_seconds(&p[i].rates, &d->prompt);
        s.answer[i] = step_seconds(&p[i].rates, &d->answer);
        l->room += p[i].room * (double)p[i].n;
    }
    give_layers(l, d, p, n, &s);
    if (!l->fits) {
        memset(l->given, 0, sizeof l->given);
        share_out(l, d, p, n);
    }
    sum_up(l, d, p, n, &s);
    if (!l->fits) l->bytes = demand_bytes(d);
}
