// Memory for keys and values: what was promised is there, what was not is taken while it lasts, and when it is full a
// program learns whom to set aside.
#include "engine/small_falcon.h"
#include "gyr.h"
#include "test.h"

#include <unistd.h>

enum { PAGE = 32, PAGES = 10 };

static gyr_error err;
static gyr_model *model;
static uint64_t page;
static int32_t ids[SMALL_CONTEXT];

static gyr_session *session(uint32_t context) {
    return gyr_session_new(model, &(gyr_session_options){.context = context}, &err);
}

static gyr_status feed(gyr_session *s, size_t n) { return gyr_session_feed(s, ids, n, NULL, &err); }

static void what_is_full_says_so(void) {
    gyr_session *a = session(0), *b = session(0);
    gyr_memory memory;
    REQUIRE(a && b);
    CHECK_INT(gyr_session_context(b), SMALL_CONTEXT); // nobody was promised anything
    CHECK_INT(feed(a, 5 * PAGE), GYR_OK);
    CHECK_INT(feed(b, 5 * PAGE - 1), GYR_OK);
    gyr_model_get_memory(model, &memory);
    CHECK_INT(memory.limit, PAGES * page + page / 2);
    CHECK_INT(memory.used, PAGES * page);
    CHECK_INT(memory.promised, 0);
    CHECK(memory.held >= memory.used);
    CHECK_INT(feed(b, 1), GYR_OK); // its last page has room for one more
    CHECK_INT(feed(a, 1), GYR_NO_MEMORY);
    CHECK(strstr(err.message, "the memory for keys and values is full (0.0 GB); free or shorten a session that waits"));
    CHECK_INT(gyr_session_length(a), 5 * PAGE);
    CHECK(gyr_session_logits(a));
    CHECK(gyr_session_longest_idle(model, &a, 1) == b);
    CHECK(gyr_session_longest_idle(model, NULL, 0) == a);
    CHECK(!gyr_session_longest_idle(model, (gyr_session *[]){b, a}, 2));
    gyr_session_truncate(b, PAGE);
    CHECK_INT(feed(a, 2 * PAGE), GYR_OK);
    CHECK(gyr_session_longest_idle(model, NULL, 0) == b);
    gyr_session_truncate(b, 0);
    CHECK(gyr_session_longest_idle(model, &a, 1) == NULL); // it holds nothing any more
    gyr_session_free(a);
    gyr_session_free(b);
}

static void a_promise_is_kept(void) {
    gyr_session *taker = session(0), *kept = session(6 * PAGE);
    gyr_memory memory;
    REQUIRE(taker && kept);
    CHECK(!session(5 * PAGE));
    CHECK_INT(err.status, GYR_NO_MEMORY);
    CHECK(strstr(err.message, "a context of 160 tokens takes 0.0 GB, and 0.0 GB are left; choose at most 128"));
    CHECK_INT(feed(taker, 4 * PAGE), GYR_OK);
    CHECK_INT(feed(taker, 1), GYR_NO_MEMORY);
    CHECK(!session(1)); // the rest is promised
    gyr_model_get_memory(model, &memory);
    CHECK_INT(memory.promised, 6 * page);
    CHECK_INT(memory.used, 4 * page);
    CHECK_INT(feed(kept, 6 * PAGE), GYR_OK);
    gyr_model_get_memory(model, &memory);
    CHECK_INT(memory.promised, 0);
    gyr_session *fork = gyr_session_fork(kept, &err); // has all its pages
    CHECK(fork && gyr_session_length(fork) == 6 * PAGE);
    gyr_session_free(kept);
    gyr_session_free(fork);
    gyr_session *rest = session(0);
    REQUIRE(rest);
    CHECK_INT(gyr_session_context(rest), SMALL_CONTEXT); // what the other one holds was promised to nobody
    CHECK_INT(feed(rest, 6 * PAGE), GYR_OK);
    CHECK_INT(feed(rest, 1), GYR_NO_MEMORY);
    gyr_session_truncate(rest, 0);
    CHECK_INT(feed(taker, 1), GYR_OK);
    gyr_session *sworn = session(3 * PAGE), *late = session(0);
    CHECK(sworn && late && gyr_session_context(late) == (PAGES - 3) * PAGE);
    gyr_session_free(sworn);
    gyr_session_free(late);
    gyr_session_free(taker);
    gyr_session_free(rest);
}

// The pages of a shared beginning are there once; what a fork changes is its own.
static void forks_need_what_is_theirs(void) {
    gyr_session *a = session(0), *fork[3];
    REQUIRE(a);
    CHECK_INT(feed(a, 2 * PAGE + 1), GYR_OK);
    for (int i = 0; i < 3; i++) REQUIRE(fork[i] = gyr_session_fork(a, &err));
    gyr_memory memory;
    gyr_model_get_memory(model, &memory);
    CHECK_INT(memory.used, 3 * page);
    CHECK_INT(feed(fork[0], 1), GYR_OK);
    gyr_model_get_memory(model, &memory);
    CHECK_INT(memory.used, 4 * page);
    for (int i = 0; i < 3; i++) gyr_session_free(fork[i]);
    gyr_session_free(a);
}

int main(void) {
    static char path[] = "/tmp/gyr-admission-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    if (!small_falcon(path, false, 7, &err) || !(model = gyr_model_open(path, NULL, &err))) return 1;
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    page = info.kv_bytes_per_token * PAGE;
    gyr_model_close(model);
    model = gyr_model_open(path, &(gyr_model_options){.threads = 2, .kv_bytes = PAGES * page + page / 2}, &err);
    if (!model) return 1;
    RUN(what_is_full_says_so);
    RUN(a_promise_is_kept);
    RUN(forks_need_what_is_theirs);
    gyr_model_close(model);
    unlink(path);
    return test_end();
}
