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

// Walks along a text: after the byte at `depth` - 1, which one ends here, and is there one that goes on with byte c?
struct specials_walk {
    size_t low, high;
};
static inline struct specials_walk specials_start(const struct specials *s, unsigned char c) {
    return (struct specials_walk){s->n ? s->first[c] : 0, s->n ? s->first[c + 1] : 0};
}
const struct special *specials_at(const struct specials *s, struct specials_walk *w, size_t depth);
bool specials_next(const struct specials *s, struct specials_walk *w, size_t depth, unsigned char c);

// The longest one that `size` bytes of text begin with; NULL if there is none.
const struct special *specials_longest(const struct specials *s, const char *text, size_t size);

#endif
