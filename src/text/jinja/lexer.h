// Numbers and strings as templates write them.
#ifndef TEXT_JINJA_LEXER_H
#define TEXT_JINJA_LEXER_H

#include "text/jinja/ast.h"

// Read the literal at *at and move behind it.
bool lex_number(struct source *s, size_t *at, struct value *out);
bool lex_string(struct source *s, size_t *at, struct value *out);

// The character of a name; false if it is none of those that gyr knows.
bool lex_character(struct text name, uint32_t *c);

#endif
