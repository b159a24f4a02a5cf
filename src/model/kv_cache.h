// The paged KV cache (Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention",
// 2023): keys and values of fixed runs of positions, handed out to sequences from one pool.
//
// Sequences that begin alike may hold the same pages; nobody writes to a page that has more than one holder.
//
// Each layer's pages are one array for keys and one for values; device/kv_page.h says what a page holds. An indexer's
// (struct choice) are the like, without values. All arrays' pages have the same numbers.
#ifndef MODEL_KV_CACHE_H
#define MODEL_KV_CACHE_H

#include "device/device.h"

struct hyperparameters;

// Whose keys and values: of most layers, of layers with a window whose heads are their own, of indexers.
enum kv_kind { KV_USUAL, KV_LOCAL, KV_INDEX, KV_KINDS };

// What a model remembers of each position: so much of each kind, one kind behind the other.
struct kv_layout {
    struct kv_shape shape[KV_KINDS]; // of one type
    size_t n[KV_KINDS];
};

struct kv_cache {
    struct device *device;
    struct kv_layout layout;
    bool far;             // its sessions are beyond the trained context, and their keys rotated accordingly (LongRoPE)
    size_t n;             // of all kinds
    void **k, **v;        // [n], device memory; no values: NULL
    size_t pages;         // in the pool
    uint32_t *free_pages; // room for all
    size_t n_free;
    uint32_t *holders; // [pages], sequences that a page belongs to
    size_t touched;    // pages ever handed out: 0 to touched - 1
};

// An empty pool.
struct kv_cache *kv_cache_new(struct device *d, struct kv_layout layout, gyr_error *e);
void kv_cache_free(struct kv_cache *kv);

// Grows the pool to at least `pages`; page numbers and contents stay.
bool kv_cache_reserve(struct kv_cache *kv, size_t pages, gyr_error *e);

// Pages that `tokens` positions take.
size_t kv_cache_pages(size_t tokens);

// The cache's element type where nobody chose one: F32 beside F32 weights, so that nothing is rounded that the weights'
// precision could show, and F16 beside all others.
enum type kv_cache_default(enum type weights);

// Bytes that `tokens` positions take, whole pages.
uint64_t kv_cache_bytes(struct kv_layout layout, uint64_t tokens);

struct kv_layout kv_cache_layout(const struct hyperparameters *h, enum type type);

// The shape of what is in place i.
const struct kv_shape *kv_cache_shape(const struct kv_cache *kv, size_t i);

// A sequence's page table.
struct pages {
    uint32_t *page;
    size_t n, room;
};

// Makes `p` cover positions [0, length). False if the pool or the memory is exhausted: `p` is then as before.
bool kv_cache_cover(struct kv_cache *kv, struct pages *p, size_t length);

// Makes `to`, which must be empty, another holder of all pages of `from`. False if the memory is exhausted.
bool kv_cache_share(struct kv_cache *kv, const struct pages *from, struct pages *to);

// Makes `p` the only holder of the page of `position`, by a copy if it has others. False if the pool is exhausted.
bool kv_cache_own(struct kv_cache *kv, struct pages *p, size_t position);

// Gives back the pages that positions [0, length) do not need.
void kv_cache_trim(struct kv_cache *kv, struct pages *p, size_t length);

#endif
