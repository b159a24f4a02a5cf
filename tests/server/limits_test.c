// Limits of keys, with a clock of the test's own.
#include "test.h"

#include "server/limits.h"

static struct key key_with(uint64_t requests, uint64_t minute, uint64_t day, uint64_t concurrency) {
    return (struct key){.id = 7, .name = "ann", .limits = {requests, minute, day, concurrency}};
}

static void requests_are_refilled_evenly(void) {
    struct limits *l = limits_new();
    struct key k = key_with(6, 0, 0, 0); // one in ten seconds
    for (int i = 0; i < 6; i++) {
        struct limit_verdict v = limits_begin(l, &k, 100, 1000);
        CHECK_INT(v.reason, LIMIT_NONE);
        CHECK_INT(v.limit_requests, 6);
        CHECK_INT(v.remaining_requests, 5 - i);
        CHECK(fabs(v.reset_requests - 10 * (i + 1)) < 1e-6);
        CHECK_INT(v.limit_tokens, 0);
        limits_end(l, &k, 100, 100, 1000);
    }
    struct limit_verdict v = limits_begin(l, &k, 100, 1000);
    CHECK_INT(v.reason, LIMIT_REQUESTS);
    CHECK(fabs(v.retry_after - 10) < 1e-6);
    CHECK_INT(limits_begin(l, &k, 100, 1009.9).reason, LIMIT_REQUESTS);
    CHECK_INT(limits_begin(l, &k, 100, 1010).reason, LIMIT_NONE);
    CHECK_INT(limits_begin(l, &k, 100, 1010).reason, LIMIT_REQUESTS);
    // After a long time the bucket is full, and not more than that.
    for (int i = 0; i < 6; i++) CHECK_INT(limits_begin(l, &k, 100, 9000).reason, LIMIT_NONE);
    CHECK_INT(limits_begin(l, &k, 100, 9000).reason, LIMIT_REQUESTS);
    limits_free(l);
}

static void a_look_takes_nothing(void) {
    struct limits *l = limits_new();
    struct key k = key_with(2, 0, 1000, 1);
    for (int i = 0; i < 9; i++) CHECK_INT(limits_look(l, &k, 1000).reason, LIMIT_NONE);
    CHECK(!limits_day_known(l, &k));
    CHECK_INT(limits_begin(l, &k, 100, 1000).reason, LIMIT_NONE);
    CHECK_INT(limits_look(l, &k, 1000).reason, LIMIT_CONCURRENCY);
    limits_end(l, &k, 100, 100, 1000);
    CHECK_INT(limits_look(l, &k, 1000).reason, LIMIT_NONE);
    CHECK_INT(limits_begin(l, &k, 100, 1000).reason, LIMIT_NONE);
    limits_end(l, &k, 100, 100, 1000);
    struct limit_verdict v = limits_look(l, &k, 1000);
    CHECK(v.reason == LIMIT_REQUESTS && v.limit_requests == 2 && !v.limit_tokens && fabs(v.retry_after - 30) < 1e-6);
    limits_free(l);
}

static void tokens_are_settled_when_they_are_known(void) {
    struct limits *l = limits_new();
    struct key k = key_with(0, 600, 0, 0); // ten a second
    struct limit_verdict v = limits_begin(l, &k, 500, 0);
    CHECK(v.reason == LIMIT_NONE && v.remaining_tokens == 100 && v.limit_tokens == 600);
    v = limits_begin(l, &k, 200, 0);
    CHECK_INT(v.reason, LIMIT_TOKENS);
    CHECK(fabs(v.retry_after - 10) < 1e-6);
    CHECK_INT(v.remaining_tokens, 100);
    limits_end(l, &k, 500, 50, 0); // it took less
    v = limits_begin(l, &k, 200, 0);
    CHECK(v.reason == LIMIT_NONE && v.remaining_tokens == 350);
    limits_end(l, &k, 200, 900, 0); // it took more: 350 - 700 is owed
    v = limits_begin(l, &k, 1, 0);
    CHECK(v.reason == LIMIT_TOKENS && v.remaining_tokens == 0);
    CHECK(fabs(v.retry_after - 35.1) < 1e-6);
    CHECK(fabs(v.reset_tokens - 95) < 1e-6);
    CHECK_INT(limits_begin(l, &k, 1, 35.1).reason, LIMIT_NONE);
    v = limits_begin(l, &k, 601, 1000);
    CHECK_INT(v.reason, LIMIT_REQUEST_TOO_BIG);
    CHECK_STR(limits_message(&v),
              "This request may take more tokens than this key's limit allows at once; shorten it or "
              "lower max_tokens.");
    CHECK_INT(limits_begin(l, &k, UINT64_MAX, 1000).reason, LIMIT_REQUEST_TOO_BIG);
    limits_free(l);
}

