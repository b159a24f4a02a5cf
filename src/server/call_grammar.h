// Grammars that let a model write only calls that fit the tools' schemas, in the model's own format. GBNF, as
// gyr_grammar_new() takes it: %json{...} stands for a value of that JSON schema, <[ID]> for a token.
#ifndef SERVER_CALL_GRAMMAR_H
#define SERVER_CALL_GRAMMAR_H

#include "server/formats.h"

#include "base/error.h"

#include <jansson.h>

enum call_choice {
    CALLS_MAY,   // text, and then calls or none: what looks like the beginning of a call must be one
    CALLS_MUST,  // calls, after reasoning if the model wants any
    CALLS_GO_ON, // what follows the first trigger of the format, for who applies a grammar from there on
};

struct call_grammar {
    const struct format *format;
    const json_t *tools; // see tools.h
    const char *name;    // the tool that must be called; NULL: any
    enum call_choice choice;
    bool parallel;             // several calls in one answer
    enum format_begins begins; // the answer
    const char *answer;        // with CALLS_MUST: a schema; what is no calls is a value of it. NULL: calls it must be
};

// Writes it to `out`. Nothing, where the format has no way to say it: text with calls that have no marks, or in
// messages with headers. Fails with GYR_USAGE if there is no such tool, and with GYR_NO_MEMORY.
//
// Arguments between tags are bare text: those that may be strings are any text, or one of an enumeration; their
// patterns and lengths are not held to. Arguments come in the order of the schema.
bool call_grammar(const struct call_grammar *c, struct buf *out, gyr_error *e);

#endif
