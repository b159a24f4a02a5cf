// Sorting by an attribute, as the filters sort, min, unique and groupby do.
#ifndef TEXT_JINJA_SORT_H
#define TEXT_JINJA_SORT_H

#include "text/jinja/vm.h"

// What an item is compared by: itself or its attribute; strings in lower case unless `exact`.
bool j_sort_key(struct vm *vm, struct value item, struct value attribute, bool exact, struct value *out);
// The same with a value for a missing attribute.
bool j_sort_key_default(struct vm *vm, struct value item, struct value attribute, struct value otherwise, bool exact,
                        struct value *out);
// A stable sort into a new list: by all of "a,b"; and by one attribute that may be missing.
bool j_sort(struct vm *vm, struct value v, struct value attribute, bool exact, bool reverse, struct value *out);
bool j_sort_default(struct vm *vm, struct value v, struct value attribute, struct value otherwise, bool exact,
                    bool reverse, struct value *out);

#endif
