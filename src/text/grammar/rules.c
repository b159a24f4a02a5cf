#include "text/grammar/rules.h"

#include "base/buf.h"

#include <stdlib.h>

void rules_init(struct rules *r, const char *what, size_t steps, size_t longest) {
    *r = (struct rules){.longest = longest, .what = what, .budget.left = steps, .nfa.limit = MAX_NFA};
    r->nfa.budget = &r->budget;
}

void rules_free(struct rules *r) {
    for (size_t i = 0; i < r->n; i++) {
        if (r->items[i].made) fsm_free(r->items[i].made);
        free(r->items[i].made);
        free(r->items[i].classes);
    }
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

uint32_t rules_add_made(struct rules *r, struct fsm *f, uint64_t *classes) {
    uint32_t rule = rules_add(r);
    struct fsm *kept = r->nfa.status ? NULL : malloc(sizeof *kept);
    if (!kept || f->status) {
        if (!r->nfa.status) r->nfa.status = kept ? f->status : GYR_NO_MEMORY;
        free(kept);
        free(classes);
        fsm_free(f);
        return 0;
    }
    *kept = *f;
    *f = (struct fsm){0};
    r->items[rule].made = kept;
    r->items[rule].classes = classes;
    return rule;
}

bool rules_check(const struct rules *r, gyr_error *e) {
    if (!r->nfa.status) return true;
    if (r->nfa.status == GYR_NO_MEMORY) return fail_memory(e, r->what);
    return fail(e, GYR_UNSUPPORTED, "%s: too large: more than %d states; use smaller repetitions and fewer parts",
                r->what, MAX_NFA);
}
