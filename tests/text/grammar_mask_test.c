// Masks: what they allow is what accept() takes, with memos and without, on one thread and on several.
#include "grammar_test.h"

#include <pthread.h>

enum { MOST_WORDS = 4096 };

static bool bit(const uint32_t *mask, int32_t id) { return mask[id / 32] >> (id % 32) & 1; }

static const struct {
    enum grammar_kind kind;
    const char *text, *answer;
} tries[] = {
    {GRAMMAR_JSON, "",
     "{\"the answer\": [\"some text here\", -12.5e3, true, {\"x\": null}],\n  \"and\": \"\xc3\xa9 \\\" \"}"},
    {GRAMMAR_JSON_SCHEMA, "{\"type\": \"array\", \"items\": {\"type\": \"string\", \"maxLength\": 9}}",
     "[\"the other\", \"hello\", \"\"]"},
    {GRAMMAR_JSON_SCHEMA,
     "{\"type\": \"object\", \"properties\": {\"then\": {\"enum\": [\"the\", \"there\"]}, \"in\": {\"minimum\": 12}}}",
     "{\"then\": \"there\", \"in\": 13, \"other\": {}}"},
    {GRAMMAR_REGEX, "([a-z ]{0,12}\\.){2,}", "some words.and others."},
    {GRAMMAR_EBNF, "root ::= e\ne ::= e \"+\" t | t\nt ::= [a-z]+ | \"(\" e \")\"", "a+(the+b)+(((c)))"},
    {GRAMMAR_EBNF, "root ::= (\"\\\"\" [^\"]* \"\\\" \")+ .*", "\"the\" \"x y z\" and the rest"},
};

// Each token by itself, after the bytes so far.
static bool fits(const struct grammar *g, const char *so_far, size_t size, int32_t id) {
    struct matcher *m = matcher_new(g, NULL);
    bool ok = m && matcher_feed(m, so_far, size, NULL) == size && matcher_accept(m, id, NULL);
    matcher_free(m);
    return ok;
}

static void check_mask(const struct grammar *g, struct matcher *m, const char *so_far, size_t size) {
    uint32_t mask[MOST_WORDS];
    gyr_error e = {0};
    memset(mask, 0xff, sizeof mask);
    CHECK(matcher_mask(m, mask, &e));
    int wrong = 0;
    for (int32_t id = 0; (size_t)id < tokenizer_size(words.t); id++)
        wrong += bit(mask, id) != fits(g, so_far, size, id);
    CHECK_INT(wrong, 0);
}

static void a_mask_is_what_is_accepted(void) {
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct grammar *g = compile(tries[i].kind, tries[i].text);
        REQUIRE(g);
        for (int round = 0; round < 2; round++) { // the second time memos are there
            struct matcher *m = matcher_new(g, NULL);
            REQUIRE(m);
            for (size_t n = 0; n <= strlen(tries[i].answer); n++) {
                check_mask(g, m, tries[i].answer, n);
                CHECK(n == strlen(tries[i].answer) || matcher_feed(m, tries[i].answer + n, 1, NULL) == 1);
            }
            matcher_free(m);
        }
        grammar_free(g);
    }
}

static void special_tokens_never_but_ends(void) {
    struct grammar *g = compile(GRAMMAR_REGEX, "[^]*");
    struct matcher *m = matcher_new(g, NULL);
    uint32_t mask[MOST_WORDS];
    gyr_error e = {0};
    REQUIRE(m && matcher_mask(m, mask, &e));
    int32_t end = -1;
    for (int32_t id = 0; (size_t)id < tokenizer_size(words.t); id++) {
        struct buf text = {0};
        tokenizer_decode(words.t, id, false, false, &text);
        // What cannot begin a character fits no text.
        uint8_t first = text.size ? (uint8_t)*text.data : 0;
        bool never = (first & 0xc0) == 0x80 || first == 0xc0 || first == 0xc1 || first > 0xf4;
        if (!never) CHECK_INT(bit(mask, id), text.size || tokenizer_is_end(words.t, id));
        if (tokenizer_is_end(words.t, id)) end = id;
        buf_free(&text);
    }
    REQUIRE(end >= 0);
    CHECK(!matcher_ended(m) && matcher_accept(m, end, &e) && matcher_ended(m));
    CHECK(!matcher_accept(m, end, &e));
    CHECK(matcher_mask(m, mask, &e));
    for (size_t i = 0; i < (tokenizer_size(words.t) + 31) / 32; i++) CHECK_INT(mask[i], 0);
    matcher_free(m);
    grammar_free(g);
}

