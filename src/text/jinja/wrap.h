// Two filters. Private to jinja/.
#ifndef TEXT_JINJA_WRAP_H
#define TEXT_JINJA_WRAP_H

#include "text/jinja/vm.h"

bool j_wordwrap(struct vm *vm, struct args *a, struct value *out);
bool j_striptags(struct vm *vm, struct args *a, struct value *out);

#endif
