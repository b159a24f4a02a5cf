#include "text/grammar/expr.h"

#include "base/buf.h"
#include "text/grammar/lexicon.h"

#include <stdlib.h>

// A character has a set of its own, and that its memory.
enum { STEPS_OF_PART = 16 };

void exprs_free(struct exprs *x) {
    for (size_t i = 0; i < x->n_sets; i++) charset_free(&x->sets[i]);
    free(x->sets);
    free(x->items);
    *x = (struct exprs){0};
}

uint32_t expr_new(struct exprs *x, enum expr_kind kind, uint32_t a, uint32_t b) {
    if (x->failed || !spend(x->budget, STEPS_OF_PART) || !ARRAY_GROW(x->items, x->n, x->room)) {
        x->failed = true;
        return EXPR_NONE;
    }
    x->items[x->n] = (struct expr){kind, a, b, EXPR_NONE, EXPR_NONE, EXPR_NONE};
    return (uint32_t)x->n++;
}

void expr_add(struct exprs *x, uint32_t parent, uint32_t part) {
    if (x->failed || parent == EXPR_NONE || part == EXPR_NONE) return;
    struct expr *p = &x->items[parent];
    if (p->first == EXPR_NONE)
        p->first = part;
    else
        x->items[p->last].next = part;
    p->last = part;
}

uint32_t expr_class(struct exprs *x, struct charset *set) {
    if (x->failed || set->failed || !ARRAY_GROW(x->sets, x->n_sets, x->set_room)) {
        charset_free(set);
        x->failed = true;
        return EXPR_NONE;
    }
    x->sets[x->n_sets] = *set;
    *set = (struct charset){0};
    return expr_new(x, EXPR_CLASS, (uint32_t)x->n_sets++, 0);
}

uint32_t expr_char(struct exprs *x, uint32_t c) {
    struct charset one = {0};
    charset_add(&one, c, c);
    return expr_class(x, &one);
}

// Copies in a row, the first `least` of them not to be left out.
static void build_repeat(const struct exprs *x, const struct expr *r, struct nfa *a, uint32_t from,
                         enum spelling spelling, uint32_t to) {
    for (uint32_t i = 0; i < r->a && !a->status; i++) {
        uint32_t next = nfa_state(a);
        expr_build(x, r->first, a, from, spelling, next);
        from = next;
    }
    if (r->b == EXPR_EVER) {
        uint32_t again = nfa_state(a);
        nfa_empty(a, from, again);
        expr_build(x, r->first, a, again, spelling, again);
        nfa_empty(a, again, to);
        return;
    }
    for (uint32_t i = r->a; i < r->b && !a->status; i++) {
        uint32_t next = nfa_state(a);
        nfa_empty(a, from, to);
        expr_build(x, r->first, a, from, spelling, next);
        from = next;
    }
    nfa_empty(a, from, to);
}

void expr_build(const struct exprs *x, uint32_t expr, struct nfa *a, uint32_t from, enum spelling spelling,
                uint32_t to) {
    if (expr == EXPR_NONE || a->status) return;
    const struct expr *e = &x->items[expr];
    // A part without a text adds nothing that is counted.
    if (!spend(a->budget, 1)) a->status = GYR_UNSUPPORTED;
    switch (e->kind) {
    case EXPR_EMPTY: nfa_empty(a, from, to); break;
    case EXPR_CLASS: nfa_class(a, from, &x->sets[e->a], spelling, to); break;
    case EXPR_RULE:
        if (e->b == EXPR_NONE)
            nfa_call(a, from, e->a, to);
        else
            expr_build(x, e->b, a, from, spelling, to);
        break;
    case EXPR_TOKEN: {
        char text[SPECIAL_SPELLING];
        lexicon_spell_special(e->a, text);
        nfa_text(a, from, text, sizeof text, to);
        break;
    }
    case EXPR_BEGIN: nfa_anchor(a, from, NFA_BEGIN, to); break;
    case EXPR_END: nfa_anchor(a, from, NFA_END, to); break;
    case EXPR_REPEAT: build_repeat(x, e, a, from, spelling, to); break;
    case EXPR_ALT:
        for (uint32_t p = e->first; p != EXPR_NONE; p = x->items[p].next) expr_build(x, p, a, from, spelling, to);
        break;
    case EXPR_CAT:
        if (e->first == EXPR_NONE) nfa_empty(a, from, to);
        for (uint32_t p = e->first; p != EXPR_NONE && !a->status; p = x->items[p].next) {
            uint32_t next = x->items[p].next == EXPR_NONE ? to : nfa_state(a);
            expr_build(x, p, a, from, spelling, next);
            from = next;
        }
        break;
    }
}
