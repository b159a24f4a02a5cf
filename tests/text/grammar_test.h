// What the grammars' tests share: a tokenizer of single bytes and a few longer tokens.
#ifndef TESTS_TEXT_GRAMMAR_TEST_H
#define TESTS_TEXT_GRAMMAR_TEST_H

#include "text/grammar.h"
#include "tokenizers.h"

// tests/data/tokenizers/plain.gguf has a token for every byte, merges, and control tokens.
static struct opened words;

static inline void open_words(void) {
    if (!words.t) open_tokenizer(&words, test_data("tokenizers/plain.gguf"), NULL);
}

static inline struct grammar *compile(enum grammar_kind kind, const char *text) {
    gyr_error e = {0};
    struct grammar *g = grammar_new(words.t, kind, text, strlen(text), &e);
    if (!g) printf("  %s: %s\n", text, e.message);
    return g;
}

static inline bool accepts(const struct grammar *g, const char *text) {
    struct matcher *m = g ? matcher_new(g, NULL) : NULL;
    bool whole = false;
    bool all = m && matcher_feed(m, text, strlen(text), &whole) == strlen(text);
    matcher_free(m);
    return all && whole;
}

// Texts that a grammar takes, and that it does not; both lists end with NULL.
static inline void check_texts(enum grammar_kind kind, const char *text, const char *const *good,
                               const char *const *bad) {
    struct grammar *g = compile(kind, text);
    CHECK(g);
    for (; g && *good; good++)
        if (!accepts(g, *good)) {
            test_bad = true;
            printf("%s: does not take %s\n", text, *good);
        }
    for (; g && *bad; bad++)
        if (accepts(g, *bad)) {
            test_bad = true;
            printf("%s: takes %s\n", text, *bad);
        }
    grammar_free(g);
}
#define LIST(...) ((const char *const[]){__VA_ARGS__ __VA_OPT__(, ) NULL})

static inline void check_refused(enum grammar_kind kind, const char *text, gyr_status status, const char *message) {
    gyr_error e = {0};
    struct grammar *g = grammar_new(words.t, kind, text, strlen(text), &e);
    CHECK(!g);
    CHECK_INT(e.status, status);
    CHECK_STR(e.message, message);
    grammar_free(g);
}

#endif
