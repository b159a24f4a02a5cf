#include "format/arena.h"

#include <stdlib.h>
#include <string.h>

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, room;
    _Alignas(max_align_t) char data[];
};

enum { CHUNK = 16 * 1024, ALIGN = _Alignof(max_align_t) };

static struct arena_chunk *grow(struct arena *a, size_t bytes) {
    size_t room = bytes > CHUNK ? bytes : CHUNK;
    struct arena_chunk *c = room > SIZE_MAX - sizeof *c ? NULL : calloc(1, sizeof *c + room);
    if (!c) return NULL;
    c->room = room;
    c->next = a->chunks;
    a->chunks = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes) || __builtin_add_overflow(bytes, (size_t)ALIGN - 1, &bytes))
        return NULL;
    bytes &= ~(size_t)(ALIGN - 1);
    struct arena_chunk *c = a->chunks;
    if (!c || bytes > c->room - c->used) c = grow(a, bytes);
    if (!c) return NULL;
    void *p = c->data + c->used;
    c->used += bytes;
    return p;
}

char *arena_copy(struct arena *a, struct text s) {
    char *p = s.size < SIZE_MAX ? arena_alloc(a, s.size + 1, 1) : NULL;
    if (p && s.size) memcpy(p, s.data, s.size);
    return p;
}

void arena_free(struct arena *a) {
    for (struct arena_chunk *c = a->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    a->chunks = NULL;
}
