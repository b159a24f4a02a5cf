// Memory that is given out in pieces and freed at once.
#ifndef FORMAT_ARENA_H
#define FORMAT_ARENA_H

#include "base/buf.h"

// Zero-initialize.
struct arena {
    struct arena_chunk *chunks;
};

// `n` items of `size` bytes, zeroed and aligned for any type; NULL when out of memory or when n * size overflows.
void *arena_alloc(struct arena *a, size_t n, size_t size);

// A NUL-terminated copy.
char *arena_copy(struct arena *a, struct text s);

void arena_free(struct arena *a);

#endif
