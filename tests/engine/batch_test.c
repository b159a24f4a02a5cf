// Many sequences at once: forks, mixed batches and answers that come and go, on the poet and through the public
// interface alone. What a sequence gets is compared with what it gets alone.
#include "gyr.h"
#include "poet.h"
#include "test.h"

static gyr_model *poet;
static size_t vocab;
static gyr_error err;

static gyr_model *open_poet(void) { return gyr_model_open(poet_path(), NULL, &err); }

static void fill(int32_t *ids, size_t n, uint32_t seed) {
    for (size_t i = 0; i < n; i++) ids[i] = (int32_t)(((i + seed) * 7919 + 100) % vocab);
}

static gyr_session *session(void) { return gyr_session_new(poet, &(gyr_session_options){.context = 512}, &err); }

static bool same(const float *a, const float *b, size_t rows) { return !memcmp(a, b, rows * vocab * sizeof *a); }

// Scores after each of the tokens, fed to a session of their own.
static float *alone(const int32_t *ids, size_t n) {
    float *rows = malloc(n * vocab * sizeof *rows);
    gyr_session *s = session();
    CHECK_INT(gyr_session_feed(s, ids, n, rows, &err), GYR_OK);
    gyr_session_free(s);
    return rows;
}

static void a_batch_gives_what_each_gets_alone(void) {
    enum { N = 5 };
    static const size_t counts[N] = {1, 300, 0, 33, 290};
    static int32_t ids[N][300];
    gyr_input in[N];
    float *want[N], *rows = malloc(300 * vocab * sizeof *rows);
    for (uint32_t i = 0; i < N; i++) {
        fill(ids[i], 300, i);
        want[i] = alone(ids[i], 300);
        in[i] = (gyr_input){session(), ids[i], counts[i], i == 3 ? rows : NULL};
    }
    REQUIRE(gyr_sessions_feed(in, N, &err) == GYR_OK);
    for (int i = 0; i < N; i++) {
        const float *got = gyr_session_logits(in[i].session);
        CHECK_INT(gyr_session_length(in[i].session), counts[i]);
        if (!counts[i])
            CHECK(!got);
        else
            CHECK(got && same(got, want[i] + (counts[i] - 1) * vocab, 1));
        in[i] = (gyr_input){in[i].session, ids[i] + counts[i], 300 - counts[i] > 10 ? 10 : 300 - counts[i], NULL};
    }
    CHECK(same(rows, want[3], counts[3]));
    REQUIRE(gyr_sessions_feed(in, N, &err) == GYR_OK);
    for (int i = 0; i < N; i++) {
        size_t length = gyr_session_length(in[i].session);
        CHECK(!memcmp(gyr_session_tokens(in[i].session), ids[i], length * sizeof(int32_t)));
        CHECK(same(gyr_session_logits(in[i].session), want[i] + (length - 1) * vocab, 1));
        gyr_session_free(in[i].session);
        free(want[i]);
    }
    free(rows);
}

static void a_failed_batch_changes_nobody(void) {
    int32_t ids[40];
    fill(ids, 40, 3);
    gyr_session *a = session(), *b = gyr_session_new(poet, &(gyr_session_options){.context = 16}, &err);
    CHECK_INT(gyr_session_feed(a, ids, 3, NULL, &err), GYR_OK);
    gyr_input in[2] = {{a, ids + 3, 37, NULL}, {b, ids, 17, NULL}};
    CHECK_INT(gyr_sessions_feed(in, 2, &err), GYR_TOO_LONG);
    CHECK_INT(gyr_session_length(a), 3);
    CHECK_INT(gyr_session_length(b), 0);
    CHECK(gyr_session_logits(a) && !gyr_session_logits(b));
    in[1] = (gyr_input){a, ids, 1, NULL};
    CHECK_INT(gyr_sessions_feed(in, 2, &err), GYR_USAGE);
    CHECK_STR(err.message, "a session comes twice in one batch; give all its tokens at once");
    gyr_model *other = open_poet();
    gyr_session *c = gyr_session_new(other, &(gyr_session_options){.context = 16}, &err);
    in[1] = (gyr_input){c, ids, 1, NULL};
    CHECK_INT(gyr_sessions_feed(in, 2, &err), GYR_USAGE);
    CHECK_STR(err.message, "sessions of two models in one batch; feed those of each model by themselves");
    CHECK_INT(gyr_sessions_feed(NULL, 0, &err), GYR_OK);
    CHECK_INT(gyr_session_length(a), 3);
    gyr_session_free(c);
    gyr_model_close(other);
    gyr_session_free(a);
    gyr_session_free(b);
}

