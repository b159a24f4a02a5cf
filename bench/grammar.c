// How long grammars and masks take, with a real vocabulary; built on request: ninja -C build bench-grammar
//
//     build/bench-grammar MODEL
//
// For each grammar: milliseconds until it is ready, and microseconds a mask takes along an answer's tokens. "first" is
// with nothing remembered but what grammars before it share, as of a program that has just started; "again" is the same
// answer once more. Times are the processor's, of this thread: others that have work change them little.
#include "gyr.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#define PERSON                                                                                                         \
    "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":\"integer\",\"minimum\":0," \
    "\"maximum\":150},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":40}},\"mail\":{"       \
    "\"type\""                                                                                                         \
    ":\"string\",\"format\":\"email\"}},\"required\":[\"name\",\"age\"],\"additionalProperties\":false}"
#define PERSON_SAYS                                                                                                    \
    "{\n  \"name\": \"John Smith, the baker of \\\"London\\\"\",\n  \"age\": 42,\n  \"tags\": [\"one\", \"twenty "     \
    "three\","                                                                                                         \
    " \"a somewhat longer tag\"],\n  \"mail\": \"john.smith@example.com\"\n}"

static const struct {
    const char *name;
    gyr_grammar_kind kind;
    const char *text, *answer;
} tries[] = {
    {"any JSON object", GYR_GRAMMAR_JSON, "", PERSON_SAYS},
    {"JSON Schema", GYR_GRAMMAR_JSON_SCHEMA, PERSON, PERSON_SAYS},
    {"regular expression", GYR_GRAMMAR_REGEX, "([A-Z][a-z]+ ){1,20}[a-z]+\\.", "Some Words With Large Letters here."},
    {"GBNF", GYR_GRAMMAR_EBNF, "root ::= (\"- \" [^\\n]+ \"\\n\")+", "- buy some bread\n- go home, and sleep\n"},
};

struct times {
    double sum, most;
    size_t n;
};

static bool along(const gyr_grammar *g, const gyr_tokens *tokens, uint32_t *mask, struct times *t) {
    gyr_error e = {0};
    gyr_matcher *m = gyr_matcher_new(g, &e);
    bool ok = m;
    for (size_t i = 0; ok && i < tokens->count; i++) {
        double begin = seconds();
        ok = !gyr_matcher_mask(m, mask, &e);
        double took = seconds() - begin;
        t->sum += took, t->n++;
        if (took > t->most) t->most = took;
        ok = ok && !gyr_matcher_accept(m, tokens->ids[i], &e);
    }
    if (!ok) fprintf(stderr, "%s\n", e.message);
    gyr_matcher_free(m);
    return ok;
}

static bool try_one(const gyr_tokenizer *tokenizer, size_t i, uint32_t *mask) {
    gyr_error e = {0};
    gyr_tokens tokens = {0};
    struct times first = {0}, again = {0};
    double begin = seconds();
    gyr_grammar *g = gyr_grammar_new(tokenizer, tries[i].kind, tries[i].text, strlen(tries[i].text), &e);
    double ready = seconds() - begin;
    bool ok = g && !gyr_tokenize(tokenizer, tries[i].answer, strlen(tries[i].answer), 0, &tokens, &e);
    if (!ok) fprintf(stderr, "%s\n", e.message);
    ok = ok && along(g, &tokens, mask, &first);
    for (int k = 0; ok && k < 20; k++) ok = along(g, &tokens, mask, &again);
    if (ok)
        printf("%-20s ready %7.2f ms; masks: first mean %8.1f us, most %8.1f us; again mean %6.1f us, most %6.1f us\n",
               tries[i].name, ready * 1e3, first.sum / (double)first.n * 1e6, first.most * 1e6,
               again.sum / (double)again.n * 1e6, again.most * 1e6);
    gyr_free(tokens.ids);
    gyr_grammar_free(g);
    return ok;
}

int main(int argc, char **argv) {
    gyr_error e = {0};
    gyr_tokenizer *t = argc == 2 ? gyr_tokenizer_open(argv[1], &e) : NULL;
    if (!t) {
        fprintf(stderr, "%s\n", argc == 2 ? e.message : "usage: bench-grammar MODEL");
        return 2;
    }
    size_t vocab = 0;
    for (int32_t id = 0;; id++, vocab++) {
        char *text = gyr_detokenize(t, &id, 1, true, NULL, NULL);
        if (!text) break;
        gyr_free(text);
    }
    uint32_t *mask = malloc((vocab + 31) / 32 * sizeof *mask);
    double begin = seconds();
    gyr_grammar *g = gyr_grammar_new(t, GYR_GRAMMAR_REGEX, "a", 1, &e);
    printf("%zu tokens, read for grammars in %.0f ms\n", vocab, (seconds() - begin) * 1e3);
    gyr_grammar_free(g);
    bool ok = mask;
    for (size_t i = 0; ok && i < sizeof tries / sizeof *tries; i++) ok = try_one(t, i, mask);
    free(mask);
    gyr_tokenizer_close(t);
    return !ok;
}
