// Letters: case and kind, by Unicode.
#ifndef TEXT_JINJA_CASE_H
#define TEXT_JINJA_CASE_H

#include "text/jinja/vm.h"

enum letter_case {
    CASE_UPPER,
    CASE_LOWER,
    CASE_SWAP,
    CASE_CAPITALIZE, // the first letter up, the rest down
    CASE_TITLE,      // str.title(): the first letter after anything that is no letter
    CASE_FOLD,       // for comparing
    CASE_WORDS,      // the filter `title`: the first character after a blank, -, (, {, [ or <
};

bool j_change_case(struct vm *vm, const struct str *s, enum letter_case to, struct value *out);

// Of one character, as Python's isalnum(), isdecimal() and isprintable().
bool j_is_alnum(uint32_t c);
bool j_is_decimal(uint32_t c);
bool j_is_printable(uint32_t c);

#endif
