// Answers set aside and taken up again, at any moment: what they say, and every number told with it, is what they say
// undisturbed. With models that keep keys and values of all tokens, of a window, of an indexer's choice, and states.
#include "engine/poet.h"
#include "engine/random.h"
#include "model/drawn.h"

#include <unistd.h>

enum { ANSWERS = 5, MOST = 160, ROOM = 1 << 16, CONTEXT = 128 };

static gyr_model *model;
static uint32_t vocab;
static gyr_error err;

// All that the callbacks of an answer were given, one after the other.
struct story {
    uint8_t data[ROOM];
    size_t size;
    gyr_generate_stats stats;
    int32_t ids[512];
    size_t length;
    float *logits;
};

static void put(struct story *s, char what, const void *data, size_t size) {
    if (s->size + size + 1 > ROOM) return;
    s->data[s->size++] = (uint8_t)what;
    if (size) memcpy(s->data + s->size, data, size);
    s->size += size;
}

static bool on_token(void *user, const gyr_token *t) {
    put(user, 'i', &t->id, sizeof t->id);
    put(user, 'b', t->bytes, t->size);
    put(user, 'p', &t->logprob, sizeof t->logprob);
    put(user, 't', t->top_ids, t->top_count * sizeof *t->top_ids);
    put(user, 'l', t->top_logprobs, t->top_count * sizeof *t->top_logprobs);
    return true;
}

static bool on_piece(void *user, const char *text, size_t size) {
    put(user, 'x', text, size);
    return true;
}

// Depends on how many there were before: one call more or less would show.
static bool on_mask(void *user, uint32_t *allowed) {
    const struct story *s = user;
    for (uint32_t i = (uint32_t)(s->size % 7); i < vocab; i += 7) allowed[i / 32] &= ~(1u << i % 32);
    return true;
}

static const char *const stops[] = {".\n", "zzzz", "e s"};
static int32_t prompts[ANSWERS][MOST];
static size_t counts[ANSWERS];
static gyr_sampling samplings[ANSWERS];

static gyr_generate_options options_of(size_t i, struct story *s) {
    samplings[i] = (gyr_sampling){.temperature = i == 1 ? 0 : 1.3f,
                                  .top_p = i == 2 ? 0.9f : 1,
                                  .top_k = i == 3 ? 30 : 0,
                                  .repetition_penalty = 1.2f,
                                  .presence_penalty = 0.3f,
                                  .frequency_penalty = 0.2f,
                                  .penalty_window = i == 4 ? 20 : 0,
                                  .seed = i};
    return (gyr_generate_options){.sampling = &samplings[i],
                                  .max_tokens = 15 + 9 * i,
                                  .min_tokens = i % 2 ? 12 : 0,
                                  .stop = stops,
                                  .stop_count = i == 2 ? 0 : 3,
                                  .logprobs = i == 3 ? 0 : 4,
                                  .ignore_end = i == 4,
                                  .token = on_token,
                                  .piece = on_piece,
                                  .mask = i == 1 || i == 4 ? on_mask : NULL,
                                  .user = s};
}

static gyr_session *session(void) { return gyr_session_new(model, &(gyr_session_options){.context = CONTEXT}, &err); }

static void keep(struct story *s, const gyr_session *from) {
    s->length = gyr_session_length(from);
    memcpy(s->ids, gyr_session_tokens(from), s->length * sizeof *s->ids);
    s->logits = malloc(vocab * sizeof *s->logits);
    memcpy(s->logits, gyr_session_logits(from), vocab * sizeof *s->logits);
}

static bool same(const struct story *a, const struct story *b) {
    return a->size == b->size && !memcmp(a->data, b->data, a->size) && a->length == b->length &&
           !memcmp(a->ids, b->ids, a->length * sizeof *a->ids) &&
           !memcmp(a->logits, b->logits, vocab * sizeof(float)) && a->stats.prompt_tokens == b->stats.prompt_tokens &&
           a->stats.answer_tokens == b->stats.answer_tokens && a->stats.stop == b->stats.stop &&
           a->stats.bytes_read == b->stats.bytes_read;
}

