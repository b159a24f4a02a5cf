// gyr cache: the weights that were rewritten for the device and kept for the next start.
#include "gyr.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct cache_options {
    bool json;
};

static const struct option table[] = {
    {"json", 0, NULL, "print JSON", OPTION_FLAG, offsetof(struct cache_options, json)}, {0}};

static const struct syntax syntax = {
    "cache",
    "[clear [NAME]]",
    "List the rewritten weights that are kept for the next start, or clear them:\nthose of a name in the list, of a "
    "model's path, or all.",
    "gyr cache clear",
    table,
    0,
    2};

static void print_file(const json_t *f) {
    time_t used = (time_t)json_integer_value(json_object_get(f, "used"));
    const char *model = json_string_value(json_object_get(f, "model"));
    char time[32] = "";
    struct tm local;
    if (localtime_r(&used, &local)) strftime(time, sizeof time, "%Y-%m-%d %H:%M", &local);
    print("%-23s  %8s  %s  %s\n", json_string_value(json_object_get(f, "name")),
          human_bytes((double)json_integer_value(json_object_get(f, "bytes"))), time,
          model && *model ? model : "(unfinished)");
}

static int list(const struct cache_options *o) {
    gyr_error e = {0};
    char *text = gyr_cache_list(&e);
    if (!text) return report(&e);
    if (o->json) {
        print("%s\n", text);
        gyr_free(text);
        return GYR_OK;
    }
    json_t *all = json_loads(text, 0, NULL), *f;
    const json_t *files = json_object_get(all, "files");
    const char *folder = json_string_value(json_object_get(all, "folder"));
    size_t i;
    json_array_foreach(files, i, f) print_file(f);
    if (json_array_size(files)) {
        print("%s", human_bytes((double)json_integer_value(json_object_get(all, "bytes"))));
        print(" of at most %s in %s\n", human_bytes((double)json_integer_value(json_object_get(all, "limit"))), folder);
    } else {
        say_dim("(nothing in %s)", folder);
    }
    json_decref(all);
    gyr_free(text);
    return GYR_OK;
}

int verb_cache(int argc, char **argv) {
    struct cache_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (!operands) return list(&o);
    if (strcmp(argv[1], "clear")) return usage_error("cache: \"%s\": does not know this; it knows: clear", argv[1]);
    gyr_error e = {0};
    uint64_t bytes = 0;
    if (gyr_cache_clear(operands > 1 ? argv[2] : NULL, &bytes, &e)) return report(&e);
    say_dim("%s free again", human_bytes((double)bytes));
    return GYR_OK;
}
