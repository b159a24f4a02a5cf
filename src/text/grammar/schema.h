// JSON Schemas (draft 2020-12) as grammars: docs/structured-output.md says what is honoured and what is refused.
#ifndef TEXT_GRAMMAR_SCHEMA_H
#define TEXT_GRAMMAR_SCHEMA_H

#include "text/grammar/rules.h"

#include <jansson.h>

enum { SCHEMA_DEPTH = 200 }; // most levels of its JSON

// Adds the rules of a schema; *rule receives that of its texts. GYR_MALFORMED, GYR_UNSUPPORTED.
bool schema_add(struct rules *r, const json_t *schema, uint32_t *rule, gyr_error *e);

#endif
