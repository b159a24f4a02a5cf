// Cuts text into words, step by step, as Hugging Face's Split pre-tokenizers do.
#ifndef TEXT_PRETOKENIZE_H
#define TEXT_PRETOKENIZE_H

#include "format/vocab.h"
#include "text/regex.h"

struct span {
    uint32_t begin, end;
    bool match; // of the pattern; what lies between matches is not
    bool first; // it begins the whole text
};

struct spans {
    struct span *at;
    size_t n, room;
};

struct pretokenizer {
    struct step {
        struct regex *regex; // NULL: a space is put in front of each piece
        enum split_behavior behavior;
        bool invert, mapped, marked, first;
    } * steps;
    size_t n;
    bool ignore_merges; // the family that `pre` names says so
};

// Compiles the vocabulary's own splits, or those its `pre` names.
bool pretokenizer_init(struct pretokenizer *p, const struct vocab *v, const char *where, gyr_error *e);
void pretokenizer_free(struct pretokenizer *p);

// Memory that can be used again. Zero-initialize.
struct words {
    struct spans spans, next, segments;
    struct buf mapped, spaced[2];
    const char *text; // that the spans are of: the caller's, or one with spaces put in
    bool begins;      // set by the caller: the text is not only a part that comes later
};
void words_free(struct words *w);

// Leaves the words of valid UTF-8 text, none empty, in w->spans of w->text. False: out of memory.
bool pretokenize(const struct pretokenizer *p, struct scan *scan, const char *text, size_t size, struct words *w);

#endif