// Sessions with caches of different types, in one call.
static void each_session_keeps_its_cache(void) {
    int32_t ids[70];
    fill(ids, 70, 9);
    gyr_session *s[3], *one[2];
    static const gyr_kv_type types[] = {GYR_KV_F32, GYR_KV_F16};
    gyr_input in[3];
    for (int i = 0; i < 3; i++) {
        s[i] = gyr_session_new(poet, &(gyr_session_options){128, types[i % 2]}, &err);
        in[i] = (gyr_input){s[i], ids, 70, NULL};
    }
    for (int i = 0; i < 2; i++) {
        one[i] = gyr_session_new(poet, &(gyr_session_options){128, types[i]}, &err);
        CHECK_INT(gyr_session_feed(one[i], ids, 70, NULL, &err), GYR_OK);
    }
    CHECK_INT(gyr_sessions_feed(in, 3, &err), GYR_OK);
    for (int i = 0; i < 3; i++) CHECK(same(gyr_session_logits(s[i]), gyr_session_logits(one[i % 2]), 1));
    CHECK(!same(gyr_session_logits(s[0]), gyr_session_logits(s[1]), 1));
    for (int i = 0; i < 3; i++) gyr_session_free(s[i]);
    for (int i = 0; i < 2; i++) gyr_session_free(one[i]);
}

// A fork goes on as its origin would have; what one of them writes or drops the other does not see.
static void forks_part_without_a_trace(void) {
    static int32_t a[200], b[200];
    fill(a, 200, 1);
    memcpy(b, a, sizeof b);
    fill(b + 75, 125, 50);
    memcpy(b + 120, a + 120, 80 * sizeof *b);
    float *want_a = alone(a, 200), *want_b = alone(b, 200);
    gyr_session *s = session();
    CHECK_INT(gyr_session_feed(s, a, 75, NULL, &err), GYR_OK);
    gyr_session *fork = gyr_session_fork(s, &err);
    REQUIRE(fork);
    CHECK_INT(gyr_session_context(fork), 512);
    CHECK_INT(gyr_session_length(fork), 75);
    CHECK(!memcmp(gyr_session_tokens(fork), a, 75 * sizeof *a));
    CHECK(same(gyr_session_logits(fork), want_a + 74 * vocab, 1));
    gyr_input in[] = {{s, a + 75, 60, NULL}, {fork, b + 75, 90, NULL}};
    CHECK_INT(gyr_sessions_feed(in, 2, &err), GYR_OK);
    CHECK(same(gyr_session_logits(s), want_a + 134 * vocab, 1));
    CHECK(same(gyr_session_logits(fork), want_b + 164 * vocab, 1));
    // Back to the middle of a page that both hold, and on with other tokens: the other's page must not change.
    gyr_session *third = gyr_session_fork(s, &err);
    gyr_session_truncate(s, 40);
    int32_t noise[20];
    fill(noise, 20, 1000);
    CHECK_INT(gyr_session_feed(s, noise, 20, NULL, &err), GYR_OK);
    CHECK_INT(gyr_session_feed(third, a + 135, 65, NULL, &err), GYR_OK);
    CHECK(same(gyr_session_logits(third), want_a + 199 * vocab, 1));
    gyr_session_free(s);
    gyr_session_free(third);
    CHECK_INT(gyr_session_feed(fork, b + 165, 35, NULL, &err), GYR_OK);
    CHECK(same(gyr_session_logits(fork), want_b + 199 * vocab, 1));
    gyr_session_free(fork);
    free(want_a);
    free(want_b);
}

