// What a caller may ask of an answer beside its text: tokens with their probabilities, masks, a least length, tokens
// that end it, and steps that give prompts a part of the room. On the poet, through the public interface alone.
#include "gyr.h"
#include "poet.h"
#include "test.h"

#include <math.h>

enum { MOST = 400, TOPS = 5 };

static gyr_model *poet;
static uint32_t vocab;
static gyr_tokens prompt;
static gyr_error err;
static const gyr_sampling greedy = {.top_p = 1, .repetition_penalty = 1},
                          drawn = {.temperature = 1.2f, .top_p = 0.98f, .repetition_penalty = 1.1f, .seed = 3};

// An answer as its callbacks tell of it.
struct heard {
    int32_t ids[MOST], tops[MOST][TOPS];
    float logprob[MOST], top_logprob[MOST][TOPS];
    size_t n, pieces, masks, quit_at, allow_until;
    char bytes[8192], text[8192];
    size_t n_bytes, n_text;
    int32_t odd; // 1: only tokens of odd ids
    bool bad;    // something came that must not come
    gyr_generate_stats stats;
};

static bool on_token(void *user, const gyr_token *t) {
    struct heard *h = user;
    h->bad |= h->n == MOST || h->n_bytes + t->size > sizeof h->bytes || t->top_count > TOPS;
    if (h->bad) return false;
    memcpy(h->bytes + h->n_bytes, t->bytes, t->size);
    h->n_bytes += t->size;
    h->logprob[h->n] = t->logprob;
    for (size_t i = 0; i < t->top_count; i++) {
        h->tops[h->n][i] = t->top_ids[i];
        h->top_logprob[h->n][i] = t->top_logprobs[i];
    }
    h->ids[h->n++] = t->id;
    return h->n != h->quit_at;
}

// A piece never comes before its token.
static bool on_piece(void *user, const char *text, size_t size) {
    struct heard *h = user;
    h->bad |= h->n_text + size > h->n_bytes;
    if (h->bad) return false;
    memcpy(h->text + h->n_text, text, size);
    h->n_text += size;
    h->pieces++;
    return true;
}

static bool on_mask(void *user, uint32_t *allowed) {
    struct heard *h = user;
    for (uint32_t i = 0; i < vocab; i++) {
        h->bad |= !(allowed[i / 32] >> i % 32 & 1);
        if (h->odd && i % 2 == 0) allowed[i / 32] &= ~(1u << i % 32);
    }
    h->bad |= h->masks != h->n; // once for each token
    if (h->odd == 2) memset(allowed, 0, (vocab + 31) / 32 * sizeof *allowed);
    return ++h->masks != h->allow_until;
}

static gyr_session *session(void) { return gyr_session_new(poet, &(gyr_session_options){.context = 512}, &err); }

// One answer to the prompt; the session, if asked for, is the caller's.
static void answer(gyr_generate_options o, struct heard *h, gyr_session **kept) {
    gyr_session *s = session();
    o.user = h;
    o.piece = on_piece;
    o.token = on_token;
    CHECK_INT(gyr_generate(s, prompt.ids, prompt.count, &o, &h->stats, &err), GYR_OK);
    CHECK(!h->bad);
    CHECK_INT(h->stats.answer_tokens, h->n);
    CHECK_INT(gyr_session_length(s), prompt.count + h->n);
    CHECK(!memcmp(gyr_session_tokens(s) + prompt.count, h->ids, h->n * sizeof *h->ids));
    if (kept)
        *kept = s;
    else
        gyr_session_free(s);
}

static void tokens_are_told_with_their_text(void) {
    static struct heard h;
    answer((gyr_generate_options){.sampling = &drawn, .max_tokens = 80}, &h, NULL);
    CHECK(h.n > 20 && isnan(h.logprob[0]) && h.pieces > 10);
    size_t size;
    char *text = gyr_detokenize(gyr_model_tokenizer(poet), h.ids, h.n, false, &size, &err);
    CHECK_INT(size, h.n_bytes);
    CHECK(!memcmp(text, h.bytes, size));
    CHECK(h.n_text == size && !memcmp(text, h.text, size));
    gyr_free(text);
}

static bool likelier(const float *x, int32_t a, int32_t b) { return x[a] > x[b] || (x[a] == x[b] && a < b); }

