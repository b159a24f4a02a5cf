// Byte-level BPE as tiktoken (openai/tiktoken) has it: tokens by rank, as bytes, and no merges; two neighbours are
// joined if that gives a token, those of the lowest rank first. Private to format/.
#ifndef FORMAT_RANKS_H
#define FORMAT_RANKS_H

#include "base/error.h"
#include "format/vocab.h"

// Makes v->n tokens of kind TOKEN_UNUSED without text, where the file has no others.
bool ranks_room(struct vocab *v, size_t n, const char *where, gyr_error *e);

// Spells the `n` pieces as tokens from `first` on (those without bytes stay unused), and finds the merges.
bool ranks_read(struct vocab *v, const struct text *pieces, size_t n, size_t first, const char *where, gyr_error *e);

#endif
