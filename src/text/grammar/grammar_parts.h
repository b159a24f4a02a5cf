// The inside of a grammar and of a matcher.
#ifndef TEXT_GRAMMAR_GRAMMAR_PARTS_H
#define TEXT_GRAMMAR_GRAMMAR_PARTS_H

#include "text/grammar.h"
#include "text/grammar/lexicon.h"

#include <stdatomic.h>

struct grammar {
    enum grammar_kind kind;
    struct buf source;
    struct lexicon *lexicon;
    struct network network;
    struct memos memos;  // of states that no other grammar has
    size_t steps;        // that reading it took
    uint64_t mask_steps; // most of a mask, or of a token
    atomic_uchar *hot;   // states from which trying tokens took long: to be remembered
};

// What reading a grammar may take: some tens of milliseconds.
#define MAX_MASK_STEPS    ((uint64_t)1 << 22)
#define MAX_GRAMMAR_STEPS ((size_t)16000000)

// grammar_new() with another limit.
struct grammar *grammar_new_within(const struct tokenizer *t, enum grammar_kind kind, const char *text, size_t size,
                                   size_t steps, gyr_error *e);

struct matcher {
    struct grammar *grammar; // only its memos and marks change
    struct machine machine;
    struct set now;
    size_t clean_at; // calls from which on it is worth forgetting some
    bool ended;
};

#endif