static struct story want[ANSWERS], got[ANSWERS];

static void forget(struct story *s) {
    for (int i = 0; i < ANSWERS; i++) {
        free(s[i].logits);
        s[i] = (struct story){0};
    }
}

// Half of the sessions have tokens before the answer begins; one begins with nothing else.
static size_t before(size_t i) { return i == 2 ? counts[i] : i % 2 ? counts[i] / 3 : 0; }

static gyr_session *begun(size_t i) {
    gyr_session *s = session();
    if (before(i)) CHECK_INT(gyr_session_feed(s, prompts[i], before(i), NULL, &err), GYR_OK);
    return s;
}

static void undisturbed(void) {
    size_t said = 0;
    for (size_t i = 0; i < ANSWERS; i++) {
        gyr_session *s = begun(i);
        gyr_generate_options o = options_of(i, &want[i]);
        CHECK_INT(gyr_generate(s, prompts[i] + before(i), counts[i] - before(i), &o, &want[i].stats, &err), GYR_OK);
        keep(&want[i], s);
        said += want[i].stats.answer_tokens;
        gyr_session_free(s);
    }
    CHECK(said > 60);
}

// What is drawn for place `at` of round `round`, below n.
static size_t draw(uint64_t round, uint64_t at, size_t n) { return (size_t)(random_at(round, at) * (double)n); }

// Steps of some of the answers, with a random limit for prompts, and between them any of them set aside, also twice.
static void one_round(uint64_t round, size_t *times) {
    gyr_session *s[ANSWERS];
    gyr_answer *a[ANSWERS], *some[ANSWERS];
    size_t left = ANSWERS;
    for (size_t i = 0; i < ANSWERS; i++) {
        s[i] = begun(i);
        gyr_generate_options o = options_of(i, &got[i]);
        a[i] = gyr_answer_new(s[i], prompts[i] + before(i), counts[i] - before(i), &o, &err);
        REQUIRE(a[i]);
    }
    for (uint64_t at = 0; left && at < 40000; at += 20) {
        size_t n = 0;
        left = 0;
        for (size_t i = 0; i < ANSWERS; i++) {
            if (draw(round, at + i, 3)) some[n++] = a[i];
            if (draw(round, at + 5 + i, 8) || (at < 200 && draw(round, at + 10 + i, 2))) continue;
            *times += gyr_session_length(s[i]) > 0 && !gyr_answer_done(a[i]);
            gyr_answer_set_aside(a[i]);
        }
        REQUIRE(gyr_answers_step(some, n, draw(round, at + 15, 3) ? 1 + draw(round, at + 16, 90) : 0, &err) == GYR_OK);
        for (size_t i = 0; i < ANSWERS; i++) left += !gyr_answer_done(a[i]);
    }
    CHECK_INT(left, 0);
    for (size_t i = 0; i < ANSWERS; i++) {
        gyr_answer_set_aside(a[i]); // it is done: nothing happens
        gyr_answer_get_stats(a[i], &got[i].stats);
        keep(&got[i], s[i]);
        CHECK(same(&got[i], &want[i]));
        gyr_answer_free(a[i]);
        gyr_session_free(s[i]);
    }
    forget(got);
}

static void as_if_nothing_had_happened(void) {
    size_t times = 0;
    undisturbed();
    for (uint64_t round = 0; round < test_times(6, 3); round++) one_round(round, &times);
    printf("  set aside %zu times\n", times);
    CHECK(times > test_times(50, 20));
    forget(want);
}

static void prompt(size_t i, const int32_t *ids, size_t n) {
    memcpy(prompts[i], ids, n * sizeof *ids);
    counts[i] = n;
}

