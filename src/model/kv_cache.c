#include "model/kv_cache.h"

#include <stdlib.h>
#include <string.h>

#include "model/hyper.h"

enum { LINE = 64 };

size_t kv_cache_pages(size_t tokens) { return tokens / PAGE_TOKENS + (tokens % PAGE_TOKENS != 0); }

enum type kv_cache_default(enum type weights) { return weights == TYPE_F32 ? TYPE_F32 : TYPE_F16; }

enum type kv_cache_wanted(enum type weights, gyr_kv_type want) {
    static const enum type types[] = {[GYR_KV_F32] = TYPE_F32, [GYR_KV_F16] = TYPE_F16, [GYR_KV_Q8] = TYPE_Q8_0};
    return want == GYR_KV_DEFAULT ? kv_cache_default(weights) : types[want];
}

struct kv_layout kv_cache_layout(const struct hyperparameters *h, enum type type) {
    const struct heads *local = &h->local_heads;
    struct kv_layout layout = {.shape = {[KV_USUAL] = {type, h->kv_heads, h->head_dim, h->value_dim},
                                         [KV_LOCAL] = {type, local->kv_heads, local->head_dim, local->head_dim},
                                         [KV_INDEX] = {type, 1, h->index_dim, 0}}};
    for (int k = 0; k < KV_KINDS; k++) layout.n[k] = h->kv_layers[k];
    return layout;
}

const struct kv_shape *kv_cache_shape(const struct kv_cache *kv, size_t i) {
    const struct kv_shape *shape = kv->layout.shape;
    for (const size_t *n = kv->layout.n; i >= *n; shape++) i -= *n++;
    return shape;
}

uint64_t kv_cache_bytes(struct kv_layout layout, uint64_t tokens) {
    uint64_t page = 0;
    for (int k = 0; k < KV_KINDS; k++)
        page += (kv_key_bytes(&layout.shape[k]) + kv_value_bytes(&layout.shape[k])) * layout.n[k];
    return page * kv_cache_pages(tokens);
}

// One of the cache's 2 n arrays, and the bytes of a page of it.
struct array {
    size_t *at;
    size_t bytes;
};

static struct array array_at(const struct kv_cache *kv, size_t i) {
    const struct kv_shape *s = kv_cache_shape(kv, i / 2);
    return i % 2 ? (struct array){&kv->v[i / 2], kv_value_bytes(s)} : (struct array){&kv->k[i / 2], kv_key_bytes(s)};
}

struct kv_array kv_cache_keys(const struct kv_cache *kv, size_t i, const dslab *slab) {
    return (struct kv_array){slab, kv->k[i]};
}

struct kv_array kv_cache_values(const struct kv_cache *kv, size_t i, const dslab *slab) {
    return (struct kv_array){slab, kv->v[i]};
}

static void drop_slab(struct kv_cache *kv) {
    kv->n_slabs--;
    for (uint32_t p = 0; p < kv->parts; p++) {
        struct device *d = kv->part[p].device;
        d->ops->free(d, kv->part[p].slab[kv->n_slabs]);
    }
}

void kv_cache_free(struct kv_cache *kv) {
    if (!kv) return;
    while (kv->n_slabs) drop_slab(kv);
    for (uint32_t p = 0; p < kv->parts; p++) free(kv->part[p].slab);
    free(kv->part_of);
    free(kv->k);
    free(kv->v);
    free(kv->free_pages);
    free(kv->holders);
    free(kv);
}

static bool lay_out(struct kv_cache *kv) {
    for (size_t i = 0; i < 2 * kv->n; i++) {
        struct array a = array_at(kv, i);
        struct kv_part *p = &kv->part[kv->part_of[i / 2]];
        size_t bytes;
        *a.at = p->slab_bytes;
        if (__builtin_mul_overflow(a.bytes, (size_t)SLAB_PAGES, &bytes) || bytes > SIZE_MAX / 2 - p->slab_bytes)
            return false;
        p->slab_bytes += (bytes + LINE - 1) / LINE * LINE;
    }
    return true;
}

struct kv_cache *kv_cache_new(struct device *d, struct kv_layout layout, gyr_error *e) {
    return kv_cache_on(&d, 1, NULL, layout, e);
}

