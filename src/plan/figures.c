// A plan as JSON: every figure with how it came to be.
#include "base/utf8.h"
#include "plan/plan.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char counted[] = "counted: the model's tensors, and its pass run on a device that only counts";

// A figure; 0 and what is not finite is unknown. slow and fast 0: no interval.
static json_t *figure(double value, enum basis basis, double slow, double fast, const char *detail, const char *source,
                      const char *date) {
    bool known = isfinite(value) && value > 0 && basis != BASIS_UNKNOWN;
    json_t *f = json_pack("{s:o, s:s, s:s}", "value", known ? json_real(value) : json_null(), "basis",
                          basis_name(known ? basis : BASIS_UNKNOWN), "detail", detail);
    if (known && slow > 0) json_object_set_new(f, "interval", json_pack("[f, f]", value * slow, value * fast));
    if (known && source && *source) json_object_set_new(f, "source", json_string(source));
    if (known && date && *date) json_object_set_new(f, "date", json_string(date));
    return f;
}

static json_t *memory(const struct plan *p) {
    const struct demand *d = &p->demand;
    json_t *f = figure(p->layout.bytes, BASIS_ESTIMATED, 0.98, 1.02, counted, "the model's head", p->date);
    double program = p->here ? d->program : 0;
    double rest = p->layout.bytes - d->layer * d->layers - d->rest - d->cache - d->states - program;
    json_object_set_new(f, "parts",
                        json_pack("{s:f, s:f, s:f, s:f, s:f}", "weights", d->layer * d->layers + d->rest, "cache",
                                  d->cache, "states", d->states, "activations", rest, "program", program));
    return f;
}

static json_t *fits(const struct plan *p) {
    json_t *f = json_pack("{s:b, s:s, s:s, s:f}", "value", p->layout.fits, "basis", "estimated", "detail",
                          p->here ? "of this machine's memory a sixteenth is the system's"
                                  : "of a card's memory a twentieth is the driver's",
                          "room_bytes", p->layout.room);
    return f;
}

static const char *how(const struct plan *p) {
    if (p->here && !(p->place[0].rates.read > 0)) return "this machine was not measured; gyr bench does, and keeps it";
    if (p->from_kept)
        return "products, attention and norms timed on this machine by gyr bench, times what the pass counts of each";
    return p->here ? "products, attention and norms timed on this machine, times what the pass counts of each"
                   : "0.8 of the rated bandwidth, 0.55 (16-bit weights: 0.4) of the rated bf16 and 3 us an operation: "
                     "gyr was not measured on this card";
}

static const char *source_of(const struct plan *p) { return p->here ? "this machine" : p->place[0].card->source; }
static const char *date_of(const struct plan *p) {
    return p->from_kept ? p->kept.date : p->here ? p->date : CATALOGUE_DATE;
}

// `same`: what gyr bench measured of just this; NULL: it did not.
static json_t *rate(const struct plan *p, const struct spent *s, double tokens, const struct recorded_speed *same,
                    double measured) {
    const struct layout *l = &p->layout;
    if (same) return figure(measured, BASIS_MEASURED, 0.8, 1.25, "gyr bench measured it", "this machine", same->date);
    return figure(s->seconds > 0 ? tokens / s->seconds : 0, BASIS_ESTIMATED, l->slow, l->fast, how(p), source_of(p),
                  date_of(p));
}

static json_t *energy(const struct plan *p) {
    if (p->here) return figure(0, BASIS_UNKNOWN, 0, 0, "this machine's power was not measured", NULL, NULL);
    return figure(p->layout.joules, BASIS_ESTIMATED, 0.5, 2,
                  p->layout.joules > 0 ? "0.7 of the most that the cards draw, for the time that each computes"
                                       : "a card's power or speed is not known",
                  source_of(p), CATALOGUE_DATE);
}

// What the cards cost a second: rent; where there is only a price to buy at, that over three years.
static double usd_a_second(const struct plan *p, const struct price **first, bool *bought) {
    double sum = 0;
    for (size_t i = 0; i < p->n_places && !p->here; i++) {
        const struct price *price = price_of(p->prices, p->place[i].card);
        if (!price) return 0;
        bool rent = !isnan(price->hour);
        if (!*first) *first = price;
        *bought |= !rent;
        sum += (double)p->place[i].n * (rent ? price->hour / 3600 : price->buy / (3 * 365.25 * 86400));
    }
    return sum;
}

