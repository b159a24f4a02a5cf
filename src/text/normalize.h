// Rewrites text before it is split into words: Unicode's normal forms, lower case, replacements, SentencePiece's maps.
#ifndef TEXT_NORMALIZE_H
#define TEXT_NORMALIZE_H

#include "format/vocab.h"
#include "text/regex.h"

struct normalizer {
    struct normal_step {
        const struct normal *how;
        struct regex *regex; // NORMAL_REPLACE
    } * steps;
    size_t n;
};

// Zero-initialize. Compiles the vocabulary's normals, which must outlive it.
bool normalizer_init(struct normalizer *n, const struct vocab *v, const char *where, gyr_error *e);
void normalizer_free(struct normalizer *n);

// A piece of text, and what it becomes.
struct rewriting {
    const struct normalizer *normalizer;
    struct scan *scan;
    bool begins, ends; // the piece stands at the beginning, at the end of the text
    struct buf out, from;
};

// Leaves in r->out what the text becomes; bytes that are no UTF-8 stay as they are. False: out of memory, or the text
// grows beyond all measure.
bool normalize(struct rewriting *r, const char *s, size_t size);
void rewriting_free(struct rewriting *r);

// ---- the parts

// Unicode's normal forms (UAX #15), in linear time: appends that of valid UTF-8.
bool normal_form(enum normal_kind kind, const char *s, size_t size, struct buf *out);

// What SentencePiece's precompiled map makes of valid UTF-8.
bool charsmap_apply(struct text map, bool clusters, const char *s, size_t size, struct buf *out);
bool charsmap_valid(struct text map);

#endif