static void a_day_is_longer_than_a_minute(void) {
    struct limits *l = limits_new();
    struct key k = key_with(0, 1000, 86400, 0);
    CHECK(!limits_day_known(l, &k));
    limits_seed(l, &k, 86400 + 43200 - 500, 43200, 0); // at noon: 500 are left
    CHECK(limits_day_known(l, &k));
    struct limit_verdict v = limits_begin(l, &k, 400, 0);
    CHECK(v.reason == LIMIT_NONE && v.limit_tokens == 86400 && v.remaining_tokens == 100);
    v = limits_begin(l, &k, 400, 0);
    CHECK_INT(v.reason, LIMIT_DAY);
    CHECK(fabs(v.retry_after - 300) < 1e-6);
    // Of two limits in the way the longer wait counts, and a request that is refused takes nothing.
    v = limits_begin(l, &k, 900, 0);
    CHECK_INT(v.reason, LIMIT_TOKENS);
    CHECK(fabs(v.retry_after - 800) < 1e-6);
    CHECK_INT(limits_begin(l, &k, 100, 0).reason, LIMIT_NONE);
    limits_seed(l, &k, 0, 43200, 0);
    CHECK_INT(limits_begin(l, &k, 1, 1).remaining_tokens, 515); // the minute's is the nearer one
    limits_free(l);
}

// Lines of batches: the day's limit alone counts for them, and they take nothing from the others.
static void lines_are_held_to_the_day(void) {
    struct limits *l = limits_new();
    struct key k = key_with(1, 100, 1000, 1);
    for (int i = 0; i < 3; i++) CHECK_INT(limits_begin_line(l, &k, 300, 0).reason, LIMIT_NONE);
    struct limit_verdict v = limits_begin_line(l, &k, 101, 0);
    CHECK(v.reason == LIMIT_DAY && fabs(v.retry_after - 86.4) < 1e-6);
    CHECK_INT(limits_begin_line(l, &k, 1001, 0).reason, LIMIT_REQUEST_TOO_BIG);
    limits_end_line(l, &k, 300, 100, 0);
    CHECK_INT(limits_begin_line(l, &k, 201, 0).reason, LIMIT_NONE);
    v = limits_begin(l, &k, 60, 0); // of the request's own limits all is there
    CHECK(v.reason == LIMIT_NONE && v.remaining_tokens == 39 && v.remaining_requests == 0);
    CHECK_INT(limits_begin(l, &k, 1, 60).reason, LIMIT_CONCURRENCY);
    limits_end_line(l, &k, 300, 300, 60);
    CHECK_INT(limits_begin(l, &k, 1, 60).reason, LIMIT_CONCURRENCY); // that was no request
    limits_end(l, &k, 60, 60, 60);
    CHECK_INT(limits_begin(l, &k, 1, 120).reason, LIMIT_NONE);
    limits_free(l);
}

static void only_so_many_at_once(void) {
    struct limits *l = limits_new();
    struct key k = key_with(0, 0, 0, 2), other = k;
    other.id = 3;
    CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_NONE);
    CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_NONE);
    struct limit_verdict v = limits_begin(l, &k, 1, 0);
    CHECK(v.reason == LIMIT_CONCURRENCY && v.retry_after == 1);
    CHECK_INT(limits_begin(l, &other, 1, 0).reason, LIMIT_NONE);
    limits_end(l, &k, 1, 1, 0);
    CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_NONE);
    CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_CONCURRENCY);
    k.limits.concurrency = 3; // raised while requests are under way
    CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_NONE);
    limits_free(l);
}

static void many_keys_do_not_mix(void) {
    struct limits *l = limits_new();
    for (int i = 0; i < 1000; i++) {
        struct key k = key_with(1, 0, 0, 0);
        k.id = (i * 619) % 1000;
        CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_NONE);
    }
    for (int i = 0; i < 1000; i++) {
        struct key k = key_with(1, 0, 0, 0);
        k.id = i;
        CHECK_INT(limits_begin(l, &k, 1, 0).reason, LIMIT_REQUESTS);
    }
    limits_free(l);
}

static char seen[1024];

static void put(void *user, const char *name, const char *value) {
    (void)user;
    snprintf(seen + strlen(seen), sizeof seen - strlen(seen), "%s: %s\n", name, value);
}

static const char *headers(const struct limit_verdict *v) {
    seen[0] = 0;
    limits_headers(v, put, NULL);
    return seen;
}

static void headers_have_openais_names(void) {
    struct limit_verdict none = {0};
    CHECK_STR(headers(&none), "");
    struct limit_verdict v = {LIMIT_REQUESTS, 0.4, 60, 12, 40000, 39000, 0.012, 3725.2};
    CHECK_STR(headers(&v), "x-ratelimit-limit-requests: 60\n"
                           "x-ratelimit-remaining-requests: 12\n"
                           "x-ratelimit-reset-requests: 12ms\n"
                           "x-ratelimit-limit-tokens: 40000\n"
                           "x-ratelimit-remaining-tokens: 39000\n"
                           "x-ratelimit-reset-tokens: 1h2m6s\n"
                           "retry-after: 1\n");
    struct limit_verdict w = {LIMIT_TOKENS, 61.2, 0, 0, 10, 0, 0, 90};
    CHECK_STR(headers(&w), "x-ratelimit-limit-tokens: 10\n"
                           "x-ratelimit-remaining-tokens: 0\n"
                           "x-ratelimit-reset-tokens: 1m30s\n"
                           "retry-after: 62\n");
}

int main(void) {
    RUN(requests_are_refilled_evenly);
    RUN(a_look_takes_nothing);
    RUN(tokens_are_settled_when_they_are_known);
    RUN(a_day_is_longer_than_a_minute);
    RUN(lines_are_held_to_the_day);
    RUN(only_so_many_at_once);
    RUN(many_keys_do_not_mix);
    RUN(headers_have_openais_names);
    return test_end();
}
