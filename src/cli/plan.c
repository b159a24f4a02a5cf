// gyr plan: will it fit, how fast will it be, what will it cost.
#include "open.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan_options {
    const char *on, *type, *prices, *budget, *kv_type, *train, *tokens, *batch;
    uint64_t users, context, prompt, threads, rank;
    bool json, tune, fp8, no_cpu;
};

#define FIELD(name) offsetof(struct plan_options, name)

static const struct option options[] = {
    {"on", 0, "CARDS", "cards: \"2 x H800 + 4 x L4\" (else this machine)", OPTION_TEXT, FIELD(on)},
    {"type", 0, "TYPE", "element type of a shape's matrices (f16)", OPTION_TEXT, FIELD(type)},
    {"users", 'u', "N", "answers at once (1)", OPTION_WHOLE, FIELD(users), 1, 4096},
    {"context", 'c', "N", "tokens of each (4096, or the model's if less)", OPTION_WHOLE, FIELD(context), 1, 1 << 28},
    {"prompt", 'p', "N", "tokens of a prompt (512)", OPTION_WHOLE, FIELD(prompt), 1, 1 << 28},
    {"kv-type", 0, KV_TYPES, "the KV cache's type", OPTION_CHOICE, FIELD(kv_type), .alias = "kv"},
    {"no-cpu", 0, NULL, "cards alone: what they have no room for is an error", OPTION_FLAG, FIELD(no_cpu)},
    {"threads", 't', "N", "worker threads of this machine", OPTION_WHOLE, FIELD(threads), 1, 1024},
    {"prices", 0, "FILE", "prices of cards and electricity", OPTION_TEXT, FIELD(prices)},
    {"budget", 0, "USD", "what would do for it: 20000, or 8/h to rent", OPTION_TEXT, FIELD(budget)},
    {"tune", 0, NULL, "plan to fine-tune: an adapter (LoRA)", OPTION_FLAG, FIELD(tune)},
    {"train", 0, "TOKENS", "plan to train all weights with so many: 15T", OPTION_TEXT, FIELD(train)},
    {"tokens", 0, "TOKENS", "to tune with (10M)", OPTION_TEXT, FIELD(tokens)},
    {"rank", 0, "N", "of the adapter (16)", OPTION_WHOLE, FIELD(rank), 1, 4096},
    {"batch", 0, "TOKENS", "of a step of the optimizer (what is usual)", OPTION_TEXT, FIELD(batch)},
    {"fp8", 0, NULL, "products of 8 bits where the cards have them", OPTION_FLAG, FIELD(fp8)},
    {"json", 0, NULL, "print JSON", OPTION_FLAG, FIELD(json)},
    {0}};

static const struct syntax syntax = {"plan",
                                     "MODEL",
                                     "Say whether a model fits, how fast it will be and what it costs.",
                                     "gyr plan falcon-40b --on MI300X",
                                     options,
                                     1,
                                     1};

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

// Three digits, and no more than a person wants of an estimate.
static const char *few(double x) {
    static char text[8][32];
    static int turn;
    char *out = text[turn++ % 8];
    const char *how = x >= 99.5 ? "%.0f" : x >= 9.95 ? "%.1f" : x > 0 && x < 0.095 ? "%.2g" : "%.2f";
    snprintf(out, sizeof text[0], how, x);
    return out;
}

static void print_figure(const json_t *all, const char *name, const char *key, const char *unit) {
    const json_t *f = json_object_get(all, key), *bounds = json_object_get(f, "interval");
    double value = number(f, "value");
    char figure[64] = "unknown", spread[64] = "";
    if (value > 0) snprintf(figure, sizeof figure, "%s %s", few(value), unit);
    if (value > 0 && bounds)
        snprintf(spread, sizeof spread, "%s - %s", few(json_number_value(json_array_get(bounds, 0))),
                 few(json_number_value(json_array_get(bounds, 1))));
    print("  %-11s %-24s %-16s %s\n", name, figure, spread, value > 0 ? string(f, "basis") : string(f, "detail"));
}

static void print_memory(const json_t *all) {
    const json_t *f = json_object_get(all, "memory_bytes"), *parts = json_object_get(f, "parts"), *part;
    const json_t *fits = json_object_get(all, "fits");
    const char *name;
    size_t n = 0;
    print("  %-11s %s: %s of %s\n", "fits", json_is_true(json_object_get(fits, "value")) ? "yes" : "no",
          human_bytes(number(f, "value")), human_bytes(number(fits, "room_bytes")));
    print("  %-11s", "memory");
    json_object_foreach((json_t *)parts, name, part) {
        if (json_number_value(part) > 0) print("%s %s %s", n++ ? "," : "", name, human_bytes(json_number_value(part)));
    }
    print("\n");
}

