#include "text/grammar/charset.h"

#include "base/buf.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

void charset_free(struct charset *s) {
    free(s->items);
    *s = (struct charset){0};
}

void charset_add(struct charset *s, uint32_t lo, uint32_t hi) {
    if (s->failed || lo > hi) return;
    if (!ARRAY_GROW(s->items, s->n, s->room)) {
        s->failed = true;
        return;
    }
    s->items[s->n++] = (struct char_range){lo, hi};
}

static int by_lo(const void *a, const void *b) {
    const struct char_range *x = a, *y = b;
    return x->lo < y->lo ? -1 : x->lo > y->lo;
}

void charset_sort(struct charset *s) {
    if (s->n) qsort(s->items, s->n, sizeof *s->items, by_lo);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (n && s->items[i].lo <= s->items[n - 1].hi + 1) {
            if (s->items[i].hi > s->items[n - 1].hi) s->items[n - 1].hi = s->items[i].hi;
        } else {
            s->items[n++] = s->items[i];
        }
    }
    s->n = n;
}

void charset_invert(struct charset *s) {
    struct charset others = {.failed = s->failed};
    charset_add(s, 0xd800, 0xdfff);
    charset_sort(s);
    uint32_t from = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->items[i].lo > from) charset_add(&others, from, s->items[i].lo - 1);
        from = s->items[i].hi + 1;
    }
    if (from <= LAST_CHAR) charset_add(&others, from, LAST_CHAR);
    others.failed = others.failed || s->failed;
    charset_free(s);
    *s = others;
}

static void add_spaces(struct charset *s) {
    static const struct char_range spaces[] = {{9, 13},          {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                                               {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                               {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++) charset_add(s, spaces[i].lo, spaces[i].hi);
}

void charset_add_set(struct charset *s, const struct charset *more) {
    for (size_t i = 0; i < more->n; i++) charset_add(s, more->items[i].lo, more->items[i].hi);
    s->failed = s->failed || more->failed;
}

void charset_add_class(struct charset *s, char name) {
    struct charset class = {0};
    bool others = name >= 'A' && name <= 'Z';
    char small = (char)(name | 0x20);
    if (small == 's') add_spaces(&class);
    if (small == 'd' || small == 'w') charset_add(&class, '0', '9');
    if (small == 'w') {
        charset_add(&class, 'A', 'Z');
        charset_add(&class, '_', '_');
        charset_add(&class, 'a', 'z');
    }
    if (others) charset_invert(&class);
    charset_add_set(s, &class);
    charset_free(&class);
}

// The first character from c on that may be of another category than c: within the planes that hold nothing (4 to 13)
// and those of private use (15, 16) only their last two are. Looking at each of a million characters would take 10 ms.
static uint32_t next_look(uint32_t c) {
    uint32_t plane = c >> 16, last = (plane << 16) | 0xfffe;
    bool alike = (plane >= 4 && plane <= 13) || plane == 15 || plane == 16;
    return alike && c < last ? last : c + 1;
}

bool charset_add_category(struct charset *s, const char *name, size_t size, bool others) {
    static const char known[] =
        "Lu Ll Lt Lm Lo Mn Mc Me Nd Nl No Pc Pd Ps Pe Pi Pf Po Sm Sc Sk So Zs Zl Zp Cc Cf Co Cn";
    struct charset class = {0};
    bool there = false;
    if (size < 1 || size > 2) return false;
    for (const char *k = known; *k; k += k[2] ? 3 : 2) there = there || !memcmp(k, name, size);
    if (!there) return false;
    uint32_t from = LAST_CHAR + 1;
    for (uint32_t c = 0; c <= LAST_CHAR + 1; c = next_look(c)) {
        const char *category = c <= LAST_CHAR ? utf8proc_category_string((utf8proc_int32_t)c) : "  ";
        bool in = !memcmp(category, name, size) && (c < 0xd800 || c > 0xdfff);
        if (in && from > LAST_CHAR) from = c;
        if (!in && from <= LAST_CHAR) {
            charset_add(&class, from, c - 1);
            from = LAST_CHAR + 1;
        }
    }
    if (others) charset_invert(&class);
    charset_add_set(s, &class);
    charset_free(&class);
    return true;
}

bool charset_has(const struct charset *s, uint32_t c) {
    for (size_t i = 0; i < s->n; i++)
        if (c >= s->items[i].lo && c <= s->items[i].hi) return true;
    return false;
}