// Whatever bias, penalties, temperature and masks do to the choice, probabilities are the model's.
static void probabilities_are_the_models(void) {
    static struct heard h;
    h = (struct heard){.odd = 1};
    float away = -INFINITY;
    gyr_sampling how = drawn;
    gyr_session *s;
    how.bias_ids = prompt.ids;
    how.bias_values = &away;
    how.bias_count = 1;
    answer((gyr_generate_options){.sampling = &how, .max_tokens = 40, .logprobs = 1 + TOPS, .mask = on_mask}, &h, &s);
    REQUIRE(h.n > 2);
    gyr_session *again = session();
    size_t all = gyr_session_length(s);
    float *rows = malloc(all * vocab * sizeof *rows);
    CHECK_INT(gyr_session_feed(again, gyr_session_tokens(s), all, rows, &err), GYR_OK);
    for (size_t i = 0; i < h.n; i++) {
        const float *x = rows + (prompt.count - 1 + i) * vocab;
        double most = -INFINITY, sum = 0;
        size_t before = 0;
        for (uint32_t t = 0; t < vocab; t++) most = fmax(most, (double)x[t]);
        for (uint32_t t = 0; t < vocab; t++) sum += exp((double)x[t] - most);
        CHECK(fabs((double)h.logprob[i] - ((double)x[h.ids[i]] - most - log(sum))) < 1e-5);
        for (int k = 0; k < TOPS; k++) {
            int32_t id = h.tops[i][k];
            CHECK(fabs((double)h.top_logprob[i][k] - ((double)x[id] - most - log(sum))) < 1e-5);
            CHECK(k == 0 || likelier(x, h.tops[i][k - 1], id));
        }
        for (uint32_t t = 0; t < vocab; t++) before += likelier(x, (int32_t)t, h.tops[i][TOPS - 1]);
        CHECK_INT(before, TOPS - 1);
        CHECK(h.ids[i] % 2 == 1);
    }
    free(rows);
    gyr_session_free(again);
    gyr_session_free(s);
}

static void masks_are_obeyed(void) {
    static struct heard free_choice, h;
    for (int i = 0; i < 2; i++) {
        const gyr_sampling *how = i ? &drawn : &greedy;
        h = free_choice = (struct heard){0};
        answer((gyr_generate_options){.sampling = how, .max_tokens = 30}, &free_choice, NULL);
        answer((gyr_generate_options){.sampling = how, .max_tokens = 30, .mask = on_mask}, &h, NULL);
        CHECK(h.masks >= h.n && h.n == free_choice.n && !memcmp(h.ids, free_choice.ids, h.n * sizeof *h.ids));
        h = (struct heard){.odd = 1};
        answer((gyr_generate_options){.sampling = how, .max_tokens = 30, .mask = on_mask, .ignore_end = true}, &h,
               NULL);
        CHECK_INT(h.n, 30);
        for (size_t k = 0; k < h.n; k++) CHECK(h.ids[k] % 2 == 1);
        h = (struct heard){.odd = 2};
        answer((gyr_generate_options){.sampling = how, .max_tokens = 30, .mask = on_mask}, &h, NULL);
        CHECK(h.stats.stop == GYR_STOP_END && h.n == 0);
        h = (struct heard){.allow_until = 4};
        answer((gyr_generate_options){.sampling = how, .max_tokens = 30, .mask = on_mask}, &h, NULL);
        CHECK(h.stats.stop == GYR_STOP_MASK && h.n == 3 && h.n_text == h.n_bytes);
    }
}

static void a_token_callback_stops(void) {
    static struct heard h;
    h = (struct heard){.quit_at = 5};
    answer((gyr_generate_options){.sampling = &greedy, .max_tokens = 30}, &h, NULL);
    CHECK(h.stats.stop == GYR_STOP_CALLER && h.n == 5 && h.n_text < h.n_bytes);
}

// The poet ends its poems; told to say more it goes on, and what it said before is what it would have said.
static void no_end_before_its_time(void) {
    static struct heard whole, longer, h;
    const gyr_tokenizer *t = gyr_model_tokenizer(poet);
    answer((gyr_generate_options){.sampling = &greedy, .max_tokens = 300}, &whole, NULL);
    REQUIRE(whole.stats.stop == GYR_STOP_END && whole.n > 10 && whole.n < 250);
    answer((gyr_generate_options){.sampling = &greedy, .max_tokens = 300, .min_tokens = whole.n + 12}, &longer, NULL);
    CHECK(longer.n >= whole.n + 12 && !memcmp(longer.ids, whole.ids, whole.n * sizeof *whole.ids));
    for (size_t i = 0; i < longer.n; i++) CHECK(!gyr_token_is_end(t, longer.ids[i]));
    answer((gyr_generate_options){.sampling = &greedy, .max_tokens = 300, .min_tokens = whole.n}, &h, NULL);
    CHECK(h.stats.stop == GYR_STOP_END && h.n == whole.n);
    // Where the model's own end is ignored it is a token like others, also before min_tokens.
    h = (struct heard){0};
    answer(
        (gyr_generate_options){
            .sampling = &greedy, .max_tokens = whole.n + 3, .min_tokens = whole.n + 2, .ignore_end = true},
        &h, NULL);
    CHECK(h.n == whole.n + 3 && gyr_token_is_end(t, h.ids[whole.n]));
}

