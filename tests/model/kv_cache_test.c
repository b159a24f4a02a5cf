#include "model/kv_cache.h"
#include "test.h"

static struct device *cpu;
static gyr_error err;

// The pool's slabs, and where a page of an array lies in them.
static uint8_t *page_of(struct kv_cache *kv, const size_t *array, size_t place, uint32_t page, size_t bytes) {
    return kv->part[0].slab[page / SLAB_PAGES] + array[place] + page % SLAB_PAGES * bytes;
}

static void pages_are_handed_out_once(void) {
    struct kv_cache *kv = kv_cache_new(cpu, (struct kv_layout){{{TYPE_F16, 1, 4, 4}}, {2}}, &err);
    struct pages a = {0}, b = {0};
    REQUIRE(kv && kv_cache_grow(kv, 5, &err));
    CHECK_INT(kv->n_free, SLAB_PAGES);
    CHECK(kv_cache_cover(kv, &a, 2 * PAGE_TOKENS + 1));
    CHECK(kv_cache_cover(kv, &b, (SLAB_PAGES - 4) * PAGE_TOKENS));
    CHECK_INT(a.n, 3);
    CHECK_INT(b.n, SLAB_PAGES - 4);
    CHECK(!kv_cache_cover(kv, &b, (SLAB_PAGES - 2) * PAGE_TOKENS)); // one is left, two are wanted
    CHECK_INT(b.n, SLAB_PAGES - 4);
    bool seen[SLAB_PAGES] = {0}, twice = false;
    for (size_t i = 0; i < a.n; i++) seen[a.page[i]] = true;
    for (size_t i = 0; i < b.n; i++) twice |= seen[b.page[i]];
    CHECK(!twice);
    kv_cache_trim(kv, &a, PAGE_TOKENS);
    CHECK_INT(a.n, 1);
    CHECK(kv_cache_cover(kv, &b, (SLAB_PAGES - 1) * PAGE_TOKENS));
    CHECK_INT(kv->n_free, 0);
    kv_cache_trim(kv, &a, 0);
    kv_cache_trim(kv, &b, 0);
    CHECK_INT(kv->n_free, SLAB_PAGES);
    kv_cache_free(kv);
}

enum { KEYS = 4 * PAGE_TOKENS * 2, VALUES = 8 * PAGE_TOKENS * 2 }; // bytes of a page: heads of 4 and 8 halves

static uint8_t *bytes_of(struct kv_cache *kv, const size_t *array, size_t layer, uint32_t page) {
    return page_of(kv, array, layer, page, array == kv->k ? KEYS : VALUES);
}

// What one holder writes to its own copy is not seen by the others, and a page is free when its last holder left.
static void shared_pages_are_copied_to_be_written(void) {
    struct kv_cache *kv = kv_cache_new(cpu, (struct kv_layout){{{TYPE_F16, 1, 4, 8}}, {2}}, &err);
    struct pages a = {0}, b = {0}, c = {0}, rest = {0};
    REQUIRE(kv && kv_cache_grow(kv, 1, &err) && kv_cache_cover(kv, &a, PAGE_TOKENS + 1));
    REQUIRE(kv_cache_cover(kv, &rest, (SLAB_PAGES - 4) * PAGE_TOKENS)); // two are left
    for (size_t l = 0; l < 2; l++) {
        memset(bytes_of(kv, kv->k, l, a.page[1]), (int)(1 + l), KEYS);
        memset(bytes_of(kv, kv->v, l, a.page[1]), (int)(3 + l), VALUES);
    }
    CHECK(kv_cache_share(kv, &a, &b) && kv_cache_share(kv, &a, &c));
    CHECK_INT(b.n, 2);
    CHECK(b.page[0] == a.page[0] && b.page[1] == a.page[1]);
    CHECK_INT(kv->n_free, 2);
    CHECK(kv_cache_own(kv, &b, PAGE_TOKENS, &err));
    CHECK_INT(kv->n_free, 1);
    CHECK(b.page[0] == a.page[0] && b.page[1] != a.page[1]);
    for (size_t l = 0; l < 2; l++) {
        uint8_t *k = bytes_of(kv, kv->k, l, b.page[1]), *v = bytes_of(kv, kv->v, l, b.page[1]);
        CHECK(k[0] == 1 + l && k[KEYS - 1] == 1 + l && v[0] == 3 + l && v[VALUES - 1] == 3 + l);
        memset(k, 9, KEYS);
        CHECK_INT(bytes_of(kv, kv->k, l, a.page[1])[0], 1 + l);
    }
    uint32_t own = b.page[1];
    CHECK(kv_cache_own(kv, &b, PAGE_TOKENS + 5, &err) && b.page[1] == own);
    kv_cache_trim(kv, &a, 0);
    CHECK_INT(kv->n_free, 1);
    CHECK(kv_cache_own(kv, &c, PAGE_TOKENS, &err));
    CHECK_INT(kv->n_free, 1); // the only holder left: nothing to copy
    CHECK(kv_cache_own(kv, &c, 0, &err) && !kv->n_free);
    kv_cache_trim(kv, &c, 0);
    CHECK_INT(kv->n_free, 2);
    kv_cache_trim(kv, &b, 0);
    CHECK_INT(kv->n_free, 4);
    CHECK(kv_cache_cover(kv, &a, 4 * PAGE_TOKENS) && kv_cache_share(kv, &a, &b));
    CHECK(!kv_cache_own(kv, &b, 0, &err) && b.page[0] == a.page[0]); // none is left to copy to
    kv_cache_trim(kv, &a, 0);
    kv_cache_trim(kv, &b, 0);
    kv_cache_trim(kv, &rest, 0);
    kv_cache_free(kv);
}

