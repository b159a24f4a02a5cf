#include "plan/mix.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEXT = 1024 };

static size_t trim(const char **s, size_t n) {
    while (n && isspace((unsigned char)**s)) (*s)++, n--;
    while (n && isspace((unsigned char)(*s)[n - 1])) n--;
    return n;
}

// A plus sign parts what is around it, unless it belongs to a name, as in "Max+ 395".
static bool parts(const char *text, size_t i) {
    if (text[i] == ',') return true;
    if (text[i] != '+') return false;
    return i == 0 || isspace((unsigned char)text[i - 1]) || !isspace((unsigned char)text[i + 1]);
}

// How many bytes the sign between a number and a card takes: "x", "*", the multiplication sign, or nothing but a blank.
static size_t times(const char *s, size_t n) {
    if (n > 1 && (*s == 'x' || *s == 'X' || *s == '*') &&
        (isspace((unsigned char)s[1]) || isalnum((unsigned char)s[1])))
        return 1;
    return n > 2 && !memcmp(s, "\xc3\x97", 2) ? 2 : 0;
}

static bool number_is(const char *s, size_t digits, size_t *n) {
    unsigned long v = digits < 9 ? strtoul(s, NULL, 10) : MAX_CARDS + 1ul;
    *n = v;
    return v >= 1 && v <= MAX_CARDS;
}

// A number of cards in front, unless the digits are part of the name. *n is 1 where there is none.
static bool take_number(const char **s, size_t *left, size_t *n, gyr_error *e) {
    size_t digits = 0, at;
    *n = 1;
    while (digits < *left && isdigit((unsigned char)(*s)[digits])) digits++;
    for (at = digits; at < *left && isspace((unsigned char)(*s)[at]); at++) {}
    size_t sign = times(*s + at, *left - at);
    bool minus = !digits && *left && (**s == '-' || **s == '.');
    if (minus || (digits && digits < *left && (*s)[digits] == '.'))
        return fail(e, GYR_USAGE, "%.*s: the number of cards is a whole number from 1 to %d, as in 2 x H800",
                    *left > 40 ? 40 : (int)*left, *s, MAX_CARDS);
    if (!digits || !(sign || (digits < 4 && at > digits && at < *left))) return true;
    if (!number_is(*s, digits, n))
        return fail(e, GYR_USAGE, "%.*s: the number of cards is from 1 to %d", *left > 40 ? 40 : (int)*left, *s,
                    MAX_CARDS);
    *s += at + sign;
    *left = trim(s, *left - at - sign);
    return true;
}

static bool add(struct mix *m, const char *text, size_t size, gyr_error *e) {
    struct cards c = {0};
    size_t left = trim(&text, size);
    if (!left) return fail(e, GYR_USAGE, "a card is missing; write cards as 2 x H800 + 4 x RTX 4090");
    if (!take_number(&text, &left, &c.n, e)) return false;
    if (!(c.card = accelerator_named(text, left, &c.others, e))) return false;
    for (size_t i = 0; i < m->n; i++)
        if (m->kind[i].card == c.card) {
            m->kind[i].n += c.n;
            return m->kind[i].n <= MAX_CARDS || fail(e, GYR_USAGE, "%s: more than %d", c.card->name, MAX_CARDS);
        }
    if (m->n == MAX_KINDS_OF_CARD) return fail(e, GYR_USAGE, "more than %d kinds of cards", MAX_KINDS_OF_CARD);
    m->kind[m->n++] = c;
    return true;
}

bool mix_parse(struct mix *m, const char *text, gyr_error *e) {
    *m = (struct mix){0};
    size_t size = strlen(text), from = 0;
    if (!utf8_valid(text, size)) return fail(e, GYR_USAGE, "cards are not named in UTF-8");
    if (size > MAX_TEXT)
        return fail(e, GYR_USAGE, "%zu letters that should name cards; %d are the most", size, MAX_TEXT);
    for (size_t i = 0; i <= size; i++) {
        if (i < size && !parts(text, i)) continue;
        if (!add(m, text + from, i - from, e)) return false;
        from = i + 1;
    }
    if (mix_cards(m) <= MAX_CARDS) return true;
    return fail(e, GYR_USAGE, "%zu cards; %d are the most", mix_cards(m), MAX_CARDS);
}

size_t mix_cards(const struct mix *m) {
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) n += m->kind[i].n;
    return n;
}
