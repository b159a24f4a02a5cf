// A hostile grammar, tried with the plain vocabulary of the tests: it is refused with one line, or what its masks allow
// is accepted, and nothing else.
#ifndef TESTS_FUZZ_FUZZ_GRAMMAR_H
#define TESTS_FUZZ_FUZZ_GRAMMAR_H

#include "format/checkpoint.h"
#include "text/grammar/grammar_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// What is too large is refused in the same ways with a small budget as with the whole one, but a hundred or a thousand
// times as fast: one input in 64 has the larger of the two.
static const struct budgets {
    size_t reading, mask, masks; // steps of each; how many masks
} budgets[] = {{10000, 2000, 8}, {150000, 50000, 24}};
enum { WORDS = 4096 };

static const struct budgets *budgets_of(const uint8_t *data, size_t size) {
    uint32_t hash = 2166136261;
    for (size_t i = 0; i < size; i++) hash = (hash ^ data[i]) * 16777619;
    return &budgets[hash >> 26 == 0];
}

static struct tokenizer *plain_tokenizer(void) {
    static struct tokenizer *t;
    char path[1024];
    gyr_error e = {0};
    const char *root = getenv("GYR_SOURCE");
    if (t) return t;
    snprintf(path, sizeof path, "%s/tests/data/tokenizers/plain.gguf", root ? root : ".");
    struct checkpoint *c = checkpoint_open(path, &e);
    t = c ? tokenizer_new(&c->vocab, path, &e) : NULL;
    if (!t) {
        fprintf(stderr, "%s\n", e.message);
        abort();
    }
    return t;
}

static void check_error(const gyr_error *e) {
    if (e->status == GYR_OK || !e->message[0] || strchr(e->message, '\n')) abort();
}

// Follows allowed tokens, which the input's bytes choose.
static void follow(struct matcher *m, size_t masks, const uint8_t *data, size_t size) {
    static uint32_t mask[WORDS];
    size_t vocab = tokenizer_size(plain_tokenizer()), n_words = (vocab + 31) / 32;
    gyr_error e = {0};
    for (size_t step = 0; step < masks && !matcher_ended(m); step++) {
        size_t some = 0;
        if (!matcher_mask(m, mask, &e)) {
            check_error(&e);
            return;
        }
        for (size_t i = 0; i < n_words; i++) some += (size_t)__builtin_popcount(mask[i]);
        if (!some) abort(); // the vocabulary spells every byte
        size_t pick = (size ? data[step % size] * (step + 1) : 0) % some;
        for (int32_t id = 0; (size_t)id < vocab; id++) {
            bool allowed = mask[id / 32] >> (id % 32) & 1;
            if (allowed ? pick-- > 0 : ((size_t)id + step + size) % 16 > 0) continue; // of the others, some
            if (matcher_accept(m, id, &e) != allowed && e.status != GYR_UNSUPPORTED) abort();
            if (allowed) break;
        }
    }
}

static void try_grammar(enum grammar_kind kind, const uint8_t *data, size_t size) {
    const struct budgets *b = budgets_of(data, size);
    gyr_error e = {0};
    struct grammar *g = grammar_new_within(plain_tokenizer(), kind, (const char *)data, size, b->reading, &e);
    if (!g) {
        check_error(&e);
        return;
    }
    g->mask_steps = b->mask;
    struct matcher *m = matcher_new(g, &e);
    if (m)
        follow(m, b->masks, data, size);
    else
        check_error(&e);
    matcher_free(m);
    grammar_free(g);
}

#endif
