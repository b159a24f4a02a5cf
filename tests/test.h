// The tests' harness. A test program is a list of cases:
//
//     static void adds(void) { CHECK(1 + 1 == 2); CHECK_STR(name(), "gyr"); }
//     int main(void) { RUN(adds); return test_end(); }
//
// It prints a line a case and closes with "N passed, N failed, N skipped"; the exit status is 1 if any failed.
#ifndef TESTS_TEST_H
#define TESTS_TEST_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Where a step costs many times what it costs as gyr ships, under sanitizers and in an emulator, tests of many cases
// try fewer: some of each kind. So do tests that run once more on another device. As it ships a build has all of them,
// and so has the sanitized one of `make test-all`.
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define TEST_SANITIZED
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define TEST_SANITIZED
#endif
#if (defined TEST_SANITIZED && !defined TEST_ALL) || defined TEST_EMULATED || defined TEST_AGAIN
enum { TEST_SLOW = 1 };
#else
enum { TEST_SLOW = 0 };
#endif
#if defined TEST_SANITIZED || defined TEST_EMULATED
enum { TEST_TIMED = 0 }; // whether a limit of seconds means anything
#else
enum { TEST_TIMED = 1 };
#endif

#ifdef TEST_ALL
enum { TEST_EVERYTHING = 1 }; // make test-all
#else
enum { TEST_EVERYTHING = 0 };
#endif

static inline size_t test_times(size_t all, size_t slow) { return TEST_SLOW ? slow : all; }

static int test_passed, test_failed, test_skipped;
static bool test_bad, test_skip;

#define CHECK(cond)                                                                                                    \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            test_bad = true;                                                                                           \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                                                \
        }                                                                                                              \
    } while (0)

#define CHECK_INT(got, want)                                                                                           \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) {                                                                                           \
            test_bad = true;                                                                                           \
            printf("%s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #got, got_, want_);                            \
        }                                                                                                              \
    } while (0)

#define CHECK_STR(got, want)                                                                                           \
    do {                                                                                                               \
        const char *got_ = (got), *want_ = (want);                                                                     \
        if (!got_ || strcmp(got_, want_)) {                                                                            \
            test_bad = true;                                                                                           \
            printf("%s:%d: %s is\n    %s\nnot\n    %s\n", __FILE__, __LINE__, #got, got_ ? got_ : "(null)", want_);    \
        }                                                                                                              \
    } while (0)

// For a precondition without which the rest of the case makes no sense.
#define REQUIRE(cond)                                                                                                  \
    do {                                                                                                               \
        if (!(cond)) {                                                                                                 \
            test_bad = true;                                                                                           \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #cond);                                                \
            return;                                                                                                    \
        }                                                                                                              \
    } while (0)

#define SKIP(why)                                                                                                      \
    do {                                                                                                               \
        test_skip = true;                                                                                              \
        printf("  (%s)\n", why);                                                                                       \
        return;                                                                                                        \
    } while (0)

#define RUN(name) test_run(#name, name)

static inline void test_run(const char *name, void (*fn)(void)) {
    test_bad = test_skip = false;
    fn();
    const char *how = test_bad ? "FAILED" : test_skip ? "skipped" : "ok";
    printf("%-7s %s\n", how, name);
    fflush(stdout);
    (*(test_bad ? &test_failed : test_skip ? &test_skipped : &test_passed))++;
}

static inline int test_end(void) {
    printf("%d passed, %d failed, %d skipped\n", test_passed, test_failed, test_skipped);
    return test_failed != 0;
}

// A file of the tests' own data (tests/data/...), or of ../shared; NULL if the latter is not there. Static buffer each.
static inline const char *test_data(const char *name) {
    static char path[4][1024];
    static int turn;
    char *p = path[turn++ % 4];
    const char *root = getenv("GYR_SOURCE");
    snprintf(p, sizeof path[0], "%s/tests/data/%s", root ? root : ".", name);
    return p;
}

static inline const char *test_shared(const char *name) {
    static char path[4][1024];
    static int turn;
    char *p = path[turn++ % 4];
    const char *root = getenv("GYR_SOURCE");
    snprintf(p, sizeof path[0], "%s/../shared/data/%s", root ? root : ".", name);
    return access(p, R_OK) == 0 ? p : NULL;
}

#endif
