// A tokenizer's vocabulary as grammars need it, made when the first grammar is and shared by all: what tokens spell,
// and the masks of states that many grammars have, such as inside a JSON string.
#ifndef TEXT_GRAMMAR_LEXICON_H
#define TEXT_GRAMMAR_LEXICON_H

#include "text/grammar/memo.h"
#include "text/tokenizer.h"

struct lexicon {
    struct trie trie;
    size_t vocab;
    int32_t *ends; // tokens that end an answer
    size_t n_ends;
    struct text *texts; // what each token spells; empty: nothing
    char *spelled;      // memory of theirs
    uint64_t secret[2];
    struct memos memos;
};

// What a special token spells in a grammar, which is no UTF-8: only a grammar that names the token has it.
enum { SPECIAL_SPELLING = 5 };
void lexicon_spell_special(uint32_t id, char out[SPECIAL_SPELLING]);

// Those of a tokenizer; they live as long as it does. Any thread may ask.
struct lexicon *lexicon_of(const struct tokenizer *t, gyr_error *e);

#endif
