// Sets of characters: ranges of code points, sorted and apart.
#ifndef TEXT_GRAMMAR_CHARSET_H
#define TEXT_GRAMMAR_CHARSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LAST_CHAR = 0x10ffff };

struct char_range {
    uint32_t lo, hi;
};

// Zero-initialize. A failed call sets `failed`, which the caller checks once.
struct charset {
    struct char_range *items;
    size_t n, room;
    bool failed;
};

void charset_free(struct charset *s);

// Adds a range; the set is in order again only after charset_sort().
void charset_add(struct charset *s, uint32_t lo, uint32_t hi);
void charset_sort(struct charset *s);

// The set becomes all other characters. Surrogates are no characters.
void charset_invert(struct charset *s);

void charset_add_set(struct charset *s, const struct charset *more);

// Adds a class that an escape names: d, w, s, as ECMAScript has them, or (D, W, S) all others.
void charset_add_class(struct charset *s, char name);

// Adds the characters of a general category of Unicode ("L", "Lu", ...), or all others; false: no such category.
bool charset_add_category(struct charset *s, const char *name, size_t size, bool others);

bool charset_has(const struct charset *s, uint32_t c);

#endif
