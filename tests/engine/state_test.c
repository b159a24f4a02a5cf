// Sessions of models that keep a state, or keys of an indexer: truncated, forked, fed in pieces and among others, they
// give what a session alone gives that was fed the same tokens at once.
#include "model/drawn.h"

#include <unistd.h>

enum { LENGTH = 72 };

static const char *const names[] = {"falcon-mamba", "mamba2",        "falcon-h1", "qwen3.5-moe",
                                    "kimi-linear",  "deepseek-v3.2", "glm5.2"};
static struct drawn d;
static gyr_model *model;
static gyr_error err;
static float *right; // [LENGTH][vocab]

static gyr_session *session(void) { return gyr_session_new(model, &(gyr_session_options){.context = 128}, &err); }

static void feed(gyr_session *s, size_t n) {
    CHECK_INT(gyr_session_feed(s, d.text + gyr_session_length(s), n, NULL, &err), GYR_OK);
}

static bool is_right(const gyr_session *s) {
    size_t row = (size_t)d.vocab;
    const float *got = gyr_session_logits(s);
    return got && !memcmp(got, right + (gyr_session_length(s) - 1) * row, row * sizeof *got);
}

static void truncated_anywhere(void) {
    static const size_t to[] = {71, 40, 33, 32, 31, 1, 0};
    gyr_session *s = session();
    for (size_t i = 0; i < sizeof to / sizeof *to; i++) {
        feed(s, LENGTH - gyr_session_length(s));
        CHECK(is_right(s));
        gyr_session_truncate(s, to[i]);
        CHECK(!gyr_session_logits(s));
        feed(s, 1);
        CHECK(is_right(s));
    }
    gyr_session_truncate(s, 0);
    feed(s, 50);
    gyr_session_truncate(s, 30); // twice before it is fed
    gyr_session_truncate(s, 20);
    feed(s, 52);
    CHECK(is_right(s));
    gyr_session_free(s);
}

// What comes after a truncation may be other tokens; the fork keeps its own.
static void forks_part(void) {
    int32_t other = (d.text[20] + 1) % d.vocab;
    gyr_session *s = session(), *fresh = session();
    feed(s, 40);
    gyr_session *fork = gyr_session_fork(s, &err);
    gyr_session_truncate(s, 20);
    gyr_session *late = gyr_session_fork(s, &err); // of a session whose state is gone
    CHECK_INT(gyr_session_feed(s, &other, 1, NULL, &err), GYR_OK);
    feed(fork, 10);
    feed(late, 10);
    CHECK(is_right(fork) && is_right(late));
    feed(fresh, 20);
    CHECK_INT(gyr_session_feed(fresh, &other, 1, NULL, &err), GYR_OK);
    CHECK(!memcmp(gyr_session_logits(fresh), gyr_session_logits(s), (size_t)d.vocab * sizeof(float)));
    feed(fork, 22);
    CHECK(is_right(fork));
    gyr_session *all[] = {s, fresh, fork, late};
    for (int i = 0; i < 4; i++) gyr_session_free(all[i]);
}

// Many in one batch, some to be computed again; slots of those that left are used again.
static void among_others(void) {
    enum { N = 9 };
    gyr_session *s[N];
    for (int round = 0; round < 3; round++) {
        gyr_input in[N];
        for (size_t i = 0; i < N; i++) {
            if (round == 0 || i % 3 == 0) s[i] = session();
            if (i % 2) gyr_session_truncate(s[i], gyr_session_length(s[i]) / 2);
            size_t length = gyr_session_length(s[i]), most = i % 4 ? 17 : 1;
            in[i] = (gyr_input){s[i], d.text + length, LENGTH - length < most ? LENGTH - length : most, NULL};
        }
        CHECK_INT(gyr_sessions_feed(in, N, &err), GYR_OK);
        for (size_t i = 0; i < N; i++) CHECK(is_right(s[i]));
        for (size_t i = 0; i < N; i += 3) gyr_session_free(s[i]);
    }
    for (size_t i = 0; i < N; i++)
        if (i % 3) gyr_session_free(s[i]);
}

static void a_failure_changes_nothing(void) {
    gyr_session *a = session(), *b = gyr_session_new(model, &(gyr_session_options){.context = 8}, &err);
    feed(a, 40);
    gyr_session_truncate(a, 30);
    gyr_input in[2] = {{a, d.text + 30, 5, NULL}, {b, d.text, 9, NULL}};
    CHECK_INT(gyr_sessions_feed(in, 2, &err), GYR_TOO_LONG);
    CHECK_INT(gyr_session_length(a), 30);
    feed(a, 6);
    feed(b, 8);
    CHECK(is_right(a) && is_right(b));
    gyr_session_free(a);
    gyr_session_free(b);
}

int main(void) {
    static char path[] = "/tmp/gyr-state-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!drawn_load(&d, names[i]) || !drawn_write_gguf(&d, path, &err)) return 1;
        model = gyr_model_open(path, &(gyr_model_options){.threads = 2}, &err);
        right = malloc((size_t)(LENGTH * d.vocab) * sizeof *right);
        gyr_session *s = model ? session() : NULL;
        if (!s || gyr_session_feed(s, d.text, LENGTH, right, &err)) return 1;
        gyr_session_free(s);
        printf("  %s\n", names[i]);
        RUN(truncated_anywhere);
        RUN(forks_part);
        RUN(among_others);
        RUN(a_failure_changes_nothing);
        gyr_model_close(model);
        drawn_free(&d);
        free(right);
    }
    unlink(path);
    return test_end();
}