static void what_is_not_allowed_changes_nothing(void) {
    struct grammar *g = compile(GRAMMAR_REGEX, "ab");
    struct matcher *m = matcher_new(g, NULL);
    gyr_error e = {0};
    int32_t a = tokenizer_find(words.t, "a"), b = tokenizer_find(words.t, "b"), end = 0;
    while (!tokenizer_is_end(words.t, end)) end++;
    REQUIRE(m && a >= 0 && b >= 0);
    char want[64];
    CHECK(!matcher_accept(m, b, &e));
    snprintf(want, sizeof want, "token %d: the grammar does not allow it here", b);
    CHECK_STR(e.message, want);
    CHECK_INT(e.status, GYR_USAGE);
    CHECK(!matcher_accept(m, end, &e));
    snprintf(want, sizeof want, "token %d: the text cannot end here", end);
    CHECK_STR(e.message, want);
    CHECK(!matcher_accept(m, -1, &e) && !matcher_accept(m, (int32_t)tokenizer_size(words.t), &e));
    CHECK(matcher_accept(m, a, &e) && matcher_accept(m, b, &e) && !matcher_accept(m, b, &e));
    CHECK(matcher_accept(m, end, &e));
    matcher_free(m);
    grammar_free(g);
}

// An answer of any depth and length takes memory for its depth alone.
static void long_and_deep(void) {
    struct grammar *g = compile(GRAMMAR_EBNF, "root ::= \"[\" root* \"]\"");
    struct matcher *m = matcher_new(g, NULL);
    uint32_t mask[MOST_WORDS];
    gyr_error e = {0};
    bool whole = false;
    REQUIRE(m);
    size_t good = matcher_feed(m, "[", 1, NULL);
    for (int i = 0; i < 100000; i++) good += matcher_feed(m, "[]", 2, &whole);
    for (int i = 0; i < 20000; i++) good += matcher_feed(m, "[", 1, &whole);
    CHECK(matcher_mask(m, mask, &e));
    for (int i = 0; i < 20001; i++) good += matcher_feed(m, "]", 1, &whole);
    CHECK_INT(good, 240002);
    CHECK(whole);
    matcher_free(m);
    grammar_free(g);
}

static void limits(void) {
    gyr_error e = {0};
    uint32_t mask[MOST_WORDS];
    // Each byte may be in one of very many places.
    struct grammar *g = compile(GRAMMAR_EBNF, "root ::= x{1,60000}\nx ::= y y?\ny ::= z z?\nz ::= \"a\" | \"a\" z");
    struct matcher *m = g ? matcher_new(g, NULL) : NULL;
    REQUIRE(m);
    bool ok = true;
    for (int i = 0; ok && i < 500; i++) ok = matcher_feed(m, "a", 1, NULL) == 1;
    CHECK(!ok || matcher_mask(m, mask, &e) || e.status == GYR_UNSUPPORTED);
    matcher_free(m);
    grammar_free(g);
    char *large = malloc((1 << 20) + 2);
    REQUIRE(large);
    memset(large, ' ', (1 << 20) + 1), large[(1 << 20) + 1] = 0;
    check_refused(GRAMMAR_JSON_SCHEMA, large, GYR_UNSUPPORTED, "schema: too large: 1048577 bytes; 1048576 is the most");
    free(large);
}

static void *walk_tries(void *arg) {
    const struct grammar *const *grammars = arg;
    static _Thread_local uint32_t mask[MOST_WORDS];
    size_t good = 0;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        struct matcher *m = matcher_new(grammars[i], NULL);
        for (const char *s = tries[i].answer; m && *s; s++)
            good += matcher_mask(m, mask, NULL) && matcher_feed(m, s, 1, NULL) == 1;
        matcher_free(m);
    }
    return (void *)good;
}

static void many_threads(void) {
    const struct grammar *grammars[sizeof tries / sizeof *tries];
    pthread_t threads[4];
    size_t want = 0;
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        grammars[i] = compile(tries[i].kind, tries[i].text);
        want += strlen(tries[i].answer);
    }
    for (int i = 0; i < 4; i++) REQUIRE(!pthread_create(&threads[i], NULL, walk_tries, grammars));
    for (int i = 0; i < 4; i++) {
        void *good;
        pthread_join(threads[i], &good);
        CHECK_INT((size_t)good, want);
    }
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) grammar_free((struct grammar *)(uintptr_t)grammars[i]);
}

int main(void) {
    open_words();
    RUN(a_mask_is_what_is_accepted);
    RUN(special_tokens_never_but_ends);
    RUN(what_is_not_allowed_changes_nothing);
    RUN(long_and_deep);
    RUN(limits);
    RUN(many_threads);
    close_tokenizer(&words);
    return test_end();
}
