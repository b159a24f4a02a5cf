#include "text/grammar/pattern.h"

#include "text/grammar/regex_parse.h"

static bool has_anchors(const struct exprs *x) {
    for (size_t i = 0; i < x->n; i++)
        if (x->items[i].kind == EXPR_BEGIN || x->items[i].kind == EXPR_END) return true;
    return false;
}

// Any text, read in state `s`.
static void loop(struct nfa *a, uint32_t s, enum spelling spelling) {
    struct charset all = {0};
    charset_invert(&all);
    if (all.failed) a->status = GYR_NO_MEMORY;
    nfa_class(a, s, &all, spelling, s);
    charset_free(&all);
}

static bool too_large(const char *what, gyr_status status, gyr_error *e) {
    if (status == GYR_NO_MEMORY) return fail_memory(e, what);
    return fail(e, GYR_UNSUPPORTED, "%s: regular expression: too large: more than %d states; use smaller repetitions",
                what, MAX_PATTERN);
}

static bool determinize(struct fsm *f, const struct exprs *x, uint32_t root, enum pattern_match match,
                        enum spelling spelling, struct budget *budget) {
    struct nfa a = {.limit = MAX_PATTERN * 4, .budget = budget};
    uint32_t from = nfa_state(&a), to = nfa_state(&a);
    if (match == PATTERN_FIND) loop(&a, from, spelling), loop(&a, to, spelling);
    expr_build(x, root, &a, from, spelling, to);
    f->status = a.status;
    bool ok = !a.status && fsm_determinize(f, &a, from, to, MAX_PATTERN, NULL, budget);
    nfa_free(&a);
    return ok;
}

bool pattern_compile(struct fsm *f, const char *s, size_t size, enum pattern_match match, enum spelling spelling,
                     const char *what, struct budget *budget, gyr_error *e) {
    struct exprs x = {.budget = budget};
    uint32_t root = regex_parse(&x, s, size, what, e);
    bool ok = root != EXPR_NONE;
    if (ok && !determinize(f, &x, root, match, spelling, budget)) ok = too_large(what, f->status, e);
    exprs_free(&x);
    return ok;
}

bool regex_add(struct rules *r, const char *s, size_t size, uint32_t *rule, gyr_error *e) {
    struct exprs x = {.budget = &r->budget};
    struct fsm f = {0};
    uint32_t root = regex_parse(&x, s, size, r->what, e);
    bool ok = root != EXPR_NONE;
    struct budget half = budget_half(&r->budget);
    bool made = ok && determinize(&f, &x, root, PATTERN_WHOLE, SPELL_UTF8, &half);
    budget_settle(&r->budget, &half);
    if (made) {
        *rule = rules_add_made(r, &f, NULL);
    } else if (ok && (f.status == GYR_NO_MEMORY || has_anchors(&x))) {
        ok = too_large(r->what, f.status, e);
    } else if (ok) { // it runs without being deterministic, too
        *rule = rules_add(r);
        if (!r->nfa.status) {
            struct rule at = r->items[*rule];
            expr_build(&x, root, &r->nfa, at.start, SPELL_UTF8, at.end);
            r->items[*rule].keep = true;
        }
    }
    fsm_free(&f);
    exprs_free(&x);
    return ok;
}