struct kv_cache *kv_cache_on(struct device *const *devices, uint32_t parts, const uint8_t *part_of,
                             struct kv_layout layout, gyr_error *e) {
    for (const struct kv_shape *s = layout.shape; s < layout.shape + KV_KINDS; s++)
        if (s->key_dim > KV_MOST_DIM || s->value_dim > KV_MOST_DIM)
            return fail_null(e, GYR_UNSUPPORTED, "KV cache: heads of %zu and %zu numbers; gyr takes up to %d",
                             s->key_dim, s->value_dim, (int)KV_MOST_DIM);
    struct kv_cache *kv = calloc(1, sizeof *kv);
    if (!kv) return fail_memory(e, "KV cache"), NULL;
    for (kv->parts = 0; kv->parts < parts; kv->parts++) kv->part[kv->parts].device = devices[kv->parts];
    kv->layout = layout;
    for (int k = 0; k < KV_KINDS; k++) kv->n += layout.n[k];
    kv->k = calloc(kv->n + 1, sizeof *kv->k);
    kv->v = calloc(kv->n + 1, sizeof *kv->v);
    kv->part_of = calloc(kv->n + 1, sizeof *kv->part_of);
    if (kv->part_of && part_of) memcpy(kv->part_of, part_of, kv->n);
    if (kv->k && kv->v && kv->part_of && lay_out(kv)) return kv;
    kv_cache_free(kv);
    return fail_memory(e, "KV cache"), NULL;
}

// Room on the host for another slab.
static bool note_slab(struct kv_cache *kv, gyr_error *e) {
    size_t pages = (kv->n_slabs + 1) * SLAB_PAGES;
    bool slabs = true;
    for (uint32_t p = 0; p < kv->parts; p++) {
        dbyte **slab = reallocarray(kv->part[p].slab, kv->n_slabs + 1, sizeof *slab);
        if (slab) kv->part[p].slab = slab;
        slabs = slabs && slab;
    }
    uint32_t *free_pages = reallocarray(kv->free_pages, pages, sizeof *free_pages);
    if (free_pages) kv->free_pages = free_pages;
    uint32_t *holders = reallocarray(kv->holders, pages, sizeof *holders);
    if (holders) kv->holders = holders;
    return (slabs && free_pages && holders && pages <= UINT32_MAX) || fail_memory(e, "KV cache");
}

// The memory of one, on every part's device or on none.
static bool make_slab(struct kv_cache *kv, gyr_error *e) {
    for (uint32_t p = 0; p < kv->parts; p++) {
        struct kv_part *at = &kv->part[p];
        at->slab[kv->n_slabs] = at->device->ops->alloc(at->device, at->slab_bytes + !at->slab_bytes, e);
        if (at->slab[kv->n_slabs]) continue;
        for (; p--; at--) at[-1].device->ops->free(at[-1].device, at[-1].slab[kv->n_slabs]);
        return false;
    }
    return true;
}

static bool add_slab(struct kv_cache *kv, gyr_error *e) {
    if (!note_slab(kv, e) || !make_slab(kv, e)) return false;
    uint32_t first = (uint32_t)(kv->n_slabs++ * SLAB_PAGES);
    // New pages go below the free ones: low numbers are handed out first, so that the last slabs become free again.
    memmove(kv->free_pages + SLAB_PAGES, kv->free_pages, kv->n_free * sizeof *kv->free_pages);
    for (uint32_t i = 0; i < SLAB_PAGES; i++) {
        kv->free_pages[i] = first + SLAB_PAGES - 1 - i;
        kv->holders[first + i] = 0;
    }
    kv->n_free += SLAB_PAGES;
    return true;
}

bool kv_cache_grow(struct kv_cache *kv, size_t pages, gyr_error *e) {
    while (kv->n_free < pages)
        if (!add_slab(kv, e)) return false;
    return true;
}

bool kv_cache_resize(struct kv_cache *kv, size_t slabs, gyr_error *e) {
    while (kv->n_slabs > slabs) drop_slab(kv);
    kv->n_free = 0;
    while (kv->n_slabs < slabs)
        if (!add_slab(kv, e)) return false;
    return true;
}

