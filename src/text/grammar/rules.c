#include "text/grammar/rules.h"

#include "base/buf.h"

#include <stdlib.h>

void rules_init(struct rules *r, const char *what) { *r = (struct rules){.what = what, .nfa.limit = MAX_NFA}; }

void rules_free(struct rules *r) {
    nfa_free(&r->nfa);
    free(r->items);
    *r = (struct rules){0};
}

uint32_t rules_add(struct rules *r) {
    uint32_t start = nfa_state(&r->nfa), end = nfa_state(&r->nfa);
    if (!r->nfa.status && r->n >= MAX_RULES) r->nfa.status = GYR_UNSUPPORTED;
    if (!r->nfa.status && !ARRAY_GROW(r->items, r->n, r->room)) r->nfa.status = GYR_NO_MEMORY;
    if (r->nfa.status) return 0;
    r->items[r->n] = (struct rule){.start = start, .end = end};
    return (uint32_t)r->n++;
}

bool rules_check(const struct rules *r, gyr_error *e) {
    if (!r->nfa.status) return true;
    if (r->nfa.status == GYR_NO_MEMORY) return fail_memory(e, r->what);
    return fail(e, GYR_UNSUPPORTED, "%s: too large: more than %d states; use smaller repetitions and fewer parts",
                r->what, MAX_NFA);
}
