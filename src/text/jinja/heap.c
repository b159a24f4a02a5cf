#include "text/jinja/heap.h"

#include <stdlib.h>

enum { CHUNK = 64 << 10, ALIGN = 16 };

struct chunk {
    struct chunk *next;
    size_t used, room;
    _Alignas(ALIGN) char data[];
};

static struct chunk *grow(struct heap *h, size_t size) {
    size_t room = size > CHUNK / 4 ? size : CHUNK;
    if (h->used > h->limit || room > h->limit - h->used) return NULL;
    struct chunk *c = calloc(1, sizeof *c + room);
    if (!c) return NULL;
    c->room = room;
    h->used += room;
    // A big piece has a chunk of its own, behind the one that is being filled.
    struct chunk **at = h->chunks && room == size ? &h->chunks->next : &h->chunks;
    c->next = *at;
    *at = c;
    return c;
}

void *heap_alloc(struct heap *h, size_t size) {
    if (size > h->limit) return NULL;
    size = (size + ALIGN - 1) / ALIGN * ALIGN;
    if (!size) size = ALIGN;
    struct chunk *c = h->chunks;
    if (!c || size > c->room - c->used) c = grow(h, size);
    if (!c) return NULL;
    void *p = c->data + c->used;
    c->used += size;
    return p;
}

void heap_free(struct heap *h) {
    for (struct chunk *c = h->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    h->chunks = NULL;
    h->used = 0;
}
