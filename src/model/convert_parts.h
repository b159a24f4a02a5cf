// What convert.c is made of. Private to src/model.
#ifndef MODEL_CONVERT_PARTS_H
#define MODEL_CONVERT_PARTS_H

#include "format/gguf_write.h"
#include "model/model.h"

// Everything GGUF has to say of the model but its tokenizer.
void put_hyper_keys(struct gguf_writer *w, const struct model *m);

// A vocabulary as GGUF can say it: the name of its pre-tokenizer instead of the patterns, scores instead of merges
// where SentencePiece had them, and as many tokens as the embedding has rows.
struct gguf_vocab {
    struct vocab v; // borrows from the checkpoint's
    float *scores;
    struct text *tokens;
    uint8_t *kinds;
    char *names; // of the tokens that fill up
};

// GYR_UNSUPPORTED where GGUF cannot say it: the result gives the same tokens for texts of many kinds, or is refused.
bool gguf_vocab_new(struct gguf_vocab *g, const struct checkpoint *c, uint32_t rows, gyr_error *e);
void gguf_vocab_free(struct gguf_vocab *g);

#endif
