// The paged KV cache (Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention",
// 2023): keys and values of fixed runs of positions, handed out to sequences from one pool.
//
// Sequences that begin alike may hold the same pages; nobody writes to a page that has more than one holder.
//
// The pool grows by slabs, which never move. A slab has an array of pages for each layer's keys and one for its values;
// device/kv_page.h says what a page holds. An indexer's (struct choice) are the same, without values. All arrays' pages
// have the same numbers.
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

// What a device has of the pool: the arrays of its layers.
struct kv_part {
    struct device *device;
    size_t slab_bytes;
    dbyte **slab; // [n_slabs]
};

struct kv_cache {
    struct kv_layout layout;
    bool far;      // its sessions are beyond the trained context, and their keys rotated accordingly (LongRoPE)
    size_t n;      // of all kinds
    size_t *k, *v; // [n]: where their arrays begin in a slab of their part; v of those without values: nowhere
    uint8_t *part_of; // [n]
    struct kv_part part[MAX_SIDES];
    uint32_t parts;
    size_t n_slabs;
    uint32_t *free_pages; // room for all
    size_t n_free;
    uint32_t *holders; // [n_slabs * SLAB_PAGES], sequences that a page belongs to
};

// An empty pool.
struct kv_cache *kv_cache_new(struct device *d, struct kv_layout layout, gyr_error *e);

// The same on several devices, place i on devices[part_of[i]].
struct kv_cache *kv_cache_on(struct device *const *devices, uint32_t parts, const uint8_t *part_of,
                             struct kv_layout layout, gyr_error *e);
void kv_cache_free(struct kv_cache *kv);

// Adds slabs until at least `pages` are free. False, with the error set, if there is no memory.
bool kv_cache_grow(struct kv_cache *kv, size_t pages, gyr_error *e);

// Frees slabs none of whose pages is in use, the last ones first: how many bytes that gave.
uint64_t kv_cache_shrink(struct kv_cache *kv);

// Makes the pool have so many slabs, whoever holds pages of it: for those who hand out none themselves.
bool kv_cache_resize(struct kv_cache *kv, size_t slabs, gyr_error *e);

// Copies all of a page.
void kv_cache_copy(const struct kv_cache *kv, uint32_t from, uint32_t to);

// Bytes that the pool has, and a slab of it.
uint64_t kv_cache_held(const struct kv_cache *kv);
uint64_t kv_cache_slab(const struct kv_cache *kv);

// Pages that `tokens` positions take.
size_t kv_cache_pages(size_t tokens);

// The cache's element type where nobody chose one: F32 beside F32 weights, so that nothing is rounded that the weights'
// precision could show, and F16 beside all others.
enum type kv_cache_default(enum type weights);

// The type that a caller wants beside weights of a type.
enum type kv_cache_wanted(enum type weights, gyr_kv_type want);

// Bytes that `tokens` positions take, whole pages.
uint64_t kv_cache_bytes(struct kv_layout layout, uint64_t tokens);

struct kv_layout kv_cache_layout(const struct hyperparameters *h, enum type type);

// The shape of what is in place i.
const struct kv_shape *kv_cache_shape(const struct kv_cache *kv, size_t i);

// Keys and values of place i; `slab` is the table of the pool's slabs as the device has it.
struct kv_array kv_cache_keys(const struct kv_cache *kv, size_t i, const dslab *slab);
struct kv_array kv_cache_values(const struct kv_cache *kv, size_t i, const dslab *slab);

// What one page has in array i, of kv_cache_arrays(): keys, or values, of one layer. Some arrays are empty.
struct kv_piece {
    struct device *device;
    dbyte *at;
    size_t bytes;
    const struct kv_shape *shape;
    bool keys;
};
size_t kv_cache_arrays(const struct kv_cache *kv);
struct kv_piece kv_cache_piece(const struct kv_cache *kv, size_t i, uint32_t page);

// Copies the page's tokens [first, last) from one image of a piece to another; both are on the host.
void kv_piece_copy(const struct kv_piece *p, uint8_t *to, const uint8_t *from, size_t first, size_t last);

// A sequence's page table.
struct pages {
    uint32_t *page;
    size_t n, room;
};

// Makes `p` cover positions [0, length). False if the pool or the memory is exhausted: `p` is then as before.
bool kv_cache_cover(struct kv_cache *kv, struct pages *p, size_t length);

// Makes `to`, which must be empty, another holder of all pages of `from`. False if the memory is exhausted.
bool kv_cache_share(struct kv_cache *kv, const struct pages *from, struct pages *to);

// Makes `p` the only holder of the page of `position`, by a copy if it has others. False, and `p` as before, if the
// pool is exhausted or the device failed.
bool kv_cache_own(struct kv_cache *kv, struct pages *p, size_t position, gyr_error *e);

// Gives back the pages that positions [0, length) do not need.
void kv_cache_trim(struct kv_cache *kv, struct pages *p, size_t length);

#endif