static void a_token_is_chosen_as_generate_does(void) {
    int32_t ids[20], id;
    fill(ids, 20, 4);
    gyr_sampling how = {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.1f, .presence_penalty = 1, .seed = 7};
    gyr_session *a = session(), *b = session();
    CHECK_INT(gyr_session_sample(a, &how, 0, &id, &err), GYR_USAGE);
    gyr_generate_options o = {.sampling = &how, .max_tokens = 30, .ignore_end = true};
    CHECK_INT(gyr_generate(a, ids, 20, &o, NULL, &err), GYR_OK);
    CHECK_INT(gyr_session_feed(b, ids, 20, NULL, &err), GYR_OK);
    for (int i = 0; i < 30; i++) {
        CHECK_INT(gyr_session_sample(b, &how, 20, &id, &err), GYR_OK);
        CHECK_INT(gyr_session_feed(b, &id, 1, NULL, &err), GYR_OK);
    }
    CHECK(!memcmp(gyr_session_tokens(a), gyr_session_tokens(b), 50 * sizeof id));
    how.temperature = -1;
    CHECK_INT(gyr_session_sample(b, &how, 20, &id, &err), GYR_USAGE);
    const gyr_tokenizer *t = gyr_model_tokenizer(poet);
    gyr_tokens end;
    CHECK_INT(gyr_tokenize(t, "<|end|>", 7, GYR_PARSE_SPECIAL, &end, &err), GYR_OK);
    CHECK(end.count == 1 && gyr_token_is_end(t, end.ids[0]));
    CHECK(!gyr_token_is_end(t, -1) && !gyr_token_is_end(t, INT32_MAX) && !gyr_token_is_end(t, ids[0]));
    gyr_free(end.ids);
    gyr_session_free(a);
    gyr_session_free(b);
}

// Whatever passes others are in, and whoever comes and goes, a session's scores stay what they were.
static void scores_outlast_the_passes_of_others(void) {
    enum { N = 4, ROUNDS = 9 };
    int32_t ids[40];
    fill(ids, 40, 9);
    gyr_session *s[N], *fork;
    float *was = malloc(N * vocab * sizeof *was);
    for (size_t i = 0; i < N; i++) {
        s[i] = session();
        CHECK_INT(gyr_session_feed(s[i], ids + i, 3, NULL, &err), GYR_OK);
        memcpy(was + i * vocab, gyr_session_logits(s[i]), vocab * sizeof *was);
    }
    for (size_t round = 0; round < ROUNDS; round++) {
        // One, two or three of them in turns, others not.
        gyr_input in[N];
        size_t n = 0;
        for (size_t i = 0; i < N; i++)
            if ((round + i) % (i + 2) == 0) in[n++] = (gyr_input){s[i], ids + 5 + round, 1 + round % 2, NULL};
        CHECK_INT(gyr_sessions_feed(in, n, &err), GYR_OK);
        for (size_t k = 0; k < n; k++)
            for (size_t i = 0; i < N; i++)
                if (in[k].session == s[i]) memcpy(was + i * vocab, gyr_session_logits(s[i]), vocab * sizeof *was);
        for (size_t i = 0; i < N; i++) CHECK(same(gyr_session_logits(s[i]), was + i * vocab, 1));
        fork = gyr_session_fork(s[round % N], &err);
        CHECK(fork && same(gyr_session_logits(fork), was + round % N * vocab, 1));
        gyr_session_free(fork);
    }
    for (size_t i = 0; i < N; i++) {
        const int32_t *fed = gyr_session_tokens(s[i]);
        float *rows = alone(fed, gyr_session_length(s[i]));
        CHECK(same(gyr_session_logits(s[i]), rows + (gyr_session_length(s[i]) - 1) * vocab, 1));
        free(rows);
    }
    for (size_t i = 0; i < N; i++) gyr_session_free(s[i]);
    free(was);
}

