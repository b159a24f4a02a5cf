#include "plan/catalogue.h"
#include "base/buf.h"
#include "plan/near.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define ACCELERATOR(...) {__VA_ARGS__},
static const struct accelerator rows[] = {
#include "plan/accelerators.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

const struct accelerator *accelerator_row(size_t i) { return i < ROWS ? &rows[i] : NULL; }

// Whether every word of `name` is a word of the row's name, or all of it is a piece of that.
static bool fits(const char *row, const char *name, size_t size) {
    char mine[PLAIN], word[PLAIN], theirs[PLAIN];
    name_plain(row, strlen(row), mine);
    if (!name_plain(name, size, theirs)) return false;
    if (strstr(mine, theirs)) return true;
    size_t words = 0;
    for (size_t i = 0; i < size; words++) {
        size_t n = 0;
        while (i < size && !isalnum((unsigned char)name[i])) i++;
        while (i + n < size && isalnum((unsigned char)name[i + n])) n++;
        if (n && (name_plain(name + i, n, word) < 2 || !strstr(mine, word))) return false; // a letter is in any name
        i += n;
    }
    return words > 1;
}

static bool ends_with(const char *row, const char *end) {
    char mine[PLAIN];
    size_t n = name_plain(row, strlen(row), mine), m = strlen(end);
    return n >= m && !strcmp(mine + n - m, end);
}

// A form of a card is as near as the part of its name that is as long as what was asked for. NULL: none is near.
static const struct accelerator *nearest(const char *name) {
    const struct accelerator *best = NULL;
    size_t least = SIZE_MAX, n = strlen(name);
    for (size_t i = 0; i < ROWS; i++) {
        char mine[PLAIN];
        size_t all = name_plain(rows[i].name, strlen(rows[i].name), mine), far = name_distance(name, mine);
        for (size_t at = 0; n && at + n <= all; at++) {
            char part[PLAIN] = "";
            memcpy(part, mine + at, n);
            size_t d = name_distance(name, part);
            if (d < far) far = d;
        }
        if (far < least) least = far, best = &rows[i];
    }
    return least * 2 <= n ? best : NULL;
}

static const struct accelerator *unknown(const char *name, size_t size, const char *asked, gyr_error *e) {
    int shown = size > 40 ? 40 : (int)size;
    const struct accelerator *near = *asked ? nearest(asked) : NULL;
    if (!strncmp(asked, "this", 4))
        return fail_null(e, GYR_USAGE,
                         "%.*s: gyr plans for this machine alone; leave out --on for that, or the machine", shown,
                         name);
    if (!*asked) return fail_null(e, GYR_USAGE, "\"%.*s\" names no card; name one such as MI300X", shown, name);
    if (!near) return fail_null(e, GYR_USAGE, "%.*s: not a card that gyr knows; name one such as MI300X", shown, name);
    return fail_null(e, GYR_USAGE, "%.*s: not a card that gyr knows; the nearest is %s", shown, name, near->name);
}

static const struct accelerator *ambiguous(const char *name, size_t size, gyr_error *e) {
    struct buf b = {0};
    for (size_t i = 0; i < ROWS; i++)
        if (fits(rows[i].name, name, size)) buf_printf(&b, "%s%s", b.size ? ", " : "", rows[i].name);
    fail(e, GYR_USAGE, "%.*s: which one? %s", size > 40 ? 40 : (int)size, name, b.data ? b.data : "");
    buf_free(&b);
    return NULL;
}

const struct accelerator *accelerator_named(const char *name, size_t size, bool *others, gyr_error *e) {
    char asked[PLAIN];
    const struct accelerator *last = NULL, *ending = NULL, *module = NULL;
    size_t n = 0, n_ending = 0;
    name_plain(name, size, asked);
    *others = false;
    for (size_t i = 0; i < ROWS && *asked; i++) {
        char mine[PLAIN];
        name_plain(rows[i].name, strlen(rows[i].name), mine);
        if (!strcmp(mine, asked)) return &rows[i];
        if (!fits(rows[i].name, name, size)) continue;
        last = &rows[i];
        n++;
        if (ends_with(rows[i].name, asked)) ending = &rows[i], n_ending++;
        if (strstr(rows[i].name, "SXM") && (!module || rows[i].memory > module->memory)) module = &rows[i];
    }
    if (n == 1) return last;
    if (n_ending == 1) return ending;
    if (!n) return unknown(name, size, asked, e);
    if (!module) return ambiguous(name, size, e);
    *others = true;
    return module;
}
