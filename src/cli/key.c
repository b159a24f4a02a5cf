// gyr key: who may use a server of this machine, how much, and what was used.
#include "gyr.h"
#include "options.h"
#include "output.h"
#include "server/admin.h"
#include "verbs.h"

#include <errno.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct key_options {
    const char *rate, *models;
    struct texts tokens;
    uint64_t concurrency, days;
    bool admin, json;
};

#define FIELD(name) offsetof(struct key_options, name)
static const struct option table[] = {
    {"rate", 0, "N/min", "add: requests per minute", OPTION_TEXT, FIELD(rate)},
    {"tokens", 0, "N/min", "add: tokens per minute, or N/day; both may be given", OPTION_TEXTS, FIELD(tokens)},
    {"concurrency", 0, "N", "add: requests at once", OPTION_WHOLE, FIELD(concurrency), 1, 1e6},
    {"models", 0, "LIST", "add: models it may use, with commas; else all", OPTION_TEXT, FIELD(models)},
    {"expires", 0, "DAYS", "add: when it ends; else never", OPTION_WHOLE, FIELD(days), 1, 36500},
    {"admin", 0, NULL, "add: sees what belongs to other keys, too", OPTION_FLAG, FIELD(admin)},
    {"json", 0, NULL, "list, usage: print JSON", OPTION_FLAG, FIELD(json)},
    {0}};
#undef FIELD

static const struct syntax syntax = {"key",
                                     "add NAME | list | rm NAME | usage [NAME]",
                                     "Make, list or remove the keys that 'gyr serve' asks for, or say what was used.\n"
                                     "A key is printed once, when it is made; what is kept only recognizes it.",
                                     "gyr key add ann --rate 60/min --tokens 1000000/day",
                                     table,
                                     1,
                                     2};

// "60/min" or "60": a number, and what stands behind it.
static bool parse_rate(const char *option, const char *text, uint64_t *n, const char **unit) {
    char *end;
    errno = 0;
    *n = strtoull(text, &end, 10);
    *unit = end;
    if (text[0] >= '0' && text[0] <= '9' && !errno && *n && *n <= INT64_MAX) return true;
    usage_error("--%s: \"%s\" is not a number with its time, such as 60/min", option, text);
    return false;
}

static bool read_rates(const struct key_options *o, struct admin_key *k) {
    const char *unit;
    if (o->rate) {
        if (!parse_rate("rate", o->rate, &k->requests_per_minute, &unit)) return false;
        if (*unit && strcmp(unit, "/min")) return usage_error("--rate: \"%s\" is not N/min", o->rate), false;
    }
    for (size_t i = 0; i < o->tokens.count; i++) {
        uint64_t n;
        if (!parse_rate("tokens", o->tokens.items[i], &n, &unit)) return false;
        if (!strcmp(unit, "/min"))
            k->tokens_per_minute = n;
        else if (!strcmp(unit, "/day"))
            k->tokens_per_day = n;
        else
            return usage_error("--tokens: \"%s\" is neither N/min nor N/day", o->tokens.items[i]), false;
    }
    return true;
}

static int add(const struct key_options *o, const char *name) {
    struct admin_key k = {
        .name = name, .admin = o->admin, .concurrency = o->concurrency, .models = o->models, .days = o->days};
    gyr_error e = {0};
    if (!read_rates(o, &k)) return GYR_USAGE;
    char *text = admin_key_add(&k, &e);
    if (!text) return report(&e);
    print("%s\n", text);
    print_flush();
    say_dim("(the key of %s; it is not shown again)", name);
    free(text);
    return GYR_OK;
}

static long long number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static void print_date(const char *before, long long at) {
    time_t t = (time_t)at;
    struct tm local;
    char text[32] = "";
    if (localtime_r(&t, &local)) strftime(text, sizeof text, "%Y-%m-%d", &local);
    print("%s%s", before, text);
}

static void print_limit(const json_t *k, const char *key, const char *unit) {
    if (number(k, key)) print(", %lld %s", number(k, key), unit);
}

static void print_key(const json_t *k, int width) {
    print("%-*s  ...%s  ", width, string(k, "name"), string(k, "hint"));
    print_date("made ", number(k, "created"));
    if (number(k, "expires"))
        print_date(json_is_true(json_object_get(k, "expired")) ? ", expired " : ", until ", number(k, "expires"));
    if (json_is_true(json_object_get(k, "admin"))) print(", admin");
    print_limit(k, "requests_per_minute", "requests/min");
    print_limit(k, "tokens_per_minute", "tokens/min");
    print_limit(k, "tokens_per_day", "tokens/day");
    print_limit(k, "concurrency", "at once");
    if (*string(k, "models")) print(", only %s", string(k, "models"));
    print("\n");
}

