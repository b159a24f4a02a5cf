// String operations that are both methods and filters.
#ifndef TEXT_JINJA_METHODS_H
#define TEXT_JINJA_METHODS_H

#include "text/jinja/vm.h"

// At most `count` replacements if it is not negative.
bool j_replace(struct vm *vm, const struct str *s, const struct str *old, const struct str *new, int64_t count,
               struct value *out);
bool j_join(struct vm *vm, const struct str *between, const struct list *l, struct value *out); // str() of each
// The same, with all escaped inside {% autoescape true %} if anything is markup.
bool j_join_safely(struct vm *vm, const struct str *between, const struct list *l, struct value *out);
bool j_trim(struct vm *vm, struct value v, struct value chars, bool left, bool right, struct value *out);
bool j_splitlines(struct vm *vm, const struct str *s, bool keep, struct value *out);
// Fills up to `width` characters; the text is at the left for -1, at the right for 1, in the middle for 0.
bool j_pad(struct vm *vm, const struct str *s, int64_t width, const struct str *fill, int where, struct value *out);

#endif
