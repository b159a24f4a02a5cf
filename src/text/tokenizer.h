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

// Appends the tokens of `size` bytes of any text. With `special`, text that spells a control token becomes it;
// without, it never does. Of several special tokens that begin at a place the longest is taken.
//
// No begin- or end-of-text token is added. For VOCAB_SPM the space prefix is put where SentencePiece puts it, and
// again after a control token, as Llama 2 was trained.
//
// A U+2581 in the text is spelled byte by byte where a vocabulary writes spaces so, or it would come back as a space.
// A byte that the vocabulary has no token for becomes its unknown token. Where there is none, byte-level vocabularies
// leave it out of valid UTF-8 (as Hugging Face does) and put a U+FFFD elsewhere; others fail with GYR_UNSUPPORTED.
// Vocabularies with a token for every byte lose nothing.
bool tokenizer_encode(const struct tokenizer *t, const char *text, size_t size, bool special, struct tokens *out,
                      gyr_error *e);

// The same for a rendered chat template: `user` holds the offsets of `n_user` runs [begin, end) of the text, in order
// and apart, in which nothing becomes a control token. The text is one: pieces may reach over the ends of a run.
bool tokenizer_encode_chat(const struct tokenizer *t, const char *text, size_t size, const size_t *user, size_t n_user,
                           struct tokens *out, gyr_error *e);

// Appends to `out` the bytes that token `id` stands for. Control tokens give their name if `special`, nothing
// otherwise. `first`: the token is the first of a text (control tokens in front do not count), where a space prefix is
// dropped.
void tokenizer_decode(const struct tokenizer *t, int32_t id, bool first, bool special, struct buf *out);

size_t tokenizer_size(const struct tokenizer *t);

// Appends the tokens that begin a text, if the model wants some there.
bool tokenizer_begin(const struct tokenizer *t, struct tokens *out);

// Appends the token that ends a text, if the model wants one there.
bool tokenizer_finish(const struct tokenizer *t, struct tokens *out);

// True for tokens that end an answer: eos, eot, all others that the file lists, and the names known to mean it.
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);

// Id of the token spelled so; -1 if there is none.
int32_t tokenizer_find(const struct tokenizer *t, const char *name);

#endif