static void print_cards(const json_t *all) {
    size_t i;
    json_t *card;
    json_array_foreach(json_object_get(all, "cards"), i, card) {
        const json_t *rated = json_object_get(card, "rated");
        print("%s %.0f x %s", i ? "\n" : "", number(card, "count"), string(card, "name"));
        bool several = json_array_size(json_object_get(all, "cards")) > 1 || number(card, "count") > 1;
        if (several && !json_object_get(all, "training"))
            print(": %.0f of %.0f layers on %.0f, %s of %s", number(card, "layers"),
                  number(json_object_get(all, "model"), "layers"), number(card, "used"),
                  human_bytes(number(card, "memory_bytes")), human_bytes(number(card, "room_bytes")));
        if (rated)
            print("\n   %s GB at %s GB/s, %s Tflop/s bf16 (specified; %s confidence, %s)",
                  few(number(rated, "memory_gb")), few(number(rated, "bandwidth_gbps")),
                  number(rated, "bf16_tflops") > 0 ? few(number(rated, "bf16_tflops")) : "unknown",
                  string(rated, "confidence"), string(rated, "date"));
        if (*string(card, "export_status")) print("\n   export: %s", string(card, "export_status"));
    }
    print("\n\n");
}

static void print_head(const json_t *all) {
    const json_t *m = json_object_get(all, "model");
    print("%s: %s, %s, %s parameters\n", string(m, "name"), string(m, "architecture"), string(m, "type"),
          human_count(number(m, "parameters")));
    if (json_object_get(all, "training")) {
        print("on");
        print_cards(all);
        return;
    }
    print("%.0f user%s, a context of %.0f tokens%s, a prompt of %.0f, KV cache %s; on\n", number(all, "users"),
          number(all, "users") > 1 ? "s" : "", number(all, "context"), number(all, "users") > 1 ? " each" : "",
          number(all, "prompt"), string(all, "kv_type"));
    print_cards(all);
}

static void print_limits(const json_t *all) {
    const json_t *l = json_object_get(all, "limited_by");
    if (!strcmp(string(l, "first"), "capacity"))
        print("  %-11s memory: figures above are of how it would go if it fitted\n", "limited by");
    else
        print("  %-11s decode: %s; prefill: %s\n", "limited by", string(l, "decode"), string(l, "prefill"));
}

static void print_advice(const json_t *all) {
    size_t i;
    json_t *a;
    const char *before = "";
    json_array_foreach(json_object_get(all, "advice"), i, a) {
        char cards[96], price[48] = "";
        const char *kind = string(a, "kind");
        if (strcmp(kind, before)) print("\n%s:\n", !strcmp(kind, "would do") ? "what would do" : kind);
        before = kind;
        if (!strcmp(kind, "fewer bits"))
            snprintf(cards, sizeof cards, "%s", string(a, "on"));
        else
            snprintf(cards, sizeof cards, "%.0f x %s", number(a, "count"), string(a, "on"));
        if (number(a, "usd") > 0) snprintf(price, sizeof price, "  %.0f USD", number(a, "usd"));
        if (number(a, "usd_an_hour") > 0) snprintf(price, sizeof price, "  %.2f USD/h", number(a, "usd_an_hour"));
        print("  %-34s %-7s %9s", cards, string(a, "type"), human_bytes(number(a, "memory_bytes")));
        if (number(a, "tokens_per_s") > 0) print("  %s tokens/s", few(number(a, "tokens_per_s")));
        print("%s%s\n", price, json_is_true(json_object_get(a, "fits")) ? "" : "  does not fit");
    }
}

// The last four stay.
static const char *with_unit(const char *number, const char *unit) {
    static char text[4][48];
    static int turn;
    char *out = text[turn++ % 4];
    snprintf(out, sizeof text[0], "%s %s", number, unit);
    return out;
}

static const char *duration(double s) {
    const double units[] = {86400, 3600, 60, 1};
    static const char *const names[] = {"days", "h", "min", "s"};
    int i = 0;
    while (i < 3 && s < 2 * units[i]) i++;
    return with_unit(few(s / units[i]), names[i]);
}

static const char *kilowatt_hours(double joules) {
    double kwh = joules / 3.6e6;
    return kwh >= 1e4 ? with_unit(few(kwh / 1e3), "MWh") : with_unit(few(kwh), "kWh");
}

static const char *dollars(double usd) {
    return usd >= 1e6 ? with_unit(few(usd / 1e6), "million USD") : with_unit(few(usd), "USD");
}

static const char *tokens_a_second(double n) { return with_unit(n < 1e4 ? few(n) : human_count(n), "tokens/s"); }

// A figure with its interval, both in words.
static void print_worded(const json_t *t, const char *name, const char *key, const char *(*word)(double)) {
    const json_t *f = json_object_get(t, key), *bounds = json_object_get(f, "interval");
    if (number(f, "value") > 0)
        print("  %-11s %-24s %s to %s, %s\n", name, word(number(f, "value")),
              word(json_number_value(json_array_get(bounds, 0))), word(json_number_value(json_array_get(bounds, 1))),
              string(f, "basis"));
    else
        print("  %-11s %-24s %s\n", name, "unknown", string(f, "detail"));
}

