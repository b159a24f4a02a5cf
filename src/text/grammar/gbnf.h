// GBNF, the grammars of llama.cpp, with JSON Schemas (%json{...}) and regular expressions (%regex{...}) as further
// elements.
#ifndef TEXT_GRAMMAR_GBNF_H
#define TEXT_GRAMMAR_GBNF_H

#include "text/grammar/rules.h"

// Adds the grammar's rules; *root receives the one called "root". GYR_MALFORMED, GYR_UNSUPPORTED.
bool gbnf_add(struct rules *r, const char *s, size_t size, uint32_t *root, gyr_error *e);

#endif
