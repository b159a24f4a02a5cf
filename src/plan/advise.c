// What else would do: fewer bits, more of the same cards, other cards.
#include "plan/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OF_A_KIND = 16, MOST_LINES = 8 };
static const enum type fewer[] = {TYPE_Q8_0, TYPE_Q6_K, TYPE_Q5_K, TYPE_Q4_K, TYPE_Q3_K, TYPE_Q2_K};
enum { FEWER = sizeof fewer / sizeof *fewer };

static double bits(enum type t) { return 8.0 * type_info(t)->bytes / type_info(t)->block; }

// The type that most bytes of a pass are of.
const struct type_info *demand_type(const struct demand *d) {
    double most = 0;
    const struct type_info *best = NULL;
    for (size_t i = 0; i < d->prompt.n; i++) {
        double sum = 0;
        for (size_t k = 0; k < d->prompt.n; k++)
            if (d->prompt.ops[k].type == d->prompt.ops[i].type && d->prompt.ops[k].work == WORK_PRODUCT)
                sum += d->prompt.ops[k].weights * (double)d->prompt.ops[k].calls;
        if (d->prompt.ops[i].work == WORK_PRODUCT && sum > most) most = sum, best = type_info(d->prompt.ops[i].type);
    }
    return best;
}

static bool retype(struct step *to, const struct step *from, enum type type) {
    *to = *from;
    to->ops = malloc((from->n + 1) * sizeof *to->ops);
    if (!to->ops) return false;
    for (size_t i = 0; i < from->n; i++) {
        struct counted *c = &to->ops[i];
        *c = from->ops[i];
        if (c->work != WORK_PRODUCT || bits(c->type) <= bits(type) || c->type == TYPE_F32) continue;
        c->weights *= bits(type) / bits(c->type);
        c->type = type;
    }
    return true;
}

bool demand_as(struct demand *out, const struct demand *d, enum type type) {
    const struct type_info *now = demand_type(d);
    double by = now ? bits(type) * now->block / (8.0 * now->bytes) : 1;
    *out = *d;
    out->prompt.ops = out->answer.ops = NULL;
    out->layer *= by < 1 ? by : 1;
    out->rest *= by < 1 ? by : 1;
    bool ok = retype(&out->prompt, &d->prompt, type) && retype(&out->answer, &d->answer, type);
    if (!ok) demand_free(out);
    return ok;
}

static double tokens_of(const struct layout *l, const struct demand *d) {
    const struct spent *s = d->encoder ? &l->prompt : &l->answer;
    return s->seconds > 0 ? (d->encoder ? d->prompt.tokens : d->answer.tokens) / s->seconds : 0;
}

static void put(json_t *list, const char *kind, const char *on, size_t n, const char *type, const struct layout *l,
                const struct demand *d, double usd, const char *usd_key) {
    double rate = tokens_of(l, d);
    json_t *o = json_pack("{s:s, s:s, s:I, s:s, s:f, s:b}", "kind", kind, "on", on, "count", (json_int_t)n, "type",
                          type ? type : "", "memory_bytes", l->bytes, "fits", l->fits);
    if (rate > 0) json_object_set_new(o, "tokens_per_s", json_real(rate));
    if (usd > 0) json_object_set_new(o, usd_key, json_real(usd));
    json_object_set_new(o, "basis", json_string("estimated"));
    json_array_append_new(list, o);
}

// On the same cards: the most bits that fit, or, where it fits, those that are worth having for speed.
static void advise_bits(json_t *list, const struct plan *p, const char *on) {
    const struct type_info *now = demand_type(&p->demand);
    size_t said = 0;
    if (p->here && p->layout.fits) return; // rates were timed of the types that the model has
    for (size_t i = 0; i < FEWER && now; i++) {
        struct demand d;
        struct layout l;
        if (bits(fewer[i]) >= 8.0 * now->bytes / now->block * 0.8 || !demand_as(&d, &p->demand, fewer[i])) continue;
        lay_out(&l, &d, p->place, p->n_places);
        bool say = p->layout.fits ? fewer[i] == TYPE_Q8_0 || fewer[i] == TYPE_Q4_K : l.fits && !said;
        if (say) {
            put(list, "fewer bits", on, p->here ? 1 : mix_cards(&p->mix), type_info(fewer[i])->name, &l, &d, 0, "");
            said++;
        }
        demand_free(&d);
    }
}

