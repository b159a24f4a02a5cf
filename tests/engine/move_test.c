// A model that is put on another device with its sessions: because its own is lost (device/stand_in.h), or all the
// same. What comes then has the bytes that it would have had.
#include "device/stand_in.h"
#include "model/drawn.h"

#include <unistd.h>

enum { PROMPT = 21, MORE = 12, ANSWER = 10 };

static struct drawn d;
static gyr_error err;
static char path[] = "/tmp/gyr-move-XXXXXX";

static bool same(const gyr_session *a, const gyr_session *b) {
    const float *x = gyr_session_logits(a), *y = gyr_session_logits(b);
    return x && y && gyr_session_length(a) == gyr_session_length(b) &&
           !memcmp(x, y, (size_t)d.vocab * sizeof *x);
}

static gyr_model *open_on(const char *device) {
    return gyr_model_open(path, &(gyr_model_options){.threads = 2, .device = device}, &err);
}

static gyr_session *session_of(gyr_model *m, size_t n) {
    gyr_session *s = m ? gyr_session_new(m, &(gyr_session_options){.context = 96}, &err) : NULL;
    CHECK(s && !gyr_session_feed(s, d.text, n, NULL, &err));
    return s;
}

// Sessions that were fed, forked, cut short, and not fed at all.
static void sessions_go_on(void) {
    gyr_model *here = open_on("stand-in"), *there = open_on("cpu");
    REQUIRE(here && there);
    gyr_session *mine[4], *right[4];
    gyr_model *models[] = {here, there};
    for (int k = 0; k < 2; k++) {
        gyr_session **s = k ? right : mine;
        s[0] = session_of(models[k], PROMPT);
        s[1] = gyr_session_fork(s[0], &err);
        s[2] = session_of(models[k], PROMPT);
        s[3] = gyr_session_new(models[k], NULL, &err);
        REQUIRE(s[1] && s[3]);
        gyr_session_truncate(s[2], 9);
    }
    stand_in_calls();
    stand_in_fail(1, FAIL_LOST);
    CHECK_INT(gyr_session_feed(mine[0], d.text, 1, NULL, &err), GYR_DEVICE);
    stand_in_fail(0, FAIL_LOST);
    CHECK_INT(gyr_session_feed(mine[1], d.text, 1, NULL, &err), GYR_DEVICE);
    CHECK_INT(gyr_model_move(here, "nowhere", &err), GYR_USAGE);
    CHECK(same(mine[0], right[0]) && same(mine[1], right[1])); // as they were
    CHECK_INT(gyr_model_move(here, "cpu", &err), GYR_OK);
    CHECK_INT(stand_in_calls().held, 0);
    CHECK(same(mine[0], right[0]) && same(mine[1], right[1]));
    gyr_model_info info;
    gyr_model_get_info(here, &info);
    CHECK_STR(info.device, "cpu");
    CHECK_INT(gyr_session_save(mine[0], 0, PROMPT, "/nowhere/x", &err), GYR_USAGE);
    gyr_session *fork = gyr_session_fork(mine[0], &err);
    REQUIRE(fork);
    for (size_t i = 0; i < MORE; i++) {
        gyr_input in[4], want[4];
        for (int k = 0; k < 4; k++) {
            in[k] = (gyr_input){mine[k], d.text + PROMPT + i + (size_t)k, 1, NULL};
            want[k] = (gyr_input){right[k], d.text + PROMPT + i + (size_t)k, 1, NULL};
        }
        CHECK_INT(gyr_sessions_feed(in, 4, &err), GYR_OK);
        CHECK_INT(gyr_sessions_feed(want, 4, &err), GYR_OK);
        for (int k = 0; k < 4; k++) CHECK(same(mine[k], right[k]));
        if (i == 5) CHECK_INT(gyr_model_move(here, "stand-in:1", &err), GYR_OK); // and back, with all that it holds
    }
    CHECK_INT(gyr_session_feed(fork, d.text + PROMPT, 1, NULL, &err), GYR_OK);
    CHECK_INT(gyr_session_length(fork), PROMPT + 1);
    gyr_session_free(fork);
    for (int k = 0; k < 4; k++) {
        gyr_session_free(mine[k]);
        gyr_session_free(right[k]);
    }
    gyr_model_close(here);
    gyr_model_close(there);
    CHECK_INT(stand_in_calls().held, 0);
}

// Tokens of an answer; after `moves` of them the device is lost, and the model moves.
static size_t answer(const char *device, size_t moves, int32_t ids[96]) {
    gyr_model *m = open_on(device);
    gyr_session *s = m ? gyr_session_new(m, NULL, &err) : NULL;
    gyr_sampling sampling;
    if (!s) return 0;
    gyr_sampling_defaults(m, &sampling);
    sampling.temperature = 1.5f;
    sampling.seed = 7;
    const gyr_generate_options o = {.sampling = &sampling, .max_tokens = ANSWER, .ignore_end = true};
    gyr_answer *a = gyr_answer_new(s, d.text, PROMPT, &o, &err);
    for (size_t steps = 0; a && !gyr_answer_done(a) && steps < 100; steps++) {
        if (steps == moves) stand_in_fail(3, FAIL_LOST);
        gyr_status status = gyr_answers_step(&a, 1, 0, &err);
        if (steps == moves) {
            stand_in_fail(0, FAIL_LOST);
            CHECK_INT(status, GYR_DEVICE);
            CHECK_INT(gyr_model_move(m, "cpu", &err), GYR_OK);
        } else
            CHECK_INT(status, GYR_OK);
    }
    size_t n = gyr_session_length(s);
    memcpy(ids, gyr_session_tokens(s), n * sizeof *ids);
    gyr_answer_free(a);
    gyr_session_free(s);
    gyr_model_close(m);
    return n;
}

static void an_answer_goes_on(void) {
    int32_t right[96], got[96];
    size_t n = answer("cpu", SIZE_MAX, right);
    CHECK_INT(n, PROMPT + ANSWER);
    for (size_t moves = 0; moves < 6; moves += 2) {
        CHECK_INT(answer("stand-in", moves, got), n);
        CHECK(!memcmp(right, got, n * sizeof *got));
    }
}

int main(void) {
    static const char *const names[] = {"gemma2", "falcon-h1", "deepseek-v3.2"};
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!drawn_load(&d, names[i]) || !drawn_write_gguf(&d, path, &err)) return 1;
        RUN(sessions_go_on);
        RUN(an_answer_goes_on);
        drawn_free(&d);
    }
    unlink(path);
    return test_end();
}