static json_t *cost(const struct plan *p) {
    const struct layout *l = &p->layout;
    const struct price *first = NULL, *power = price_of(p->prices, NULL);
    bool bought = false;
    double a_second = usd_a_second(p, &first, &bought);
    double seconds = l->answer.seconds > 0 ? l->answer.seconds / p->demand.answer.tokens : 0;
    double joules = bought && power && !isnan(power->hour) ? l->joules / 3.6e6 * power->hour : 0;
    const char *detail = p->here           ? "what this machine costs is not known"
                         : !p->prices      ? "no prices: give --prices FILE"
                         : !(a_second > 0) ? "a card has no price in the file"
                         : !(seconds > 0)  ? "the speed is not known"
                         : bought && power ? "the price to buy over three years, and electricity"
                         : bought          ? "the price to buy over three years, without electricity"
                                           : "rent, all users' tokens together";
    return figure((a_second * seconds + joules) * 1e6, BASIS_ESTIMATED, 1 / l->fast, 1 / l->slow, detail,
                  first ? first->source : NULL, first ? first->date : NULL);
}

// What decides how long a step takes.
static const char *bound(const struct spent *s) {
    if (!(s->seconds > 0)) return "unknown";
    if (s->read >= s->compute && s->read >= s->other) return "memory bandwidth";
    return s->compute >= s->other ? "arithmetic" : "operations' fixed cost";
}

static json_t *limits(const struct plan *p) {
    const struct layout *l = &p->layout;
    return json_pack("{s:s, s:s, s:s}", "first",
                     l->fits ? bound(p->demand.encoder ? &l->prompt : &l->answer) : "capacity", "prefill",
                     bound(&l->prompt), "decode", p->demand.encoder ? "none" : bound(&l->answer));
}

// What was timed on this machine.
static json_t *timed_json(const struct plan *p, const struct rates *r) {
    json_t *o =
        json_pack("{s:f, s:f, s:f, s:f, s:f, s:s, s:s}", "read_bytes_per_s", r->read, "attention_ops_per_s", r->attend,
                  "attention_ops_per_s_one", r->attend_one, "seconds_an_operation", r->call, "seconds_a_product",
                  r->product, "basis", r->read > 0 ? "measured" : "unknown", "date", date_of(p));
    json_t *products = json_object();
    for (size_t i = 0; i < r->n_timed; i++) {
        json_t *rows = json_object();
        for (int k = 0; k < ROW_COUNTS; k++) {
            char name[24];
            snprintf(name, sizeof name, "%zu", row_counts[k]);
            json_object_set_new(rows, name, json_real(1 / r->timed[i].seconds[k]));
        }
        json_object_set_new(products, type_info(r->timed[i].type)->name, rows);
    }
    json_object_set_new(o, "weight_bytes_per_s_by_rows", products);
    return o;
}

static json_t *card_json(const struct plan *p, size_t i) {
    static const char *const confidence[] = {"low", "medium", "high"};
    const struct place_for *at = &p->place[i];
    const struct given *g = &p->layout.given[i];
    const struct accelerator *a = at->card;
    json_t *c = json_pack("{s:s, s:I, s:I, s:I, s:f, s:f}", "name", a ? a->name : p->here_name, "count",
                          (json_int_t)at->n, "used", (json_int_t)g->cards, "layers", (json_int_t)g->layers,
                          "memory_bytes", g->bytes, "room_bytes", at->room * (double)at->n);
    if (!a) {
        json_object_set_new(c, "rates", timed_json(p, &at->rates));
        return c;
    }
    json_object_set_new(c, "rated",
                        json_pack("{s:f, s:f, s:f, s:f, s:s, s:s, s:s, s:s, s:s}", "memory_gb", a->memory,
                                  "bandwidth_gbps", a->read, "bf16_tflops", a->bf16, "watts", a->watts, "basis",
                                  "specified", "confidence", confidence[a->confidence], "source", a->source, "date",
                                  CATALOGUE_DATE, "notes", a->notes));
    if (*a->export_status) json_object_set_new(c, "export_status", json_string(a->export_status));
    return c;
}

