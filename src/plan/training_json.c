// A training's plan as JSON: each figure with its interval, before anything begins.
#include "plan/plan.h"

#include <math.h>

static const char how_card[] =
    "operations that the pass counts, forward and backward, at 0.42 of the rated bf16 (fp8 if asked for), what "
    "pipelines wait and what tensors, experts and examples move; gyr was not measured on these cards";
static const char how_here[] =
    "operations that the pass counts, forward and backward, at half of this machine's float32";

static json_t *figure(double value, double slow, double fast, const char *detail, const char *source,
                      const char *date) {
    bool known = isfinite(value) && value > 0;
    json_t *f = json_pack("{s:o, s:s, s:s}", "value", known ? json_real(value) : json_null(), "basis",
                          known ? "estimated" : "unknown", "detail", detail);
    if (known) json_object_set_new(f, "interval", json_pack("[f, f]", value * fast, value * slow));
    if (known && source) json_object_set_new(f, "source", json_string(source));
    if (known && date) json_object_set_new(f, "date", json_string(date));
    return f;
}

static json_t *memory(const struct training *t) {
    const struct sharing *s = &t->best;
    json_t *f =
        figure(s->bytes, 1.25, 0.85,
               "of the fullest card: 16-bit weights (frozen ones as they are), 32-bit gradients and AdamW's states",
               NULL, NULL);
    json_object_set_new(f, "parts",
                        json_pack("{s:f, s:f, s:f, s:f}", "weights", s->weights, "gradients", s->gradients, "optimizer",
                                  s->optimizer, "activations", s->activations));
    json_object_set_new(f, "room_bytes", json_real(t->room));
    return f;
}

static json_t *layout(const struct training *t) {
    static const char *const sharded[] = {"states", "gradients", "weights"};
    const struct sharing *s = &t->best;
    return json_pack("{s:I, s:I, s:I, s:I, s:s, s:b, s:f, s:f, s:f, s:I}", "tensor", (json_int_t)s->tensor, "pipeline",
                     (json_int_t)s->pipeline, "expert", (json_int_t)s->expert, "data", (json_int_t)s->data, "sharded",
                     sharded[s->sharded], "activations_recomputed", s->recompute, "compute_share",
                     s->compute / s->seconds, "waiting_share", s->waiting / s->seconds, "moving_share",
                     s->moving / s->seconds, "tried", (json_int_t)t->tried);
}

static json_t *price(const struct plan *p, const struct training *t) {
    const struct place_for *at = &p->place[0];
    const struct price *row = at->card ? price_of(p->prices, at->card) : NULL;
    const struct price *power = price_of(p->prices, NULL);
    double hours = t->seconds / 3600 * (double)at->n, usd = 0;
    const char *detail = "rent of all the cards";
    if (row && !isnan(row->hour)) {
        usd = hours * row->hour;
    } else if (row) {
        detail = "the price to buy over three years, and electricity";
        usd = hours * row->buy / (3 * 365.25 * 24);
        if (power && !isnan(power->hour)) usd += t->joules / 3.6e6 * power->hour;
    } else {
        detail = !at->card   ? "what this machine costs is not known"
                 : p->prices ? "no price of the card in the file"
                             : "no prices: give --prices FILE";
    }
    return figure(usd, t->slow, t->fast, detail, row ? row->source : NULL, row ? row->date : NULL);
}

json_t *training_json(const struct plan *p) {
    const struct training *t = &p->training;
    const struct lesson *l = &p->lesson;
    const struct place_for *at = &p->place[0];
    const char *how = at->card ? how_card : how_here, *source = at->card ? at->card->source : "this machine";
    const char *date = at->card ? CATALOGUE_DATE : p->date;
    double unknown = at->card ? 0 : NAN; // this machine's power
    json_t *o = json_pack("{s:s, s:f, s:f, s:f, s:f, s:b, s:b}", "kind", l->tune ? "tune" : "train", "tokens",
                          l->tokens, "sequence", l->sequence, "batch_tokens", l->batch, "trained_parameters",
                          l->trained, "fp8", l->fp8 && at->card && at->card->fp8 > 0, "fits", t->fits);
    json_object_set_new(o, "flop",
                        figure(t->flop, 1.05, 0.95, "counted: forward, and backward twice or, of frozen weights, once",
                               "the model's head", p->date));
    json_object_set_new(o, "memory_bytes", memory(t));
    json_object_set_new(o, "layout", layout(t));
    json_object_set_new(
        o, "tokens_per_s",
        figure(t->seconds > 0 ? l->tokens / t->seconds : 0, 1 / t->fast, 1 / t->slow, how, source, date));
    json_object_set_new(o, "seconds", figure(t->seconds, t->slow, t->fast, how, source, date));
    json_object_set_new(o, "card_hours",
                        figure(t->seconds / 3600 * (double)at->n, t->slow, t->fast, how, source, date));
    json_object_set_new(o, "joules",
                        figure(t->joules + unknown, t->slow * 1.2, t->fast * 0.7,
                               "0.9 of the most that the cards draw, without the machines around them", source, date));
    json_object_set_new(o, "usd", price(p, t));
    return o;
}
