// Regular expressions as automata.
#ifndef TEXT_GRAMMAR_PATTERN_H
#define TEXT_GRAMMAR_PATTERN_H

#include "text/grammar/rules.h"

// What of an expression is asked for.
enum pattern_match {
    PATTERN_WHOLE, // texts that it matches from end to end
    PATTERN_FIND,  // texts in which it matches somewhere
};

// A deterministic automaton; `f` is empty. GYR_MALFORMED, GYR_UNSUPPORTED (also where it would be too large).
bool pattern_compile(struct fsm *f, const char *s, size_t size, enum pattern_match match, enum spelling spelling,
                     const char *what, struct budget *budget, gyr_error *e);

// Adds a rule of an expression's texts, in UTF-8.
bool regex_add(struct rules *r, const char *s, size_t size, uint32_t *rule, gyr_error *e);

#endif
