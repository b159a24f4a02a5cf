// Regular expressions: what ECMAScript's and Python's have in common and an automaton can do.
#ifndef TEXT_GRAMMAR_REGEX_PARSE_H
#define TEXT_GRAMMAR_REGEX_PARSE_H

#include "text/grammar/expr.h"

// The expression's root; EXPR_NONE on failure. `what` stands before messages. GYR_MALFORMED, GYR_UNSUPPORTED
// (lookaround, backreferences and other things that no automaton has, by their names).
uint32_t regex_parse(struct exprs *x, const char *s, size_t size, const char *what, gyr_error *e);

#endif
