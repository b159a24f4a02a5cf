// Grammars that an answer has to obey, and the tokens that they allow next.
#ifndef TEXT_GRAMMAR_H
#define TEXT_GRAMMAR_H

#include "text/tokenizer.h"

enum grammar_kind {
    GRAMMAR_JSON,        // any JSON object
    GRAMMAR_JSON_SCHEMA, // draft 2020-12
    GRAMMAR_REGEX,
    GRAMMAR_EBNF, // GBNF, as llama.cpp has it
};

// Immutable. The tokenizer must outlive it. GYR_MALFORMED, GYR_UNSUPPORTED: the message names what it is.
struct grammar;
struct grammar *grammar_new(const struct tokenizer *t, enum grammar_kind kind, const char *text, size_t size,
                            gyr_error *e);
void grammar_free(struct grammar *g);

// What it was made of.
enum grammar_kind grammar_source(const struct grammar *g, struct text *text);

// Where an answer stands in a grammar, which must outlive it.
struct matcher;
struct matcher *matcher_new(const struct grammar *g, gyr_error *e);
void matcher_free(struct matcher *m);

// Sets the bits of the tokens that may come next, and clears all others; an end token's if the text may end here.
// GYR_UNSUPPORTED: the grammar is so ambiguous that a limit is reached.
bool matcher_mask(struct matcher *m, uint32_t *allowed, gyr_error *e);

// Goes on with a token. GYR_USAGE: it is not allowed; the matcher is as it was.
bool matcher_accept(struct matcher *m, int32_t id, gyr_error *e);

// An end token was accepted.
bool matcher_ended(const struct matcher *m);

// Goes on with bytes, as far as they fit: returns how many. For tests and tools. *whole: the text may end there.
size_t matcher_feed(struct matcher *m, const char *text, size_t size, bool *whole);

#endif