static int width_of(const json_t *all, const char *key) {
    int width = 4;
    size_t i;
    const json_t *o;
    json_array_foreach(all, i, o) {
        int n = (int)strlen(string(o, key));
        if (n > width && n <= 40) width = n;
    }
    return width;
}

static void print_keys(const json_t *all) {
    size_t i;
    const json_t *k;
    json_array_foreach(all, i, k) print_key(k, width_of(all, "name"));
    if (!json_array_size(all)) say_dim("(no keys yet; make one with: gyr key add NAME)");
}

static void print_usage(const json_t *all) {
    int keys = width_of(all, "key"), models = width_of(all, "model");
    size_t i;
    const json_t *u;
    if (json_array_size(all))
        print("%-*s  %-10s  %-*s  %10s  %12s  %12s  %12s\n", keys, "key", "day", models, "model", "requests", "prompt",
              "cached", "answer");
    json_array_foreach(all, i, u) {
        const char *name = *string(u, "key") ? string(u, "key") : "-";
        print("%-*s  %-10s  %-*s  %10lld  %12lld  %12lld  %12lld\n", keys, name, string(u, "day"), models,
              string(u, "model"), number(u, "requests"), number(u, "prompt_tokens"), number(u, "cached_tokens"),
              number(u, "answer_tokens"));
    }
    if (!json_array_size(all)) say_dim("(nothing yet)");
}

static int show(char *text, const gyr_error *e, bool json, void (*print_all)(const json_t *all)) {
    if (!text) return report(e);
    json_t *all = json_loads(text, 0, NULL);
    if (json)
        print("%s\n", text);
    else
        print_all(all);
    json_decref(all);
    free(text);
    return GYR_OK;
}

static int list(const struct key_options *o, const char *name) {
    (void)name;
    gyr_error e = {0};
    char *text = admin_key_list(&e);
    return show(text, &e, o->json, print_keys);
}

static int rm(const struct key_options *o, const char *name) {
    (void)o;
    gyr_error e = {0};
    if (!admin_key_remove(name, &e)) return report(&e);
    say_dim("%s: removed", name);
    return GYR_OK;
}

static int usage(const struct key_options *o, const char *name) {
    gyr_error e = {0};
    char *text = admin_key_usage(name, &e);
    return show(text, &e, o->json, print_usage);
}

static const struct action {
    const char *name;
    int least, most; // names after it
    bool adds, lists;
    int (*run)(const struct key_options *o, const char *name);
} actions[] = {
    {"add", 1, 1, true, false, add},
    {"list", 0, 0, false, true, list},
    {"rm", 1, 1, false, false, rm},
    {"usage", 0, 1, false, true, usage},
};

static int unknown(const char *name) {
    static const char *const names[] = {"add", "list", "rm", "usage", NULL};
    const char *near = did_you_mean(name, names);
    if (near) return usage_error("key: \"%s\": does not know this; did you mean 'gyr key %s'?", name, near);
    return usage_error("key: \"%s\": does not know this; it knows: add, list, rm, usage", name);
}

static int act(const struct key_options *o, int operands, char **argv) {
    const struct action *a = actions, *end = actions + sizeof actions / sizeof *actions;
    while (a < end && strcmp(a->name, argv[1])) a++;
    if (a == end) return unknown(argv[1]);
    if (operands - 1 < a->least) return usage_error("key %s: needs the NAME of a key; see 'gyr key --help'", a->name);
    if (operands - 1 > a->most) return usage_error("key %s: one argument too many: \"%s\"", a->name, argv[2]);
    bool adds = o->rate || o->models || o->tokens.count || o->concurrency || o->days || o->admin;
    if (adds && !a->adds) return usage_error("key %s: takes no limits; they are given to 'gyr key add'", a->name);
    if (o->json && !a->lists) return usage_error("key %s: does not print JSON", a->name);
    return a->run(o, operands > 1 ? argv[2] : NULL);
}

int verb_key(int argc, char **argv) {
    struct key_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status == PARSE_HELP)
        status = GYR_OK;
    else if (!status)
        status = act(&o, operands, argv);
    free(o.tokens.items);
    return status;
}