// How many of a card would do; 0: more than a machine has.
static size_t enough(struct layout *l, const struct accelerator *a, const struct demand *d, const struct rates *r) {
    for (size_t n = 1; n <= MOST_OF_A_KIND; n++) {
        struct place_for at = {.card = a, .n = n, .room = card_room(a), .watts = a->watts, .rates = *r};
        lay_out(l, d, &at, 1);
        if (l->fits) return n;
    }
    return 0;
}

static void advise_more(json_t *list, const struct plan *p) {
    struct layout l;
    const struct accelerator *a = p->place[0].card;
    if (p->layout.fits || p->n_places != 1 || p->here) return;
    size_t n = enough(&l, a, &p->demand, &p->place[0].rates);
    const struct type_info *now = demand_type(&p->demand);
    if (n) put(list, "more cards", a->name, n, now ? now->name : "", &l, &p->demand, 0, "");
}

struct offer {
    const struct accelerator *card;
    size_t n;
    enum type type;
    bool retyped;
    struct layout layout;
    double usd, rate;
};

// Cheaper first where there are prices; else fewer cards, then less memory.
static int by_worth(const void *a, const void *b) {
    const struct offer *x = a, *y = b;
    if (x->usd != y->usd && x->usd > 0 && y->usd > 0) return x->usd < y->usd ? -1 : 1;
    if ((x->usd > 0) != (y->usd > 0)) return x->usd > 0 ? -1 : 1;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    if (x->retyped != y->retyped) return x->retyped ? 1 : -1;
    double mine = x->card->memory, theirs = y->card->memory;
    return mine == theirs ? 0 : mine < theirs ? -1 : 1;
}

static double price_for(const struct plan *p, const struct accelerator *a) {
    const struct price *price = price_of(p->prices, a);
    double usd = !price ? NAN : p->budget.usd > 0 && !p->budget.hourly ? price->buy : price->hour;
    return usd > 0 ? usd : 0;
}

// An offer of a card for a demand; false if it does not do, or is not to be had for the budget.
static bool offer(struct offer *o, const struct plan *p, const struct accelerator *a, const struct demand *d) {
    struct rates r = rates_of_card(a);
    *o = (struct offer){.card = a};
    if (a->confidence == CONFIDENCE_LOW || !(a->read > 0) || !(a->memory > 0)) return false;
    if (!(o->n = enough(&o->layout, a, d, &r))) return false;
    o->usd = price_for(p, a) * (double)o->n;
    o->rate = tokens_of(&o->layout, d);
    return !(p->budget.usd > 0) || (o->usd > 0 && o->usd <= p->budget.usd);
}

// Cards that would do, with the weights as they are and in four bits.
static void advise_cards(json_t *list, const struct plan *p) {
    const struct accelerator *a;
    struct demand four = {0}, all_of_it = p->demand;
    const struct type_info *now = demand_type(&p->demand);
    size_t n = 0, rows = 0;
    if (p->here) demand_mapped(&all_of_it, -1);
    while (accelerator_row(rows)) rows++;
    struct offer *all = calloc(2 * rows + 1, sizeof *all);
    bool smaller = now && 8.0 * now->bytes / now->block > 6 && demand_as(&four, &all_of_it, TYPE_Q4_K);
    for (size_t i = 0; all && (a = accelerator_row(i)); i++) {
        size_t whole = offer(&all[n], p, a, &all_of_it) ? all[n++].n : SIZE_MAX;
        if (smaller && whole > 1 && offer(&all[n], p, a, &four)) {
            all[n].retyped = true;
            all[n++].type = TYPE_Q4_K;
        }
    }
    if (all) qsort(all, n, sizeof *all, by_worth);
    for (size_t i = 0; i < n && i < MOST_LINES; i++) {
        const struct offer *o = &all[i];
        const char *type = o->retyped ? type_info(o->type)->name : now ? now->name : "";
        put(list, "would do", o->card->name, o->n, type, &o->layout, o->retyped ? &four : &all_of_it, o->usd,
            p->budget.usd > 0 && !p->budget.hourly ? "usd" : "usd_an_hour");
    }
    demand_free(&four);
    free(all);
}

json_t *plan_advice(const struct plan *p) {
    json_t *list = json_array();
    const char *on = p->here ? "this machine" : p->o->on;
    advise_bits(list, p, on);
    advise_more(list, p);
    if (!p->layout.fits || p->prices) advise_cards(list, p);
    return list;
}