static json_t *notes(const struct plan *p) {
    json_t *all = json_array();
    for (size_t i = 0; i < p->mix.n; i++) {
        const struct cards *c = &p->mix.kind[i];
        if (c->others)
            json_array_append_new(
                all, json_sprintf("there are several forms of this card; this plan is for the %s", c->card->name));
        if (c->card->confidence == CONFIDENCE_LOW)
            json_array_append_new(all, json_sprintf("%s: its figures are of low confidence; check them before you rely "
                                                    "on this plan",
                                                    c->card->name));
        if (!(c->card->bf16 > 0))
            json_array_append_new(
                all,
                json_sprintf("%s: its arithmetic rate is not known, so neither is prefill's speed", c->card->name));
    }
    if (mix_cards(&p->mix) > 1 && !p->o->tune && !p->o->train)
        json_array_append_new(all, json_string("layers are spread over the cards, which compute one after the other: "
                                               "more cards hold more, and are no faster"));
    if (!p->here && !p->layout.fits && p->layout.layers && !p->o->tune && !p->o->train)
        json_array_append_new(
            all, json_sprintf("%u of %u layers have room on the cards; gyr run %s", p->layout.layers, p->demand.layers,
                              p->o->no_cpu ? "--no-cpu refuses the model"
                                           : "has the others on the CPU of their machine, which is slower "
                                             "(--gpu-layers)"));
    if (*p->kept.note) json_array_append_new(all, json_string(p->kept.note));
    if (p->here && p->layout.fits && p->layout.bytes > p->here_free)
        json_array_append_new(all,
                              json_sprintf("other programs hold memory now: %.1f GB are free", p->here_free / 1e9));
    return all;
}

static json_t *model_json(const struct plan *p) {
    const struct type_info *type = demand_type(&p->demand);
    const char *name =
        utf8_valid(p->checkpoint->path, strlen(p->checkpoint->path)) ? p->checkpoint->path : "(not UTF-8)";
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:I}", "name", name, "architecture", p->checkpoint->architecture,
                     "from", p->shape ? "shape" : "file", "type", type ? type->name : "", "parameters",
                     (json_int_t)p->demand.parameters, "layers", (json_int_t)p->demand.layers);
}

json_t *plan_json(const struct plan *p) {
    const struct layout *l = &p->layout;
    json_t *all = json_object(), *cards = json_array();
    for (size_t i = 0; i < p->n_places; i++) json_array_append_new(cards, card_json(p, i));
    json_object_set_new(all, "model", model_json(p));
    json_object_set_new(all, "on", json_string(p->here ? "this machine" : p->o->on));
    json_object_set_new(all, "users", json_integer((json_int_t)p->usage.users));
    json_object_set_new(all, "context", json_integer((json_int_t)p->usage.context));
    json_object_set_new(all, "prompt", json_integer((json_int_t)p->usage.prompt));
    json_object_set_new(all, "kv_type", json_string(type_info(p->demand.kv_type)->name));
    json_object_set_new(all, "fits", fits(p));
    json_object_set_new(all, "memory_bytes", memory(p));
    if (*p->where.why) json_object_set_new(all, "placement", json_string(p->where.why));
    const struct recorded_speed *prefill = record_prefill(&p->kept, p->usage.prompt);
    const struct recorded_speed *decode =
        record_decode(&p->kept, p->usage.users, (double)(p->usage.prompt + p->usage.context) / 2);
    json_object_set_new(all, "prefill_tokens_per_s",
                        rate(p, &l->prompt, p->demand.prompt.tokens, prefill, prefill ? prefill->is.prefill : 0));
    json_object_set_new(all, "decode_tokens_per_s",
                        rate(p, &l->answer, p->demand.answer.tokens, decode, decode ? decode->is.decode : 0));
    json_object_set_new(all, "joules_per_token", energy(p));
    json_object_set_new(all, "cost_per_million_tokens", cost(p));
    json_object_set_new(all, "limited_by", limits(p));
    json_object_set_new(all, "cards", cards);
    json_object_set_new(all, "advice", plan_advice(p));
    json_object_set_new(all, "notes", notes(p));
    if (p->o->tune || p->o->train) json_object_set_new(all, "training", training_json(p));
    json_object_set_new(all, "date", json_string(p->date));
    json_object_set_new(all, "summary", plan_summary(all));
    return all;
}
