#include "model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "model/hyper.h"

size_t kv_cache_pages(size_t tokens) { return tokens / PAGE_TOKENS + (tokens % PAGE_TOKENS != 0); }

enum type kv_cache_default(enum type weights) { return weights == TYPE_F32 ? TYPE_F32 : TYPE_F16; }

struct kv_layout kv_cache_layout(const struct hyperparameters *h, enum type type) {
    return (struct kv_layout){.shape = {type, h->kv_heads, h->head_dim, h->value_dim},
                              .layers = h->kv_layers,
                              .index = {type, 1, h->index_dim, 0},
                              .indexers = h->indexers};
}

static uint64_t page_bytes(const struct kv_layout *l) {
    return (kv_key_bytes(&l->shape) + kv_value_bytes(&l->shape)) * l->layers + kv_key_bytes(&l->index) * l->indexers;
}

uint64_t kv_cache_bytes(const struct kv_layout *layout, uint64_t tokens) {
    return page_bytes(layout) * kv_cache_pages(tokens);
}

// One of the cache's arrays, and the bytes of a page of it.
struct array {
    void **pages;
    size_t bytes;
};

static size_t arrays(const struct kv_cache *kv) { return 2 * kv->layers + kv->indexers; }

static struct array array_at(const struct kv_cache *kv, size_t i) {
    if (i >= 2 * kv->layers) return (struct array){&kv->index_k[i - 2 * kv->layers], kv_key_bytes(&kv->index)};
    if (i % 2) return (struct array){&kv->v[i / 2], kv_value_bytes(&kv->shape)};
    return (struct array){&kv->k[i / 2], kv_key_bytes(&kv->shape)};
}

void kv_cache_free(struct kv_cache *kv) {
    if (!kv) return;
    for (size_t i = 0; kv->k && kv->v && kv->index_k && i < arrays(kv); i++) {
        void *pages = *array_at(kv, i).pages;
        if (pages) kv->device->ops->free(kv->device, pages);
    }
    free(kv->k);
    free(kv->v);
    free(kv->index_k);
    free(kv->free_pages);
    free(kv->holders);
    free(kv);
}

struct kv_cache *kv_cache_new(struct device *d, const struct kv_layout *layout, gyr_error *e) {
    const struct kv_shape shape = layout->shape;
    if (shape.key_dim > KV_MOST_DIM || shape.value_dim > KV_MOST_DIM)
        return fail_null(e, GYR_UNSUPPORTED, "KV cache: heads of %zu and %zu numbers; gyr takes up to %d",
                         shape.key_dim, shape.value_dim, (int)KV_MOST_DIM);
    struct kv_cache *kv = calloc(1, sizeof *kv);
    if (!kv) return fail_memory(e, "KV cache"), NULL;
    kv->device = d;
    kv->shape = shape;
    kv->index = layout->index;
    kv->layers = layout->layers;
    kv->indexers = layout->indexers;
    kv->k = calloc(kv->layers + 1, sizeof *kv->k);
    kv->v = calloc(kv->layers + 1, sizeof *kv->v);
    kv->index_k = calloc(kv->indexers + 1, sizeof *kv->index_k);
    if (kv->k && kv->v && kv->index_k) return kv;
    kv_cache_free(kv);
    return fail_memory(e, "KV cache"), NULL;
}

static bool grow_array(struct kv_cache *kv, struct array a, size_t pages, gyr_error *e) {
    size_t bytes;
    if (__builtin_mul_overflow(a.bytes, pages, &bytes)) return fail_memory(e, "KV cache");
    void *p = kv->device->ops->alloc(kv->device, bytes, e);
    if (!p) return false;
    if (*a.pages) {
        kv->device->ops->copy(kv->device, p, *a.pages, a.bytes * kv->touched);
        kv->device->ops->free(kv->device, *a.pages);
    }
    *a.pages = p;
    return true;
}

bool kv_cache_reserve(struct kv_cache *kv, size_t pages, gyr_error *e) {
    if (pages <= kv->pages) return true;
    uint32_t *free_pages = realloc(kv->free_pages, pages * sizeof *free_pages);
    if (free_pages) kv->free_pages = free_pages;
    uint32_t *holders = realloc(kv->holders, pages * sizeof *holders);
    if (holders) kv->holders = holders;
    if (!free_pages || !holders) return fail_memory(e, "KV cache");
    // Arrays already grown when a later one fails are only larger than the pool says: no harm.
    for (size_t i = 0; i < arrays(kv); i++)
        if (!grow_array(kv, array_at(kv, i), pages, e)) return false;
    // New pages go below the free ones: low numbers are handed out first, so that `touched` stays small.
    size_t added = pages - kv->pages;
    memmove(kv->free_pages + added, kv->free_pages, kv->n_free * sizeof *kv->free_pages);
    for (size_t i = 0; i < added; i++) kv->free_pages[i] = (uint32_t)(pages - 1 - i);
    kv->n_free += added;
    kv->pages = pages;
    return true;
}

static bool make_room(struct pages *p, size_t need) {
    if (need <= p->room) return true;
    size_t room = need + need / 2;
    uint32_t *page = realloc(p->page, room * sizeof *page);
    if (!page) return false;
    p->page = page;
    p->room = room;
    return true;
}

static uint32_t take(struct kv_cache *kv) {
    uint32_t page = kv->free_pages[--kv->n_free];
    if (page >= kv->touched) kv->touched = page + 1;
    kv->holders[page] = 1;
    return page;
}

static void give_back(struct kv_cache *kv, uint32_t page) {
    if (--kv->holders[page] == 0) kv->free_pages[kv->n_free++] = page;
}

bool kv_cache_cover(struct kv_cache *kv, struct pages *p, size_t length) {
    size_t need = kv_cache_pages(length);
    if (need <= p->n) return true;
    if (need - p->n > kv->n_free || !make_room(p, need)) return false;
    while (p->n < need) p->page[p->n++] = take(kv);
    return true;
}

bool kv_cache_share(struct kv_cache *kv, const struct pages *from, struct pages *to) {
    if (!make_room(to, from->n)) return false;
    for (; to->n < from->n; to->n++) kv->holders[to->page[to->n] = from->page[to->n]]++;
    return true;
}

bool kv_cache_own(struct kv_cache *kv, struct pages *p, size_t position) {
    uint32_t *page = &p->page[position / PAGE_TOKENS], shared = *page;
    if (kv->holders[shared] == 1) return true;
    if (!kv->n_free) return false;
    *page = take(kv);
    for (size_t i = 0; i < arrays(kv); i++) {
        struct array a = array_at(kv, i);
        char *pages = *a.pages;
        kv->device->ops->copy(kv->device, pages + *page * a.bytes, pages + shared * a.bytes, a.bytes);
    }
    give_back(kv, shared);
    return true;
}

void kv_cache_trim(struct kv_cache *kv, struct pages *p, size_t length) {
    size_t need = kv_cache_pages(length);
    while (p->n > need) give_back(kv, p->page[--p->n]);
    if (length) return;
    free(p->page);
    *p = (struct pages){0};
}
