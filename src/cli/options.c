#include "options.h"

#include "gyr.h"
#include "output.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool bad(const char *name, const char *value, const char *want) {
    usage_error("--%s: \"%s\" is not %s", name, value, want);
    return false;
}

static bool parse_whole(const struct option *o, const char *value, uint64_t *out) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(value, &end, 10);
    if (value[0] >= '0' && value[0] <= '9' && !*end && !errno && (double)n >= o->min && (double)n <= o->max) {
        *out = n;
        return true;
    }
    char want[96];
    if (o->max < 1e19)
        snprintf(want, sizeof want, "a whole number from %.0f to %.0f", o->min, o->max);
    else
        snprintf(want, sizeof want, "a whole number from 0 to 18446744073709551615");
    return bad(o->name, value, want);
}

static bool parse_real(const struct option *o, const char *value, double *out) {
    char *end;
    double x = strtod(value, &end);
    if (end != value && !*end && isfinite(x) && x >= o->min && x <= o->max) {
        *out = x;
        return true;
    }
    char want[96];
    snprintf(want, sizeof want, "a number from %g to %g", o->min, o->max);
    return bad(o->name, value, want);
}

static bool parse_choice(const struct option *o, const char *value, const char **out) {
    size_t n = strlen(value);
    for (const char *p = o->value; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL) {
        if (!n || strncmp(p, value, n) || (p[n] && p[n] != '|')) continue;
        *out = value;
        return true;
    }
    char want[96];
    snprintf(want, sizeof want, "one of %s", o->value);
    return bad(o->name, value, want);
}

static bool no_memory(void) {
    say_error("out of memory while reading the command line");
    return false;
}

static bool parse_text(const struct option *o, const char *value, struct texts *list) {
    if (!*value) return bad(o->name, value, "a text of at least one character");
    const char **items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (!items) return no_memory();
    list->items = items;
    items[list->count++] = value;
    return true;
}

static bool parse_bias(const struct option *o, const char *value, struct biases *list) {
    char *colon, *end;
    errno = 0;
    unsigned long id = strtoul(value, &colon, 10);
    bool ok = value[0] >= '0' && value[0] <= '9' && *colon == ':' && !errno && id <= INT32_MAX;
    double x = ok ? strtod(colon + 1, &end) : NAN;
    if (!ok || end == colon + 1 || *end || isnan(x))
        return bad(o->name, value, "a token id and a number, such as 42:-1.5 or 42:-inf");
    int32_t *ids = realloc(list->ids, (list->count + 1) * sizeof *ids);
    if (ids) list->ids = ids;
    float *values = realloc(list->values, (list->count + 1) * sizeof *values);
    if (values) list->values = values;
    if (!ids || !values) return no_memory();
    ids[list->count] = (int32_t)id;
    values[list->count++] = (float)x;
    return true;
}

static bool set(const struct option *o, const char *value, void *into) {
    void *field = (char *)into + o->offset;
    switch (o->kind) {
    case OPTION_FLAG: *(bool *)field = true; return true;
    case OPTION_TEXT: *(const char **)field = value; return true;
    case OPTION_CHOICE: return parse_choice(o, value, field);
    case OPTION_WHOLE: return parse_whole(o, value, field);
    case OPTION_REAL: return parse_real(o, value, field);
    case OPTION_TEXTS: return parse_text(o, value, field);
    case OPTION_BIASES: return parse_bias(o, value, field);
    }
    return false;
}

static const struct option *find(const struct option *o, const char *name, size_t size) {
    for (; o->name; o++) {
        if (strlen(o->name) == size && !memcmp(o->name, name, size)) return o;
        if (o->alias && strlen(o->alias) == size && !memcmp(o->alias, name, size)) return o;
    }
    return NULL;
}