// Slabs stay where they are, with what they hold, when others come; those that nobody uses can be given back.
static void growth_moves_nothing(void) {
    enum { PAGES = 3 * SLAB_PAGES - 7 };
    struct kv_cache *kv = kv_cache_new(cpu, (struct kv_layout){{{TYPE_F32, 2, 8, 12}}, {3}}, &err);
    struct pages a = {0}, b = {0};
    REQUIRE(kv && kv_cache_grow(kv, 2, &err) && kv_cache_cover(kv, &a, 2 * PAGE_TOKENS));
    size_t key = kv_key_bytes(&kv->layout.shape[KV_USUAL]), value = kv_value_bytes(&kv->layout.shape[KV_USUAL]);
    CHECK_INT(key, PAGE_TOKENS * 2 * 8 * 4);
    CHECK_INT(value, PAGE_TOKENS * 2 * 12 * 4);
    CHECK_INT(kv->part[0].slab_bytes, 3 * SLAB_PAGES * (key + value));
    for (size_t i = 0; i < kv->part[0].slab_bytes; i++) kv->part[0].slab[0][i] = (uint8_t)(i * 7);
    const uint8_t *first = kv->part[0].slab[0];
    REQUIRE(kv_cache_grow(kv, PAGES, &err) && kv_cache_grow(kv, 50, &err));
    CHECK_INT(kv->n_slabs, 3);
    CHECK_INT(kv_cache_held(kv), 3 * kv->part[0].slab_bytes);
    CHECK_INT(kv->n_free, 3 * SLAB_PAGES - 2);
    CHECK(kv->part[0].slab[0] == first);
    bool same = true;
    for (size_t i = 0; i < kv->part[0].slab_bytes; i++) same &= kv->part[0].slab[0][i] == (uint8_t)(i * 7);
    CHECK(same);
    CHECK(kv_cache_cover(kv, &a, PAGES * PAGE_TOKENS));
    bool once[3 * SLAB_PAGES] = {0}, twice = false;
    for (size_t i = 0; i < a.n; i++) {
        twice |= once[a.page[i]];
        once[a.page[i]] = true;
    }
    CHECK(!twice);
    CHECK_INT(kv_cache_shrink(kv), 0);
    kv_cache_trim(kv, &a, SLAB_PAGES * PAGE_TOKENS);
    CHECK_INT(kv_cache_shrink(kv), 2 * kv->part[0].slab_bytes);
    CHECK_INT(kv->n_free, 0);
    REQUIRE(kv_cache_grow(kv, 1, &err) && kv_cache_cover(kv, &b, PAGE_TOKENS) && b.page[0] == SLAB_PAGES);
    kv_cache_trim(kv, &a, 0);
    kv_cache_trim(kv, &b, 0);
    CHECK_INT(kv_cache_shrink(kv), 2 * kv->part[0].slab_bytes);
    CHECK_INT(kv->n_free, 0);
    kv_cache_free(kv);
}

