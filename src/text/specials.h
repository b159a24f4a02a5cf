// Tokens that are found in the text before anything else: the leftmost, and of several there the longest.
#ifndef TEXT_SPECIALS_H
#define TEXT_SPECIALS_H

#include "base/buf.h"

struct special {
    struct text text;
    int32_t id;
};

// Zero-initialize; add all, then sort once.
struct specials {
    struct special *items;
    size_t n, room;
    size_t first[257]; // items that begin with byte b: [first[b], first[b + 1])
};

// Longer ones would make the search slow in hostile files; real ones are shorter than 64 bytes.
enum { MAX_SPECIAL = 256 };

bool specials_add(struct specials *s, struct text text, int32_t id); // false: out of memory
void specials_sort(struct specials *s);
void specials_free(struct specials *s);

// The longest one that `size` bytes of text begin with; NULL if there is none.
const struct special *specials_longest(const struct specials *s, const char *text, size_t size);

#endif
