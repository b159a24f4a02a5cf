// What is told of the prompt's tokens: each once, with the probability that its place in front of it gives, however the
// prompt is cut into pieces, who else is there, and whether it was set aside meanwhile. The answer is the same.
#include "engine/logprob.h"
#include "engine/poet.h"
#include "gyr.h"
#include "test.h"

enum { MOST = 64, TOPS = 3, ANSWER = 12 };

static gyr_model *model;
static gyr_tokens text;
static uint32_t vocab;
static float *right; // [count][vocab], the scores behind each token
static gyr_error err;

struct story {
    size_t told, answered, stop_at;
    int32_t ids[MOST], tops[MOST][TOPS], answer[ANSWER];
    float logprobs[MOST], top_logprobs[MOST][TOPS];
    size_t top_counts[MOST];
};

static bool on_prompt(void *user, const gyr_token *t) {
    struct story *s = user;
    size_t i = s->told++;
    if (i >= MOST) return false;
    s->ids[i] = t->id;
    s->logprobs[i] = t->logprob;
    s->top_counts[i] = t->top_count;
    for (size_t k = 0; k < t->top_count && k < TOPS; k++)
        s->tops[i][k] = t->top_ids[k], s->top_logprobs[i][k] = t->top_logprobs[k];
    return s->told != s->stop_at;
}

static bool on_token(void *user, const gyr_token *t) {
    struct story *s = user;
    s->answer[s->answered++ % ANSWER] = t->id;
    return true;
}

static gyr_generate_options options_of(struct story *s) {
    return (gyr_generate_options){.max_tokens = ANSWER,
                                  .ignore_end = true,
                                  .logprobs = 1 + TOPS,
                                  .token = on_token,
                                  .prompt_token = on_prompt,
                                  .user = s};
}

static bool is_right(const struct story *s, size_t from) {
    float *work = malloc(vocab * sizeof *work);
    int32_t best[TOPS];
    bool good = s->told == text.count - from && isnan(s->logprobs[0]) && !s->top_counts[0];
    for (size_t i = from; i < text.count; i++) {
        size_t at = i - from;
        good &= s->ids[at] == text.ids[i];
        if (!at) continue;
        const float *row = right + (i - 1) * vocab;
        struct log_softmax all = log_softmax(host_exps_here(), row, vocab, work);
        float want = log_softmax_at(&all, row[text.ids[i]]);
        likeliest(row, vocab, best, TOPS);
        good &= !memcmp(&want, &s->logprobs[at], sizeof want) && s->top_counts[at] == TOPS;
        for (size_t k = 0; k < TOPS; k++)
            good &= s->tops[at][k] == best[k] && s->top_logprobs[at][k] == log_softmax_at(&all, row[best[k]]);
    }
    free(work);
    return good;
}

static void plain_answer(struct story *s) {
    gyr_session *session = gyr_session_new(model, NULL, &err);
    gyr_generate_options how = options_of(s);
    how.prompt_token = NULL;
    CHECK_INT(gyr_generate(session, text.ids, text.count, &how, NULL, &err), GYR_OK);
    CHECK_INT(s->told, 0);
    gyr_session_free(session);
}

static void at_once(void) {
    static struct story s, plain;
    gyr_session *session = gyr_session_new(model, NULL, &err);
    gyr_generate_options how = options_of(&s);
    CHECK_INT(gyr_generate(session, text.ids, text.count, &how, NULL, &err), GYR_OK);
    CHECK(is_right(&s, 0));
    plain_answer(&plain);
    CHECK(!memcmp(s.answer, plain.answer, sizeof s.answer));
    gyr_session_free(session);
}

// Three in one batch, one of them without, in small pieces; one is set aside now and then.
static void in_pieces(void) {
    static struct story s[3];
    gyr_session *session[3];
    gyr_answer *answer[3];
    gyr_generate_options how[3];
    for (size_t i = 0; i < 3; i++) {
        how[i] = options_of(&s[i]);
        if (i == 2) how[i].prompt_token = NULL;
        session[i] = gyr_session_new(model, NULL, &err);
        REQUIRE(answer[i] = gyr_answer_new(session[i], text.ids, text.count, &how[i], &err));
    }
    for (size_t step = 1; !gyr_answer_done(answer[0]) || !gyr_answer_done(answer[1]); step++) {
        REQUIRE(step < 1000);
        CHECK_INT(gyr_answers_step(answer, 3, 7, &err), GYR_OK);
        if (step % 5 == 0 && step < 40) gyr_answer_set_aside(answer[1]);
    }
    CHECK(is_right(&s[0], 0) && is_right(&s[1], 0));
    CHECK_INT(s[2].told, 0);
    CHECK(!memcmp(s[0].answer, s[1].answer, sizeof s[0].answer));
    for (size_t i = 0; i < 3; i++) {
        gyr_answer_free(answer[i]);
        gyr_session_free(session[i]);
    }
}

static void what_was_there_is_not_told(void) {
    static struct story s;
    gyr_session *session = gyr_session_new(model, NULL, &err);
    gyr_generate_options how = options_of(&s);
    CHECK_INT(gyr_session_feed(session, text.ids, 5, NULL, &err), GYR_OK);
    CHECK_INT(gyr_generate(session, text.ids + 5, text.count - 5, &how, NULL, &err), GYR_OK);
    CHECK(is_right(&s, 5));
    gyr_session_free(session);
}

static void it_can_be_stopped(void) {
    static struct story s = {.stop_at = 4};
    gyr_session *session = gyr_session_new(model, NULL, &err);
    gyr_generate_options how = options_of(&s);
    gyr_generate_stats stats;
    CHECK_INT(gyr_generate(session, text.ids, text.count, &how, &stats, &err), GYR_OK);
    CHECK_INT(stats.stop, GYR_STOP_CALLER);
    CHECK_INT(s.told, 4);
    CHECK_INT(s.answered, 0);
    s = (struct story){0};
    how.logprobs = 0;
    CHECK_INT(gyr_generate(session, text.ids, text.count, &how, NULL, &err), GYR_OK);
    CHECK_INT(s.told, 0); // without log-probabilities nothing is told
    gyr_session_free(session);
}

int main(void) {
    static const char words[] =
        "The falcon over the mountains sees what nobody sees: a river, the snow, and far away the sea.";
    gyr_model_info info;
    model = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &err);
    if (!model || gyr_tokenize(gyr_model_tokenizer(model), words, sizeof words - 1, 0, &text, &err)) return 1;
    gyr_model_get_info(model, &info);
    vocab = info.vocab;
    right = malloc(text.count * vocab * sizeof *right);
    gyr_session *s = gyr_session_new(model, NULL, &err);
    if (text.count > MOST || gyr_session_feed(s, text.ids, text.count, right, &err)) return 1;
    gyr_session_free(s);
    RUN(at_once);
    RUN(in_pieces);
    RUN(what_was_there_is_not_told);
    RUN(it_can_be_stopped);
    gyr_free(text.ids);
    free(right);
    gyr_model_close(model);
    return test_end();
}
