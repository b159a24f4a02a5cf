// KV caches full of random numbers, their pages in a random order.
#ifndef TESTS_DEVICE_CACHE_H
#define TESTS_DEVICE_CACHE_H

#include "random.h"

struct cache {
    size_t pages, per_sequence;
    uint32_t *table;
    struct kv_array k, v;
};

// Slabs for so many pages, each in memory of its own: keys, then values.
static inline void make_slabs(const struct kv_shape *s, size_t pages, struct kv_array *k, struct kv_array *v) {
    size_t n = (pages + SLAB_PAGES - 1) / SLAB_PAGES, keys = SLAB_PAGES * kv_key_bytes(s);
    uint8_t **slab = malloc((n + 1) * sizeof *slab);
    for (size_t i = 0; i < n; i++) slab[i] = calloc(1, keys + SLAB_PAGES * kv_value_bytes(s) + 1);
    slab[n] = NULL;
    *k = (struct kv_array){slab, 0};
    *v = (struct kv_array){slab, keys};
}

static inline void free_slabs(struct kv_array a) {
    for (size_t i = 0; a.slab[i]; i++) free(a.slab[i]);
    free((void *)a.slab);
}

static inline void shuffle(uint32_t *x, size_t n) {
    for (size_t i = n; i > 1; i--) {
        size_t k = random_size(0, i - 1);
        uint32_t t = x[i - 1];
        x[i - 1] = x[k];
        x[k] = t;
    }
}

static inline void fill_vector(const struct kv_vector *at, float *x) {
    for (size_t i = 0; i < at->dim; i++) x[i] = random_float() * 2;
    kv_put(at, x);
}

// For `sequences` sequences of up to `length` tokens.
static inline struct cache random_cache(struct kv_shape s, size_t sequences, size_t length) {
    struct cache c = {.per_sequence = (length + PAGE_TOKENS - 1) / PAGE_TOKENS};
    c.pages = sequences * c.per_sequence;
    c.table = malloc(c.pages * sizeof *c.table);
    for (size_t i = 0; i < c.pages; i++) c.table[i] = (uint32_t)i;
    shuffle(c.table, c.pages);
    make_slabs(&s, c.pages, &c.k, &c.v);
    float *x = malloc((s.key_dim + s.value_dim) * sizeof *x);
    for (size_t i = 0; i < c.pages * s.heads * PAGE_TOKENS; i++) {
        size_t page = i / PAGE_TOKENS / s.heads, head = i / PAGE_TOKENS % s.heads, slot = i % PAGE_TOKENS;
        struct kv_vector k = kv_key(&s, c.k, page, head, slot), v = kv_value(&s, c.v, page, head, slot);
        fill_vector(&k, x);
        fill_vector(&v, x);
    }
    free(x);
    return c;
}

static inline void free_cache(struct cache *c) {
    free(c->table);
    free_slabs(c->k);
}

#endif