// Fewer pages than they need: whoever has no room sets another aside, the one that came last.
static void when_the_memory_is_full(void) {
    size_t aside = 0, at[ANSWERS] = {0};
    bool waits[ANSWERS] = {false};
    gyr_session *s[ANSWERS];
    gyr_answer *a[ANSWERS], *some[ANSWERS];
    undisturbed();
    gyr_model_info info;
    gyr_model_get_info(model, &info);
    gyr_model_close(model);
    model = gyr_model_open(poet_path(),
                           &(gyr_model_options){.threads = 2, .kv_bytes = 3 * 32 * info.kv_bytes_per_token}, &err);
    REQUIRE(model);
    for (size_t i = 0; i < ANSWERS; i++) {
        gyr_generate_options o = options_of(i, &got[i]);
        s[i] = gyr_session_new(model, NULL, &err);
        a[i] = gyr_answer_new(s[i], prompts[i], counts[i], &o, &err);
        REQUIRE(a[i]);
    }
    for (size_t left = ANSWERS, steps = 0; left && steps < 3000; steps++) {
        size_t n = 0;
        for (size_t i = 0; i < ANSWERS; i++)
            if (!gyr_answer_done(a[i]) && !waits[i]) some[n] = a[i], at[n++] = i;
        gyr_status status = gyr_answers_step(some, n, 0, &err);
        if (status) {
            REQUIRE(status == GYR_NO_MEMORY && n > 1);
            gyr_answer_set_aside(some[n - 1]);
            waits[at[n - 1]] = true;
            aside++;
        }
        left = 0;
        for (size_t i = 0; i < ANSWERS; i++) {
            if (gyr_answer_done(a[i]) && !got[i].logits) {
                gyr_answer_get_stats(a[i], &got[i].stats);
                keep(&got[i], s[i]);
                gyr_session_truncate(s[i], 0);
                memset(waits, 0, sizeof waits);
            }
            left += !gyr_answer_done(a[i]);
        }
    }
    CHECK(aside > 2);
    for (size_t i = 0; i < ANSWERS; i++) {
        want[i].stats.prompt_tokens = counts[i]; // here its session was empty when it began
        CHECK(same(&got[i], &want[i]));
        gyr_answer_free(a[i]);
        gyr_session_free(s[i]);
    }
    forget(got);
    forget(want);
}

static void of_the_poet(void) {
    static const char *const subjects[ANSWERS] = {"rain", "a ship", "my cat", "the number seven", "night"};
    gyr_model_info info;
    REQUIRE(model = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &err));
    gyr_model_get_info(model, &info);
    vocab = info.vocab;
    for (size_t i = 0; i < ANSWERS; i++) {
        char messages[100];
        gyr_tokens t;
        snprintf(messages, sizeof messages, "[{\"role\":\"user\",\"content\":\"Write a poem about %s\"}]", subjects[i]);
        REQUIRE(!gyr_chat_tokens(model, messages, true, &t, &err));
        prompt(i, t.ids, t.count);
        gyr_free(t.ids);
    }
    as_if_nothing_had_happened();
    when_the_memory_is_full();
    gyr_model_close(model);
}

// Windows; an indexer; states, alone and beside attention; chunks.
static const char *const names[] = {"gemma2", "gpt-oss", "deepseek-v3.2", "falcon-mamba", "falcon-h1", "kimi-linear"};

static void of_models(void) {
    static struct drawn d;
    static char path[] = "/tmp/gyr-aside-XXXXXX";
    int fd = mkstemp(path);
    if (fd >= 0) close(fd);
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        printf("  %s\n", names[k]);
        REQUIRE(drawn_load(&d, names[k]) && drawn_write_gguf(&d, path, &err));
        REQUIRE(model = gyr_model_open(path, &(gyr_model_options){.threads = 2}, &err));
        vocab = (uint32_t)d.vocab;
        for (size_t i = 0; i < ANSWERS; i++) prompt(i, d.text + i, 7 + 13 * i);
        as_if_nothing_had_happened();
        gyr_model_close(model);
        drawn_free(&d);
    }
    unlink(path);
}

int main(void) {
    RUN(of_the_poet);
    RUN(of_models);
    return test_end();
}
