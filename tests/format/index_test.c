#include "format/index.h"

#include "format/arena.h"
#include "test.h"

// The designers publish vectors for SipHash-2-4 only; these are from another implementation, which gives those too.
static void hashes_as_others_do(void) {
    static const struct {
        size_t size;
        unsigned char hash[8];
    } want[] = {{0, {0xdc, 0xc4, 0x0f, 0x05, 0x58, 0x01, 0xac, 0xab}},
                {1, {0x93, 0xca, 0x57, 0x7d, 0xf3, 0x9b, 0xf4, 0xc9}},
                {8, {0x8e, 0x9a, 0x29, 0x8d, 0x11, 0x95, 0x90, 0x36}},
                {15, {0x56, 0x99, 0x51, 0x2a, 0x6d, 0xd8, 0x20, 0xd3}}};
    unsigned char bytes[16];
    uint64_t key[2];
    for (unsigned char i = 0; i < 16; i++) bytes[i] = i;
    memcpy(key, bytes, sizeof key);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        uint64_t hash = hash_bytes(key, bytes, want[i].size);
        CHECK(!memcmp(&hash, want[i].hash, sizeof hash));
    }
}

struct item {
    struct text name;
    int number;
};

static void finds_what_was_added(void) {
    enum { N = 5000 };
    static struct item items[N];
    static char names[N][8];
    struct index x = {0};
    CHECK(index_find(&x, items, sizeof *items, (struct text){"", 0}) == SIZE_MAX);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof names[i], "n%d", i);
        items[i] = (struct item){{names[i], strlen(names[i])}, i};
        CHECK_INT(index_add(&x, items, sizeof *items, (size_t)i), INDEX_ADDED);
    }
    CHECK_INT(index_add(&x, items, sizeof *items, 77), INDEX_DUPLICATE);
    for (size_t i = 0; i < N; i++) CHECK(index_find(&x, items, sizeof *items, items[i].name) == i);
    CHECK(index_find(&x, items, sizeof *items, (struct text){"n5000", 5}) == SIZE_MAX);
    CHECK(index_find(&x, items, sizeof *items, (struct text){"n1", 1}) == SIZE_MAX);
    CHECK(index_find(&x, items, sizeof *items, (struct text){NULL, 0}) == SIZE_MAX);
    index_free(&x);
}

static void gives_out_memory(void) {
    struct arena a = {0};
    CHECK(!arena_alloc(&a, SIZE_MAX / 2, 3));
    CHECK(!arena_alloc(&a, SIZE_MAX, 1));
    CHECK(!a.chunks);
    for (size_t n = 0; n < 3000; n += 7) {
        char *p = arena_alloc(&a, n, 3);
        REQUIRE(p);
        CHECK_INT((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n * 3; i++) CHECK(!p[i]);
        memset(p, 1, n * 3);
    }
    CHECK_STR(arena_copy(&a, (struct text){"abc", 2}), "ab");
    CHECK_STR(arena_copy(&a, (struct text){NULL, 0}), "");
    arena_free(&a);
    CHECK(!a.chunks);
}

int main(void) {
    RUN(hashes_as_others_do);
    RUN(finds_what_was_added);
    RUN(gives_out_memory);
    return test_end();
}
