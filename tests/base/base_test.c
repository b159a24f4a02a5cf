#include "base/buf.h"
#include "base/error.h"
#include "base/map.h"
#include "base/threads.h"
#include "base/utf8.h"
#include "test.h"

#include <stdatomic.h>

// AddressSanitizer ends a program that asks for what no machine has, unless told that the program can take a no.
__attribute__((visibility("default"))) const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

static void arrays_grow(void) {
    struct pair {
        int32_t a;
        double b;
    } *items = NULL;
    size_t room = 0;
    for (size_t n = 0; n < 1000; n++) {
        REQUIRE(ARRAY_GROW(items, n, room));
        items[n] = (struct pair){(int32_t)n, 0.5 * (double)n};
    }
    CHECK_INT(room, 1024);
    int32_t wrong = 0;
    for (int32_t n = 0; n < 1000; n++) wrong += items[n].a != n || items[n].b != 0.5 * n;
    CHECK_INT(wrong, 0);
    struct pair *before = items;
    CHECK(!ARRAY_GROW(items, SIZE_MAX / 2 + 1, room));
    CHECK(!ARRAY_GROW(items, SIZE_MAX / 32, room)); // in bytes more than a size_t holds
    CHECK(items == before && room == 1024);
    free(items);
}

static void buf_grows(void) {
    struct buf b = {0};
    for (int i = 0; i < 1000; i++) buf_printf(&b, "%d,", i);
    CHECK(!b.failed);
    CHECK_INT(b.size, 3890);
    CHECK(!memcmp(b.data + b.size - 5, ",999,", 6));
    buf_clear(&b);
    CHECK_STR(b.data, "");
    buf_append(&b, "a", SIZE_MAX);
    CHECK(b.failed);
    CHECK(buf_take(&b) == NULL);
    char *empty = buf_take(&b);
    CHECK_STR(empty, "");
    free(empty);
}

static void errors_are_one_printable_line(void) {
    gyr_error e = {0};
    CHECK(!fail(&e, GYR_IO, "a\nb\x1b[31m%s", "\x7f"));
    CHECK_INT(e.status, GYR_IO);
    CHECK_STR(e.message, "a?b?[31m?");
    CHECK(!fail(NULL, GYR_IO, "nobody listens"));
}

static atomic_size_t hits[5000];
static void hit(void *arg, size_t i) { atomic_fetch_add((atomic_size_t *)arg + i, 1); }

static void pool_runs_each_task_once(void) {
    for (unsigned threads = 1; threads <= 8; threads++) {
        gyr_error e;
        struct pool *p = pool_new(threads, &e);
        REQUIRE(p);
        for (size_t i = 0; i < 5000; i++) hits[i] = 0;
        for (int loop = 0; loop < 200; loop++) pool_run(p, (size_t)(loop * 25 + 1), hit, hits);
        bool right = true;
        for (size_t i = 0; i < 5000; i++) right &= hits[i] == 200 - (i + 24) / 25;
        CHECK(right);
        pool_free(p);
    }
    gyr_error e;
    CHECK(!pool_new(100000, &e));
    CHECK_INT(e.status, GYR_USAGE);
}

static void utf8_is_strict(void) {
    uint32_t c;
    CHECK_INT(utf8_decode("\xf0\x9f\xa6\x85", 4, &c), 4);
    CHECK_INT(c, 0x1f985);
    static const char *bad[] = {
        "\x80",     "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
        "\xe4\xb8", "\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_INT(utf8_decode(bad[i], strlen(bad[i]), &c), 0);
    bool round = true;
    for (uint32_t i = 0; i < 0x110000; i++) {
        char s[4];
        int n = utf8_encode(i, s);
        if (i >= 0xd800 && i < 0xe000)
            round &= n == 0;
        else
            round &= utf8_decode(s, (size_t)n, &c) == n && c == i;
    }
    CHECK(round);
    CHECK_INT(utf8_encode(0x110000, (char[4]){0}), 0);
}

static void utf8_never_cuts_a_character(void) {
    const char *s = "a\xe4\xb8\xad\xf0\x9f\xa6\x85";
    static const size_t whole[] = {0, 1, 1, 1, 4, 4, 4, 4, 8};
    for (size_t n = 0; n <= 8; n++) CHECK_INT(utf8_whole(s, n), whole[n]);
    CHECK_INT(utf8_whole("a\x80\x80\x80\x80", 5), 5); // garbage is not held back for ever
    CHECK_INT(utf8_whole("a\xed\xa0", 3), 3);
}

static void map_says_what_is_wrong(void) {
    struct map m;
    gyr_error e;
    CHECK(!map_open(&m, "/nonexistent", &e));
    CHECK_STR(e.message, "/nonexistent: No such file or directory; check the path");
    CHECK(!map_open(&m, "/", &e));
    CHECK_STR(e.message, "/: not a regular file; give a model file");
    CHECK(!map_open(&m, "/dev/null", &e));
    CHECK(!read_file(test_data("../test.h"), 10, NULL, &e));
    CHECK_INT(e.status, GYR_MALFORMED);
}

int main(void) {
    RUN(arrays_grow);
    RUN(buf_grows);
    RUN(errors_are_one_printable_line);
    RUN(pool_runs_each_task_once);
    RUN(utf8_is_strict);
    RUN(utf8_never_cuts_a_character);
    RUN(map_says_what_is_wrong);
    return test_end();
}
