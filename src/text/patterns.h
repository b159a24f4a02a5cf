// The pre-tokenizer patterns that GGUF names in tokenizer.ggml.pre. GGUF files hold the name alone; the patterns are
// those of the tokenizer.json of the model that the name comes from.
#ifndef TEXT_PATTERNS_H
#define TEXT_PATTERNS_H

#include "base/buf.h"

enum { MAX_STEPS = 6 };

// The text is split at the matches of each pattern in turn, every match a piece of its own.
struct patterns {
    const char *const *names; // ends with NULL
    const char *steps[MAX_STEPS];
    unsigned mapped;    // bit i: step i comes after the bytes were mapped to GPT-2's alphabet
    bool ignore_merges; // the family's tokenizer.json says "ignore_merges"
};

// Row `i`; NULL past the last.
const struct patterns *patterns_row(size_t i);

// NULL if the name is not known.
const struct patterns *patterns_find(const char *name);

// Appends all names, separated by ", ".
void patterns_list(struct buf *out);

#endif
