// Memory of one template or of one rendering: taken piece by piece, given back all at once, never more than `limit`.
#ifndef TEXT_JINJA_HEAP_H
#define TEXT_JINJA_HEAP_H

#include <stddef.h>

struct chunk;

struct heap {
    struct chunk *chunks; // the first is the one being filled
    size_t used, limit;   // bytes
};

// Zeroed memory, aligned for anything; NULL when the limit or the machine's memory is reached.
void *heap_alloc(struct heap *h, size_t size);
void heap_free(struct heap *h);

#endif