// Many at once as one by one, each with its own beginning of the answer.
static void tokens_are_chosen_together(void) {
    enum { N = 9 };
    gyr_session *s[N + 1];
    size_t answers[N];
    int32_t ids[20], want[N], got[N], untouched = -7;
    gyr_sampling how = {.temperature = 1, .top_p = 0.9f, .repetition_penalty = 1.1f, .presence_penalty = 1, .seed = 7};
    for (int i = 0; i < N; i++) {
        fill(ids, 20, (uint32_t)i + 1);
        s[i] = session();
        answers[i] = (size_t)i;
        CHECK_INT(gyr_session_feed(s[i], ids, 11 + (size_t)i, NULL, &err), GYR_OK);
        CHECK_INT(gyr_session_sample(s[i], &how, answers[i], &want[i], &err), GYR_OK);
    }
    CHECK_INT(gyr_sessions_sample(s, N, &how, answers, got, &err), GYR_OK);
    CHECK(!memcmp(got, want, sizeof got));
    for (int i = 0; i < N; i++) CHECK_INT(gyr_session_sample(s[i], NULL, 0, &want[i], &err), GYR_OK);
    CHECK_INT(gyr_sessions_sample(s, N, NULL, NULL, got, &err), GYR_OK);
    CHECK(!memcmp(got, want, sizeof got));
    CHECK_INT(gyr_sessions_sample(NULL, 0, &how, NULL, NULL, &err), GYR_OK);
    s[N] = session();
    got[0] = untouched;
    CHECK_INT(gyr_sessions_sample(s, N + 1, &how, NULL, got, &err), GYR_USAGE);
    CHECK_INT(got[0], untouched);
    for (int i = 0; i <= N; i++) gyr_session_free(s[i]);
}

struct text {
    char data[4096];
    size_t size, stop_after;
};

static bool collect(void *user, const char *piece, size_t size) {
    struct text *t = user;
    if (t->size + size < sizeof t->data) memcpy(t->data + t->size, piece, size);
    t->size += size;
    return !t->stop_after || t->size < t->stop_after;
}

static bool give_up(void *user, size_t done, size_t total) { return false; }

enum { ANSWERS = 6 };
static int32_t prompts[ANSWERS][290];
static const size_t lengths[ANSWERS] = {5, 290, 17, 280, 1, 64};
static const char *const newline[] = {"\n"};
static gyr_sampling samplings[ANSWERS];

// Answers that stop for different reasons, the fourth while its prompt is computed.
static gyr_generate_options options_of(int i, struct text *t) {
    *t = (struct text){.stop_after = i == 2 ? 30 : 0};
    gyr_sampling_defaults(poet, &samplings[i]);
    samplings[i].seed = (uint64_t)i;
    return (gyr_generate_options){.sampling = &samplings[i],
                                  .max_tokens = (size_t)(20 + 7 * i),
                                  .stop = newline,
                                  .stop_count = i == 5,
                                  .piece = collect,
                                  .prefill = i == 3 ? give_up : NULL,
                                  .user = t};
}

