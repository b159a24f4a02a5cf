// gyr inspect: what is in a model file, and what it takes to run it.
#include "open.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct inspect_options {
    bool tensors, json;
};

#define FIELD(name) offsetof(struct inspect_options, name)

static const struct option options[] = {
    {"tensors", 0, NULL, "list every tensor: name, type, shape and size", OPTION_FLAG, FIELD(tensors)},
    {"json", 0, NULL, "print JSON", OPTION_FLAG, FIELD(json)},
    {0}};

static const struct syntax syntax = {"inspect",
                                     "MODEL",
                                     "Say what is in a model file and what it takes to run, without loading it.",
                                     "gyr inspect falcon-7b.gguf --tensors",
                                     options,
                                     1,
                                     1};

enum { NAME = 18, MAX_VALUE = 56 };

static double number(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static const char *string(const json_t *o, const char *key) {
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

// One line for a value: what is long or has line breaks is cut, at a character's border.
static char *one_line(const json_t *value) {
    char *text = json_is_string(value) ? strdup(json_string_value(value))
                                       : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    if (!text) return NULL;
    size_t n = strcspn(text, "\n");
    bool cut = text[n];
    if (n > MAX_VALUE) {
        n = MAX_VALUE;
        cut = true;
    }
    while (cut && n && ((unsigned char)text[n] & 0xc0) == 0x80) n--;
    text[n] = 0;
    char *line = NULL;
    if (asprintf(&line, "%s%s", text, cut ? "..." : "") < 0) line = NULL;
    free(text);
    return line;
}

static void row(const char *name, const char *value) {
    if (*value) print("  %-*s %s\n", NAME, name, value);
}

static void section(const json_t *o, const char *title, const char *key) {
    const json_t *members = json_object_get(o, key);
    const char *name;
    json_t *value;
    size_t width = NAME;
    if (!json_object_size(members)) return;
    json_object_foreach((json_t *)members, name, value) {
        size_t n = strlen(name);
        if (n > width && n <= 44) width = n;
    }
    print("%s\n", title);
    json_object_foreach((json_t *)members, name, value) {
        char *line = one_line(value);
        print("  %-*s %s\n", (int)width, name, line ? line : "");
        free(line);
    }
}

struct share {
    const char *name;
    double bytes;
};

static int by_bytes(const void *a, const void *b) {
    const struct share *x = a, *y = b;
    return (x->bytes < y->bytes) - (x->bytes > y->bytes);
}

static void print_types(const json_t *o) {
    struct share shares[16];
    const char *name;
    json_t *bytes;
    char line[512] = "";
    size_t n = 0, used = 0;
    json_object_foreach(json_object_get(o, "types"), name, bytes) {
        if (n < 16) shares[n++] = (struct share){name, json_number_value(bytes)};
    }
    qsort(shares, n, sizeof *shares, by_bytes);
    for (size_t i = 0; i < n && used < sizeof line; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, "%s%s %s", i ? ", " : "", shares[i].name,
                                 human_bytes(shares[i].bytes));
    row("types", line);
}

static void print_size(const json_t *o, const char *name, const char *key) {
    double n = number(o, key);
    if (n > 0) row(name, human_bytes(n));
}

static void print_summary(const json_t *o, const char *path) {
    const json_t *template = json_object_get(o, "chat_template");
    bool has_template = json_is_true(template) || json_string_length(template);
    print("%s\n", *string(o, "path") ? string(o, "path") : path);
    row("format", string(o, "format"));
    row("architecture", string(o, "architecture"));
    row("family", string(o, "family"));
    row("name", string(o, "name"));
    if (number(o, "parameters") > 0) row("parameters", human_count(number(o, "parameters")));
    print_size(o, "weights", "weight_bytes");
    print_types(o);
    print_size(o, "read per token", "decode_bytes");
    print_size(o, "KV per token", "kv_bytes_per_token");
    row("chat template", has_template ? "yes" : "no");
}

static double context_of(const json_t *o) {
    const json_t *h = json_object_get(o, "hyperparameters");
    double n = number(h, "context");
    return n > 0 ? n : number(h, "context_length");
}

// The longest that may be asked for.
static double far_context_of(const json_t *o) { return number(json_object_get(o, "hyperparameters"), "far_context"); }

// What a context of `tokens` tokens takes, and the speed that reading weights and cache for each token allows.
static void print_context(double tokens, double weights, double kv, double decode, const gyr_device_info *d,
                          double rate) {
    double need = weights + kv * tokens;
    print("  %9.0f  %9s  %9s  %7.3g%s\n", tokens, human_bytes(kv * tokens), human_bytes(need),
          rate / (decode + kv * tokens), need <= (double)d->memory_free ? "" : "  more than is free");
}

// Weights and KV cache, at some contexts up to the model's own, and up to the longest that may be asked for, against
// the memory that is free now.
static void print_needs(const json_t *o) {
    static const double contexts[] = {2048, 8192, 32768, 131072};
    double weights = number(o, "weight_bytes"), kv = number(o, "kv_bytes_per_token"), context = context_of(o);
    double decode = number(o, "decode_bytes"), far = far_context_of(o);
    double need = weights + kv * context, rate;
    gyr_device_info d;
    if (weights <= 0 || gyr_device_get_info(0, &d, NULL) || gyr_measure_bandwidth(0, 0, &rate, NULL)) return;
    double room = (double)d.memory_free;
    print("to run here\n");
    print("  %s, %u thread%s, reads %s/s; %s is free\n", d.name, d.threads, d.threads == 1 ? "" : "s",
          human_bytes(rate), human_bytes(room));
    if (kv > 0 && decode > 0) {
        print("  %9s  %9s  %9s  %s\n", "context", "KV cache", "memory", "tokens/s at most");
        for (size_t i = 0; i < sizeof contexts / sizeof *contexts && contexts[i] < context; i++)
            print_context(contexts[i], weights, kv, decode, &d, rate);
        print_context(context, weights, kv, decode, &d, rate);
        for (size_t i = 0; i < sizeof contexts / sizeof *contexts; i++)
            if (contexts[i] > context && contexts[i] < far) print_context(contexts[i], weights, kv, decode, &d, rate);
        if (far > context) print_context(far, weights, kv, decode, &d, rate);
    }
    if (need <= room)
        print("  It fits.\n");
    else if (weights < room && kv > 0)
        print("  It fits with a context of %.0f tokens: gyr run -c %.0f\n", (room - weights) / kv,
              (room - weights) / kv);
    else
        print("  It does not fit: weights are mapped, so it would run at the speed of the disk.\n");
}

static void print_tensors(const json_t *o) {
    const json_t *tensors = json_object_get(o, "tensors"), *t;
    size_t i;
    int width = 0;
    json_array_foreach(tensors, i, t) {
        int n = (int)json_string_length(json_object_get(t, "name"));
        if (n > width && n <= 60) width = n;
    }
    if (json_array_size(tensors)) print("tensors\n");
    json_array_foreach(tensors, i, t) {
        char *shape = json_dumps(json_object_get(t, "shape"), JSON_COMPACT | JSON_ENCODE_ANY);
        print("  %-*s  %-5s %9s  %s\n", width, string(t, "name"), string(t, "type"), human_bytes(number(t, "bytes")),
              shape ? shape : "");
        free(shape);
    }
}

static int inspect(const char *path, const struct inspect_options *o) {
    gyr_error e = {0};
    json_error_t why;
    char *text = gyr_inspect(path, o->tensors, &e);
    if (!text) return report(&e);
    json_t *all = json_loads(text, JSON_ALLOW_NUL, &why);
    if (o->json) {
        print("%s\n", text);
    } else if (all) {
        print_summary(all, path);
        section(all, "hyperparameters", "hyperparameters");
        section(all, "tokenizer", "tokenizer");
        section(all, "metadata", "metadata");
        print_tensors(all);
        print_needs(all);
    }
    if (!all) say_error("%s: the description is not JSON: %s", path, why.text);
    gyr_free(text);
    json_decref(all);
    return all ? GYR_OK : GYR_FAILED;
}

static void print_files(const json_t *all) {
    const json_t *files = json_object_get(all, "files"), *f;
    size_t i;
    gyr_device_info d;
    double total = number(all, "total");
    print("%s\n", string(all, "name"));
    row("commit", string(all, "commit"));
    row("type", string(all, "type"));
    row("size", human_bytes(total));
    print("files\n");
    json_array_foreach(files, i, f) print("  %9s  %s\n", human_bytes(number(f, "size")), string(f, "path"));
    if (!gyr_device_get_info(0, &d, NULL) && total > (double)d.memory_free)
        print("  That is more than the %s of memory that is free.\n", human_bytes((double)d.memory_free));
    print("  It is not here yet: gyr pull %s\n", string(all, "name"));
}

// A model that is not here yet: what a pull would bring.
static int preview(const char *name, const struct inspect_options *o) {
    gyr_error e = {0};
    char *text = gyr_pull_preview(&(gyr_pull_options){.name = name}, &e);
    if (!text) return report(&e);
    json_t *all = json_loads(text, 0, NULL);
    if (o->json)
        print("%s\n", text);
    else
        print_files(all);
    json_decref(all);
    gyr_free(text);
    return GYR_OK;
}

int verb_inspect(int argc, char **argv) {
    struct inspect_options o = {0};
    int operands, status = options_parse(&syntax, argc, argv, &o, &operands);
    if (status) return status == PARSE_HELP ? GYR_OK : status;
    if (gyr_is_hub_name(argv[1])) {
        char *here = gyr_pulled(argv[1], NULL, NULL);
        status = here ? inspect(here, &o) : preview(argv[1], &o);
        gyr_free(here);
        return status;
    }
    return inspect(argv[1], &o);
}
