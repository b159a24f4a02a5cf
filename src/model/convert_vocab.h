// The tokenizer of a folder as GGUF has it. Private to src/model.
#ifndef MODEL_CONVERT_VOCAB_H
#define MODEL_CONVERT_VOCAB_H

#include "format/checkpoint.h"
#include "text/tokenizer.h"

// A vocabulary as GGUF can say it: the name of its pre-tokenizer instead of the patterns, scores instead of merges
// where SentencePiece had them (unless `merges` are preferred, or needed), and as many tokens as the embedding has
// rows.
struct gguf_vocab {
    struct vocab v; // borrows from the checkpoint's
    bool prefer_merges;
    float *scores;
    struct text *tokens;
    uint8_t *kinds;
    char *names;    // of the tokens that fill up
    char *spelling; // of the others, where GGUF has another
    struct text *spelled;
};

// Whether the vocabulary that is to be written gives the tokens that the folder's does, for texts of many kinds.
bool gguf_vocab_true(const struct vocab *v, const struct tokenizer *original, const char *where);

// Makes GGUF's forms of Unigram and WordPiece, where they are true.
bool gguf_vocab_unigram(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e);
bool gguf_vocab_wordpiece(struct gguf_vocab *g, const struct tokenizer *original, const char *where, gyr_error *e);

// GYR_UNSUPPORTED where GGUF cannot express it: the result gives the same tokens for many kinds of text, or is refused.
bool gguf_vocab_new(struct gguf_vocab *g, const struct checkpoint *c, uint32_t rows, bool merges, gyr_error *e);
void gguf_vocab_free(struct gguf_vocab *g);

#endif
