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
    struct memos memos; // of states that no other grammar has
    atomic_uchar *hot;  // states from which trying tokens took long: to be remembered
};

struct matcher {
    struct grammar *grammar; // only its memos and marks change
    struct machine machine;
    struct set now;
    size_t clean_at; // calls from which on it is worth forgetting some
    bool ended;
};

#endif