static void tokens_that_end_the_answer(void) {
    static struct heard whole, h;
    whole = (struct heard){0};
    answer((gyr_generate_options){.sampling = &greedy, .max_tokens = 30}, &whole, NULL);
    int32_t stop[] = {(int32_t)vocab - 1, whole.ids[7]};
    size_t at = 0, again;
    while (whole.ids[at] != stop[1]) at++;
    for (int i = 0; i < 2; i++) {
        h = (struct heard){0};
        gyr_generate_options o = {
            .sampling = &greedy, .max_tokens = 30, .stop_ids = stop, .stop_id_count = 2, .ignore_end = i};
        answer(o, &h, NULL);
        CHECK(h.stats.stop == GYR_STOP_END && h.n == at && !memcmp(h.ids, whole.ids, at * sizeof *h.ids));
        h = (struct heard){0};
        o.min_tokens = 20;
        answer(o, &h, NULL);
        CHECK(h.n >= 20 || h.stats.stop == GYR_STOP_STRING);
        for (again = 0; again < h.n; again++) CHECK(h.ids[again] != stop[1]);
    }
}

static void what_cannot_be_is_refused(void) {
    gyr_session *s = session();
    int32_t bad = (int32_t)vocab, negative = -1;
    const struct {
        gyr_generate_options o;
        const char *message;
    } cases[] = {
        {{.logprobs = -1}, "logprobs is -1; choose 0 to 129"},
        {{.logprobs = 130}, "logprobs is 130; choose 0 to 129"},
        {{.min_tokens = 3, .max_tokens = 2}, "at least 3 tokens and at most 2: nothing is both"},
        {{.stop_ids = &bad, .stop_id_count = 1}, NULL},
        {{.stop_ids = &negative, .stop_id_count = 1}, NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err = (gyr_error){0};
        CHECK(!gyr_answer_new(s, prompt.ids, prompt.count, &cases[i].o, &err));
        CHECK_INT(err.status, GYR_USAGE);
        char want[80];
        snprintf(want, sizeof want, "stop token %d: ids are 0 to %u", i == 3 ? bad : -1, vocab - 1);
        CHECK_STR(err.message, cases[i].message ? cases[i].message : want);
    }
    gyr_session_free(s);
}

enum { WAITING = 3 };

// Three prompts and an answer on its way: the limit holds for what is computed of prompts, and who has none goes on.
static void prompts_take_their_part_of_a_step(void) {
    static struct heard want[WAITING], got[WAITING];
    static int32_t ids[WAITING][100];
    gyr_session *s[WAITING];
    gyr_answer *a[WAITING];
    gyr_generate_stats stats;
    for (int i = 0; i < WAITING; i++) {
        for (int k = 0; k < 100; k++) ids[i][k] = (int32_t)((uint32_t)((k + i) * 7919 + 100) % vocab);
        want[i] = got[i] = (struct heard){0};
        gyr_generate_options o = {
            .sampling = &drawn, .max_tokens = 12, .token = on_token, .piece = on_piece, .user = &want[i]};
        s[i] = session();
        CHECK_INT(gyr_generate(s[i], ids[i], 100, &o, NULL, &err), GYR_OK);
        gyr_session_free(s[i]);
        o.user = &got[i];
        s[i] = session();
        a[i] = gyr_answer_new(s[i], ids[i], 100, &o, &err);
        REQUIRE(a[i]);
    }
    size_t steps = 0, before = 0, done = 0;
    for (; done < WAITING && steps < 100; steps++) {
        size_t fed = 0, begun = 0;
        REQUIRE(gyr_answers_step(a, WAITING, 30, &err) == GYR_OK);
        done = 0;
        for (int i = 0; i < WAITING; i++) {
            gyr_answer_get_stats(a[i], &stats);
            fed += stats.prompt_tokens;
            begun += stats.prompt_tokens > 0 && stats.prompt_tokens < 100;
            done += gyr_answer_done(a[i]);
        }
        CHECK_INT(fed - before, before < 300 ? 30 : 0);
        CHECK(begun <= 1);                  // one after the other
        CHECK(steps != 4 || got[0].n == 1); // it has its prompt since the fourth step
        before = fed;
    }
    CHECK_INT(done, WAITING);
    for (int i = 0; i < WAITING; i++) {
        CHECK(got[i].n == want[i].n && !memcmp(got[i].ids, want[i].ids, want[i].n * sizeof *want[i].ids));
        CHECK(got[i].n_text == want[i].n_text && !memcmp(got[i].text, want[i].text, want[i].n_text));
        gyr_answer_free(a[i]);
        gyr_session_free(s[i]);
    }
}

int main(void) {
    gyr_model_info info;
    poet = gyr_model_open(poet_path(), &(gyr_model_options){.threads = 2}, &err);
    if (!poet ||
        gyr_chat_tokens(poet, "[{\"role\":\"user\",\"content\":\"Write a poem about love\"}]", true, &prompt, &err)) {
        printf("%s\n0 passed, 1 failed, 0 skipped\n", err.message);
        return 1;
    }
    gyr_model_get_info(poet, &info);
    vocab = info.vocab;
    RUN(tokens_are_told_with_their_text);
    RUN(probabilities_are_the_models);
    RUN(masks_are_obeyed);
    RUN(a_token_callback_stops);
    RUN(no_end_before_its_time);
    RUN(tokens_that_end_the_answer);
    RUN(what_cannot_be_is_refused);
    RUN(prompts_take_their_part_of_a_step);
    gyr_free(prompt.ids);
    gyr_model_close(poet);
    return test_end();
}