static int unknown(const struct syntax *s, const char *name, size_t size) {
    const char *names[64] = {0}, *near;
    size_t n = 0;
    for (const struct option *o = s->options; o->name && n < 62; o++) names[n++] = o->name;
    names[n] = "help";
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)(size < 63 ? size : 63), name);
    near = did_you_mean(word, names);
    if (near) return usage_error("--%s: no such option; did you mean --%s?", word, near);
    return usage_error("--%s: no such option; see 'gyr %s --help'", word, s->verb);
}

// --name, --name=value, --name value.
static int parse_long(const struct syntax *s, char **argv, int argc, int *at, void *into) {
    const char *name = argv[*at] + 2, *equals = strchr(name, '=');
    size_t size = equals ? (size_t)(equals - name) : strlen(name);
    if (size == 4 && !memcmp(name, "help", 4)) return options_help(s), PARSE_HELP;
    const struct option *o = find(s->options, name, size);
    if (!o) return unknown(s, name, size);
    if (o->kind == OPTION_FLAG) {
        if (equals) return usage_error("--%s: takes no value", o->name);
        return set(o, NULL, into) ? PARSE_OK : GYR_USAGE;
    }
    if (!equals && *at + 1 >= argc) return usage_error("--%s: needs a value: --%s %s", o->name, o->name, o->value);
    return set(o, equals ? equals + 1 : argv[++*at], into) ? PARSE_OK : GYR_USAGE;
}

// -n 5, -n5; flags are not bundled.
static int parse_short(const struct syntax *s, char **argv, int argc, int *at, void *into) {
    char letter = argv[*at][1], *rest = argv[*at] + 2;
    if (letter == 'h' && !*rest) return options_help(s), PARSE_HELP;
    const struct option *o = s->options;
    while (o->name && o->letter != letter) o++;
    if (!o->name || (o->kind == OPTION_FLAG && *rest))
        return usage_error("%s: no such option; see 'gyr %s --help'", argv[*at], s->verb);
    if (o->kind == OPTION_FLAG) return set(o, NULL, into) ? PARSE_OK : GYR_USAGE;
    if (!*rest && *at + 1 >= argc) return usage_error("-%c: needs a value: -%c %s", letter, letter, o->value);
    return set(o, *rest ? rest : argv[++*at], into) ? PARSE_OK : GYR_USAGE;
}

int options_parse(const struct syntax *s, int argc, char **argv, void *into, int *operands) {
    int n = 0;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        char *a = argv[i];
        int r = PARSE_OK;
        if (only_operands || a[0] != '-' || !a[1])
            argv[1 + n++] = a;
        else if (a[1] == '-' && !a[2])
            only_operands = true;
        else
            r = (a[1] == '-' ? parse_long : parse_short)(s, argv, argc, &i, into);
        if (r) return r;
    }
    *operands = n;
    if (n < s->least) return usage_error("%s: needs %s; see 'gyr %s --help'", s->verb, s->operands, s->verb);
    if (s->most >= 0 && n > s->most)
        return usage_error("%s: one argument too many: \"%s\"; see 'gyr %s --help'", s->verb, argv[1 + s->most],
                           s->verb);
    return PARSE_OK;
}

bool options_set(const struct syntax *s, const char *name, const char *value, void *into) {
    const struct option *o = find(s->options, name, strlen(name));
    return o ? set(o, value, into) : (unknown(s, name, strlen(name)), false);
}

// Edits (insert, delete, replace) that turn a into b: Wagner and Fischer, 1974, one row at a time.
static size_t distance(const char *a, const char *b) {
    size_t row[65], n = strlen(b);
    if (n > 64) return SIZE_MAX;
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 0; a[i]; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

const char *did_you_mean(const char *word, const char *const *list) {
    const char *near = NULL;
    size_t least = strlen(word) < 4 ? 2 : 3;
    for (; *list; list++) {
        size_t d = distance(word, *list);
        if (d >= least) continue;
        least = d;
        near = *list;
    }
    return near;
}