// AddressSanitizer ends a program that asks for what no machine has, unless told that the program can take a no.
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void sizes(void) {
    CHECK_INT(kv_cache_bytes((struct kv_layout){{{TYPE_F16, 8, 64, 64}}, {60}}, 1), 2 * 60 * 32 * 8 * 64 * 2);
    CHECK_INT(kv_cache_bytes((struct kv_layout){{{TYPE_F32, 1, 2, 2}}, {1}}, 33), 2 * 64 * 2 * 4);
    CHECK_INT(kv_cache_bytes((struct kv_layout){{{TYPE_Q8_0, 2, 64, 40}}, {1}}, 32), 2 * 32 * (64 + 4 + 40 + 4));
    struct kv_cache *kv = kv_cache_new(cpu, (struct kv_layout){{{TYPE_F32, 1 << 20, 1024, 1024}}, {1 << 12}}, &err);
    REQUIRE(kv);
    CHECK(!kv_cache_grow(kv, 1, &err));
    CHECK_INT(err.status, GYR_NO_MEMORY);
    kv_cache_free(kv);
    CHECK(!kv_cache_new(cpu, (struct kv_layout){{{TYPE_F32, SIZE_MAX / 64, 1024, 1024}}, {1}}, &err));
    CHECK_INT(err.status, GYR_NO_MEMORY);
    CHECK(!kv_cache_new(cpu, (struct kv_layout){{{TYPE_F32, 1, 1025, 2}}, {1}}, &err));
    CHECK_INT(err.status, GYR_UNSUPPORTED);
    CHECK_STR(err.message, "KV cache: heads of 1025 and 2 numbers; gyr takes up to 1024");
}

// Each array has pages of its own size, and a copied page is copied in all of them. An indexer has no values.
static void kinds_of_one_cache(void) {
    struct kv_layout all = {
        {[KV_USUAL] = {TYPE_F32, 1, 4, 4}, [KV_LOCAL] = {TYPE_F32, 2, 8, 6}, [KV_INDEX] = {TYPE_F32, 1, 6, 0}},
        {1, 2, 2}};
    static const enum kv_kind kind[] = {KV_USUAL, KV_LOCAL, KV_LOCAL, KV_INDEX, KV_INDEX};
    CHECK_INT(kv_cache_bytes(all, 1), 32 * 4 * (4 + 4 + 2 * (2 * 8 + 2 * 6) + 2 * 6));
    struct kv_cache *kv = kv_cache_new(cpu, all, &err);
    struct pages a = {0}, b = {0};
    REQUIRE(kv && kv_cache_grow(kv, 3, &err) && kv_cache_cover(kv, &a, 2 * PAGE_TOKENS));
    CHECK_INT(kv->n, 5);
    for (size_t i = 0; i < 5; i++) CHECK(kv_cache_shape(kv, i) == &kv->layout.shape[kind[i]]);
    static const size_t key[] = {32 * 4 * 4, 32 * 4 * 16, 32 * 4 * 16, 32 * 4 * 6, 32 * 4 * 6};
    static const size_t value[] = {32 * 4 * 4, 32 * 4 * 12, 32 * 4 * 12};
    for (size_t i = 0; i < 5; i++) memset(page_of(kv, kv->k, i, a.page[1], key[i]), (int)(1 + i), key[i]);
    for (size_t i = 0; i < 3; i++) memset(page_of(kv, kv->v, i, a.page[1], value[i]), (int)(6 + i), value[i]);
    CHECK(kv_cache_share(kv, &a, &b) && kv_cache_own(kv, &b, PAGE_TOKENS, &err) && b.page[1] != a.page[1]);
    CHECK(kv_cache_grow(kv, 99, &err));
    for (size_t i = 0; i < 5; i++) {
        const uint8_t *k = page_of(kv, kv->k, i, b.page[1], key[i]);
        CHECK(k[0] == (int)(1 + i) && k[key[i] - 1] == (int)(1 + i));
    }
    for (size_t i = 0; i < 3; i++) {
        const uint8_t *v = page_of(kv, kv->v, i, b.page[1], value[i]);
        CHECK(v[0] == (int)(6 + i) && v[value[i] - 1] == (int)(6 + i));
    }
    kv_cache_trim(kv, &a, 0);
    kv_cache_trim(kv, &b, 0);
    kv_cache_free(kv);
}

int main(void) {
    cpu = device_cpu(1, NULL, &err);
    if (!cpu) return 1;
    RUN(pages_are_handed_out_once);
    RUN(shared_pages_are_copied_to_be_written);
    RUN(growth_moves_nothing);
    RUN(kinds_of_one_cache);
    RUN(sizes);
    cpu->ops->close(cpu);
    return test_end();
}
