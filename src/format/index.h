// A hash index over an array whose items begin with their name (a struct text). Names come from strangers, so the
// hash is keyed with random bits: no file can be made to collide.
#ifndef FORMAT_INDEX_H
#define FORMAT_INDEX_H

#include "base/buf.h"

// Zero-initialize.
struct index {
    uint32_t *slots; // item + 1; 0: free
    size_t n_slots, n;
    uint64_t key[2];
};

enum index_result { INDEX_ADDED, INDEX_DUPLICATE, INDEX_NO_MEMORY };

// Adds item i of `items` (items are `stride` bytes apart), unless one of its name is there.
enum index_result index_add(struct index *x, const void *items, size_t stride, size_t i);

// The item of that name; SIZE_MAX if there is none.
size_t index_find(const struct index *x, const void *items, size_t stride, struct text name);

void index_free(struct index *x);

// SipHash-1-3 (Aumasson and Bernstein, 2012).
uint64_t hash_bytes(const uint64_t key[2], const void *data, size_t size);

#endif
