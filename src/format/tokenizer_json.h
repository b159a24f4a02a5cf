// Shared by the readers of tokenizer.json's sections. Private to format/.
#ifndef FORMAT_TOKENIZER_JSON_H
#define FORMAT_TOKENIZER_JSON_H

#include "format/arena.h"
#include "format/json.h"
#include "format/vocab.h"

enum { MAX_SPLITS = 32, MAX_NORMALS = 32 };

struct tokenizer_reader {
    const char *where;
    struct vocab *v;
    gyr_error *e;
    struct split splits[MAX_SPLITS];
    size_t n_splits;
    struct normal normals[MAX_NORMALS];
    size_t n_normals;
};

// What all sections say of what they cannot take.
bool json_malformed(struct tokenizer_reader *r, const char *what);
bool json_unsupported(struct tokenizer_reader *r, const char *what);
bool json_flag(const json_t *j, const char *name, bool otherwise);

// Tokens, merges and scores; the kinds of model are BPE, Unigram and WordPiece.
bool read_model(struct tokenizer_reader *r, const json_t *root);

// {"String": ...} or {"Regex": ...} as a pattern; free(). NULL after the error was set.
char *read_pattern(struct tokenizer_reader *r, const json_t *j);

// Reads each of a Sequence's steps.
bool read_each(struct tokenizer_reader *r, const json_t *list, bool (*read)(struct tokenizer_reader *, const json_t *));

// The normalizer, then the pre-tokenizer: what happens to text before merging.
bool read_normalizer(struct tokenizer_reader *r, const json_t *j);
bool read_pre_tokenizer(struct tokenizer_reader *r, const json_t *j);

// The post-processor: which tokens are put around a text.
bool read_post_processor(struct tokenizer_reader *r, const json_t *j);

// Kinds of a section's steps, by the "type" in the file. `read` gets the step.
struct step {
    const char *type;
    bool (*read)(struct tokenizer_reader *r, const json_t *j);
};

// Reads one step; none if j is null. `section` stands in the message about an unknown kind.
bool read_step(struct tokenizer_reader *r, const json_t *j, const struct step *steps, size_t n, const char *section);

#endif