static void print_layout(const json_t *t) {
    const json_t *l = json_object_get(t, "layout");
    print("  %-11s tensor %.0f x pipeline %.0f x data %.0f", "layout", number(l, "tensor"), number(l, "pipeline"),
          number(l, "data"));
    if (number(l, "expert") > 1) print(", experts over %.0f", number(l, "expert"));
    const char *sharded = string(l, "sharded");
    bool some = number(l, "data") > 1;
    print("%s%s%s\n", some ? ", sharded " : "", some ? sharded : "",
          json_is_true(json_object_get(l, "activations_recomputed")) ? ", activations computed again" : "");
    print("  %-11s computing %.0f%%, waiting for the pipeline %.0f%%, moving %.0f%%\n", "of a step",
          100 * number(l, "compute_share"), 100 * number(l, "waiting_share"), 100 * number(l, "moving_share"));
}

static void print_training(const json_t *all) {
    const json_t *t = json_object_get(all, "training"), *m = json_object_get(t, "memory_bytes"), *part;
    const char *name;
    size_t n = 0;
    print("%s with %s tokens, in examples of %.0f and steps of %s; %s numbers change\n\n",
          strcmp(string(t, "kind"), "tune") ? "trained" : "tuned", human_count(number(t, "tokens")),
          number(t, "sequence"), human_count(number(t, "batch_tokens")), human_count(number(t, "trained_parameters")));
    print("  %-11s %s: a card needs %s of %s\n", "fits", json_is_true(json_object_get(t, "fits")) ? "yes" : "no",
          human_bytes(number(m, "value")), human_bytes(number(m, "room_bytes")));
    print("  %-11s", "memory");
    json_object_foreach((json_t *)json_object_get(m, "parts"), name, part)
        print("%s %s %s", n++ ? "," : "", name, human_bytes(json_number_value(part)));
    print("\n");
    print_layout(t);
    print_worded(t, "time", "seconds", duration);
    print_worded(t, "speed", "tokens_per_s", tokens_a_second);
    print_worded(t, "energy", "joules", kilowatt_hours);
    print_worded(t, "price", "usd", dollars);
}

static void print_run(const json_t *all) {
    print_memory(all);
    if (*string(all, "placement")) print("  %-11s %s\n", "gyr run", string(all, "placement"));
    print_figure(all, "prefill", "prefill_tokens_per_s", "tokens/s");
    print_figure(all, "decode", "decode_tokens_per_s", "tokens/s");
    print_figure(all, "energy", "joules_per_token", "J/token");
    print_figure(all, "cost", "cost_per_million_tokens", "USD/million");
    print_limits(all);
    print_advice(all);
}

static void print_plan(const json_t *all) {
    size_t i;
    json_t *note;
    print_head(all);
    (json_object_get(all, "training") ? print_training : print_run)(all);
    if (json_array_size(json_object_get(all, "notes"))) print("\n");
    json_array_foreach(json_object_get(all, "notes"), i, note) print("note: %s\n", json_string_value(note));
}

// "15.6T", "10M", "4096". False: an error was printed.
static bool tokens_of(const char *option, const char *text, uint64_t *out) {
    static const char letters[] = "kKmMgGbBtT";
    static const double units[] = {1e3, 1e3, 1e6, 1e6, 1e9, 1e9, 1e9, 1e9, 1e12, 1e12};
    char *end = NULL;
    *out = 0;
    if (!text) return true;
    double n = *text >= '0' && *text <= '9' && !strpbrk(text, "xXeE") ? strtod(text, &end) : -1;
    const char *unit = n >= 0 && *end ? strchr(letters, *end) : NULL;
    if (n >= 0 && unit && !end[1]) n *= units[unit - letters];
    bool good = n >= 1 && n <= 1e17 && (!*end || (unit && !end[1]));
    if (!good) usage_error("--%s: \"%s\" is not a number of tokens, such as 10M or 15.6T", option, text);
    *out = good ? (uint64_t)n : 0;
    return good;
}

int verb_plan(int argc, char **argv) {
    struct plan_options o = {0};
    gyr_error e = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    gyr_plan_options how = {.model = argv[1],
                            .type = o.type,
                            .on = o.on,
                            .prices = o.prices,
                            .budget = o.budget,
                            .users = (uint32_t)o.users,
                            .context = (uint32_t)o.context,
                            .prompt = (uint32_t)o.prompt,
                            .threads = (uint32_t)o.threads,
                            .kv_type = kv_type_named(o.kv_type),
                            .tune = o.tune,
                            .fp8 = o.fp8,
                            .no_cpu = o.no_cpu,
                            .rank = (uint32_t)o.rank};
    if (!tokens_of("train", o.train, &how.train) || !tokens_of("tokens", o.tokens, &how.tokens) ||
        !tokens_of("batch", o.batch, &how.batch))
        return GYR_USAGE;
    char *text = gyr_plan(&how, &e);
    if (!text) return report(&e);
    json_t *all = o.json ? NULL : json_loads(text, 0, NULL);
    if (all)
        print_plan(all);
    else
        print("%s\n", text);
    json_decref(all);
    gyr_free(text);
    return GYR_OK;
}
