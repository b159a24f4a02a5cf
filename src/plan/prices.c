#include "plan/prices.h"
#include "base/map.h"
#include "base/utf8.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { COLUMNS = 5, MAX_FILE = 1 << 20 };
static const char *const titles[COLUMNS] = {"name", "hour_usd", "buy_usd", "date", "source"};

struct line {
    const char *where;
    size_t number;
    const char *cell[COLUMNS];
    size_t size[COLUMNS];
};

static bool bad(const struct line *l, gyr_error *e, const char *why) {
    return fail(e, GYR_MALFORMED, "%s:%zu: %s", l->where, l->number, why);
}

// Cells between tabs.
static bool cut(struct line *l, const char *text, size_t size, gyr_error *e) {
    size_t n = 0, from = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && text[i] != '\t') continue;
        if (n == COLUMNS) return bad(l, e, "more than five columns");
        l->cell[n] = text + from;
        l->size[n++] = i - from;
        from = i + 1;
    }
    return n == COLUMNS || bad(l, e, "a row has name, hour_usd, buy_usd, date and source, with a tab between each");
}

static bool is(const struct line *l, int column, const char *text) {
    return l->size[column] == strlen(text) && !strncasecmp(l->cell[column], text, l->size[column]);
}

// A price from 0 to 10^9, or "-" where there is none.
static bool read_price(const struct line *l, int column, double *out, gyr_error *e) {
    char text[32], *end;
    *out = NAN;
    if (is(l, column, "-")) return true;
    snprintf(text, sizeof text, "%.*s", (int)(l->size[column] < 31 ? l->size[column] : 31), l->cell[column]);
    *out = strtod(text, &end);
    bool plain = isdigit((unsigned char)*text) && !*end && l->size[column] < 31 && !strpbrk(text, "xX");
    return (plain && *out >= 0 && *out <= 1e9) || bad(l, e, "a price is a number from 0 to 1000000000, or - for none");
}

static bool read_date(const struct line *l, char out[11], gyr_error *e) {
    static const char form[] = "dddd-dd-dd";
    bool ok = l->size[3] == sizeof form - 1;
    for (size_t i = 0; ok && form[i]; i++)
        ok = form[i] == 'd' ? isdigit((unsigned char)l->cell[3][i]) : l->cell[3][i] == form[i];
    if (ok) {
        memcpy(out, l->cell[3], 10);
        out[10] = 0;
        long year = strtol(out, NULL, 10), month = strtol(out + 5, NULL, 10), day = strtol(out + 8, NULL, 10);
        ok = year >= 2000 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
    }
    return ok || bad(l, e, "a date is written as 2026-11-27");
}

static bool read_card(const struct line *l, struct price *p, gyr_error *e) {
    gyr_error why;
    bool others;
    if (is(l, 0, "electricity")) return true;
    p->card = accelerator_named(l->cell[0], l->size[0], &others, &why);
    if (p->card && !others) return true;
    return fail(e, GYR_MALFORMED, "%s:%zu: %s%s", l->where, l->number,
                p->card ? "name one form of the card, such as " : "", p->card ? p->card->name : why.message);
}

static bool read_source(const struct line *l, struct price *p, gyr_error *e) {
    if (!l->size[4]) return bad(l, e, "a price without a source");
    for (size_t i = 0; i < l->size[4]; i++)
        if ((unsigned char)l->cell[4][i] < ' ' || l->cell[4][i] == 127) return bad(l, e, "a control character");
    size_t n = l->size[4] < sizeof p->source ? l->size[4] : sizeof p->source - 1;
    while (n < l->size[4] && n && ((unsigned char)l->cell[4][n] & 0xc0) == 0x80) n--;
    memcpy(p->source, l->cell[4], n);
    p->source[n] = 0;
    return true;
}

static bool read_row(struct prices *all, const struct line *l, gyr_error *e) {
    struct price p = {0};
    if (!read_card(l, &p, e) || !read_price(l, 1, &p.hour, e) || !read_price(l, 2, &p.buy, e) ||
        !read_date(l, p.date, e) || !read_source(l, &p, e))
        return false;
    if (isnan(p.hour) && isnan(p.buy)) return bad(l, e, "a row without a price");
    if (price_of(all, p.card)) return bad(l, e, "a second price of the same; keep one");
    if (all->n == MAX_PRICES) return bad(l, e, "too many rows; 1000 are the most");
    all->row[all->n++] = p;
    return true;
}

static bool is_title(const struct line *l) {
    for (int i = 0; i < COLUMNS; i++)
        if (!is(l, i, titles[i])) return false;
    return true;
}

struct prices *prices_parse(const char *text, size_t size, const char *where, gyr_error *e) {
    struct prices *all = calloc(1, sizeof *all);
    struct line l = {.where = where};
    bool titled = false, ok = all || fail_memory(e, where);
    if (ok && !utf8_valid(text, size)) ok = fail(e, GYR_MALFORMED, "%s: not text in UTF-8", where);
    for (size_t at = 0; ok && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t n = end ? (size_t)(end - text) - at : size - at, used = n;
        l.number++;
        if (used && text[at + used - 1] == '\r') used--;
        bool empty = !used || text[at] == '#';
        ok = empty || cut(&l, text + at, used, e);
        if (ok && !empty && !titled)
            ok = titled = is_title(&l) || bad(&l, e, "the first row is name, hour_usd, buy_usd, date, source");
        else if (ok && !empty)
            ok = read_row(all, &l, e);
        at += n + 1;
    }
    if (ok && !all->n) ok = fail(e, GYR_MALFORMED, "%s: no price in it", where);
    if (ok) return all;
    free(all);
    return NULL;
}

struct prices *prices_open(const char *path, gyr_error *e) {
    size_t size;
    char *text = read_file(path, MAX_FILE, &size, e);
    struct prices *p = text ? prices_parse(text, size, path, e) : NULL;
    free(text);
    return p;
}

const struct price *price_of(const struct prices *p, const struct accelerator *card) {
    for (size_t i = 0; p && i < p->n; i++)
        if (p->row[i].card == card) return &p->row[i];
    return NULL;
}