static bool is_used(const struct kv_cache *kv, size_t slab) {
    for (size_t i = 0; i < SLAB_PAGES; i++)
        if (kv->holders[slab * SLAB_PAGES + i]) return true;
    return false;
}

uint64_t kv_cache_shrink(struct kv_cache *kv) {
    size_t before = kv->n_slabs, left = 0;
    while (kv->n_slabs && !is_used(kv, kv->n_slabs - 1)) drop_slab(kv);
    for (size_t i = 0; i < kv->n_free; i++)
        if (kv->free_pages[i] < kv->n_slabs * SLAB_PAGES) kv->free_pages[left++] = kv->free_pages[i];
    kv->n_free = left;
    return (uint64_t)(before - kv->n_slabs) * kv_cache_slab(kv);
}

uint64_t kv_cache_slab(const struct kv_cache *kv) {
    uint64_t all = 0;
    for (uint32_t p = 0; p < kv->parts; p++) all += kv->part[p].slab_bytes;
    return all;
}

uint64_t kv_cache_held(const struct kv_cache *kv) { return kv->n_slabs * kv_cache_slab(kv); }

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

static const struct kv_part *part_at(const struct kv_cache *kv, size_t i) { return &kv->part[kv->part_of[i / 2]]; }

static dbyte *page_at(const struct kv_cache *kv, size_t i, struct array a, uint32_t page) {
    return part_at(kv, i)->slab[page / SLAB_PAGES] + *a.at + page % SLAB_PAGES * a.bytes;
}

size_t kv_cache_arrays(const struct kv_cache *kv) { return 2 * kv->n; }

struct kv_piece kv_cache_piece(const struct kv_cache *kv, size_t i, uint32_t page) {
    struct array a = array_at(kv, i);
    dbyte *at = page_at(kv, i, a, page);
    return (struct kv_piece){part_at(kv, i)->device, at, a.bytes, kv_cache_shape(kv, i / 2), i % 2 == 0};
}

void kv_piece_copy(const struct kv_piece *p, uint8_t *to, const uint8_t *from, size_t first, size_t last) {
    const struct kv_shape *s = p->shape;
    size_t dim = p->keys ? s->key_dim : s->value_dim, head = kv_head_bytes(s->type, dim);
    for (size_t h = 0; p->bytes && h < s->heads; h++)
        for (size_t t = first; t < last; t++) {
            // Nothing is written through the second: a vector serves both ways.
            const struct kv_vector out = {s->type, p->keys, to + h * head, dim, t};
            const struct kv_vector in = {s->type, p->keys, (uint8_t *)(uintptr_t)from + h * head, dim, t};
            kv_copy(&out, &in);
        }
}

void kv_cache_copy(const struct kv_cache *kv, uint32_t from, uint32_t to) {
    for (size_t i = 0; i < 2 * kv->n; i++) {
        struct array a = array_at(kv, i);
        struct device *d = part_at(kv, i)->device;
        if (a.bytes) d->ops->copy(d, page_at(kv, i, a, to), page_at(kv, i, a, from), a.bytes);
    }
}

static bool sync_all(const struct kv_cache *kv, gyr_error *e) {
    bool ok = true;
    for (uint32_t i = 0; i < kv->parts; i++) {
        struct device *d = kv->part[i].device;
        ok = d->ops->sync(d, ok ? e : NULL) && ok;
    }
    return ok;
}

bool kv_cache_own(struct kv_cache *kv, struct pages *p, size_t position, gyr_error *e) {
    uint32_t *page = &p->page[position / PAGE_TOKENS], shared = *page;
    if (kv->holders[shared] == 1) return true;
    if (!kv->n_free) return fail_memory(e, "KV cache");
    uint32_t own = take(kv);
    kv_cache_copy(kv, shared, own);
    // The shared page is let go when its copy is known to be there.
    bool ok = sync_all(kv, e);
    if (ok) *page = own;
    give_back(kv, ok ? shared : own);
    return ok;
}

void kv_cache_trim(struct kv_cache *kv, struct pages *p, size_t length) {
    size_t need = kv_cache_pages(length);
    while (p->n > need) give_back(kv, p->page[--p->n]);
    if (length) return;
    free(p->page);
    *p = (struct pages){0};
}
