// Bytes to tokens and back.
#ifndef TEXT_TOKENIZER_H
#define TEXT_TOKENIZER_H

#include "base/error.h"
#include "format/vocab.h"

struct tokenizer;

// `v` must outlive the tokenizer. GYR_UNSUPPORTED for a kind or a pre-tokenizer gyr does not know (the message lists
// those it does); GYR_MALFORMED for a vocabulary that contradicts itself. `where` stands in messages.
struct tokenizer *tokenizer_new(const struct vocab *v, const char *where, gyr_error *e);
void tokenizer_free(struct tokenizer *t);

struct tokens {
    int32_t *ids;
    size_t n, room;
};
bool tokens_push(struct tokens *t, int32_t id); // false: out of memory
void tokens_free(struct tokens *t);

// Appends the tokens of `size` bytes of any text. With `special`, text that spells a control token becomes it.
// No begin- or end-of-text token is added, and for VOCAB_SPM the space prefix is put where SentencePiece puts it.
bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, bool special, struct tokens *out,
                      gyr_error *e);

// The bytes token `id` stands for (a leading space marker is a space; control tokens give their name if `special`,
// nothing otherwise). Appends to `out`. `first`: the token starts the text, so that an SPM space prefix is dropped.
void tokenizer_decode(const struct tokenizer *t, int32_t id, bool first, bool special, struct buf *out);

size_t tokenizer_size(const struct tokenizer *t);

// True for tokens that end an answer: eos, eot, and the names known to mean it.
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);

// Id of the token spelled so; -1 if there is none.
int32_t tokenizer_find(const struct tokenizer *t, const char *name);

#endif