// An answer joins at every second step, before the earlier ones are done.
static void answers_do_not_notice_each_other(void) {
    static struct text want[ANSWERS], got[ANSWERS];
    gyr_generate_stats want_stats[ANSWERS], stats;
    gyr_session *one[ANSWERS], *s[ANSWERS];
    gyr_answer *a[ANSWERS];
    for (int i = 0; i < ANSWERS; i++) {
        fill(prompts[i], lengths[i], (uint32_t)i);
        one[i] = session();
        gyr_generate_options o = options_of(i, &want[i]);
        CHECK_INT(gyr_generate(one[i], prompts[i], lengths[i], &o, &want_stats[i], &err),
                  i == 3 ? GYR_CANCELLED : GYR_OK);
    }
    int came = 0, most = 0;
    for (int step = 0, left = 1; left; step++) {
        if (step % 2 == 0 && came < ANSWERS) {
            gyr_generate_options o = options_of(came, &got[came]);
            s[came] = session();
            a[came] = gyr_answer_new(s[came], prompts[came], lengths[came], &o, &err);
            REQUIRE(a[came]);
            CHECK(!gyr_answer_done(a[came]));
            came++;
        }
        REQUIRE(gyr_answers_step(a, (size_t)came, 0, &err) == GYR_OK);
        left = ANSWERS - came;
        for (int i = 0; i < came; i++) left += !gyr_answer_done(a[i]);
        if (left > most) most = left;
    }
    CHECK(most > 3);
    for (int i = 0; i < ANSWERS; i++) {
        gyr_answer_get_stats(a[i], &stats);
        CHECK_INT(stats.stop, i == 3 ? GYR_STOP_CALLER : want_stats[i].stop);
        CHECK_INT(stats.answer_tokens, want_stats[i].answer_tokens);
        CHECK_INT(stats.prompt_tokens, i == 3 ? gyr_session_length(s[i]) : lengths[i]);
        CHECK_INT(stats.bytes_read, want_stats[i].bytes_read);
        CHECK_INT(got[i].size, want[i].size);
        CHECK(!memcmp(got[i].data, want[i].data, want[i].size));
        if (i != 3) CHECK_INT(gyr_session_length(s[i]), gyr_session_length(one[i]));
        CHECK(
            !memcmp(gyr_session_tokens(s[i]), gyr_session_tokens(one[i]), gyr_session_length(s[i]) * sizeof(int32_t)));
        gyr_answer_free(a[i]);
        gyr_session_free(s[i]);
        gyr_session_free(one[i]);
    }
    CHECK_INT(want_stats[2].stop, GYR_STOP_CALLER);
}

static void an_answer_is_checked_when_it_begins(void) {
    int32_t ids[17] = {1, 2, 3};
    gyr_session *s = gyr_session_new(poet, &(gyr_session_options){.context = 16}, &err);
    CHECK(!gyr_answer_new(s, ids, 17, NULL, &err));
    CHECK_INT(err.status, GYR_TOO_LONG);
    CHECK(!gyr_answer_new(s, NULL, 0, NULL, &err));
    CHECK_INT(err.status, GYR_USAGE);
    CHECK(!gyr_answer_new(s, ids, 3, &(gyr_generate_options){.sampling = &(gyr_sampling){.top_p = 3}}, &err));
    CHECK_INT(err.status, GYR_USAGE);
    gyr_answer *a = gyr_answer_new(s, ids, 16, NULL, &err);
    REQUIRE(a);
    gyr_generate_stats stats;
    CHECK_INT(gyr_answers_step(&a, 1, 0, &err), GYR_OK);
    CHECK_INT(gyr_answers_step(&a, 1, 0, &err), GYR_OK); // a full context: no token more
    gyr_answer_get_stats(a, &stats);
    CHECK_INT(stats.stop, GYR_STOP_LENGTH);
    CHECK_INT(stats.answer_tokens, 0);
    CHECK_INT(gyr_answers_step(&a, 1, 0, &err), GYR_OK); // nothing to do is no error
    gyr_answer_free(a);
    gyr_session_free(s);
}

int main(void) {
    poet = open_poet();
    if (!poet) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    gyr_model_info info;
    gyr_model_get_info(poet, &info);
    vocab = info.vocab;
    RUN(a_batch_gives_what_each_gets_alone);
    RUN(a_failed_batch_changes_nobody);
    RUN(each_session_keeps_its_cache);
    RUN(forks_part_without_a_trace);
    RUN(a_token_is_chosen_as_generate_does);
    RUN(scores_outlast_the_passes_of_others);
    RUN(tokens_are_chosen_together);
    RUN(answers_do_not_notice_each_other);
    RUN(an_answer_is_checked_when_it_begins);
    gyr_model_close(poet);
    return test_end();
}
