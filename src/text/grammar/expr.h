// An expression as it was parsed: what regular expressions and GBNF have in common.
#ifndef TEXT_GRAMMAR_EXPR_H
#define TEXT_GRAMMAR_EXPR_H

#include "text/grammar/rules.h"

enum expr_kind {
    EXPR_EMPTY,
    EXPR_CLASS,  // a character of set `a`
    EXPR_CAT,    // all of its parts
    EXPR_ALT,    // one of its parts
    EXPR_REPEAT, // its part, from `a` to `b` times
    EXPR_RULE,   // a text of rule `a`, which is expression `b` where that is not EXPR_NONE
    EXPR_TOKEN,  // special token `a`
    EXPR_BEGIN,
    EXPR_END,
};

#define EXPR_NONE UINT32_MAX
#define EXPR_EVER UINT32_MAX // EXPR_REPEAT: any number of times

struct expr {
    enum expr_kind kind;
    uint32_t a, b;
    uint32_t first, last, next; // its parts; its own successor in a list of parts
};

// Zero-initialize.
struct exprs {
    struct expr *items;
    size_t n, room;
    struct charset *sets;
    size_t n_sets, set_room;
    struct budget *budget;
    bool failed; // no memory, or too large
};

void exprs_free(struct exprs *x);

uint32_t expr_new(struct exprs *x, enum expr_kind kind, uint32_t a, uint32_t b);
void expr_add(struct exprs *x, uint32_t parent, uint32_t part);

// The set becomes the expression's.
uint32_t expr_class(struct exprs *x, struct charset *set);
uint32_t expr_char(struct exprs *x, uint32_t c);

// Adds an expression's texts to an nfa.
void expr_build(const struct exprs *x, uint32_t expr, struct nfa *a, uint32_t from, enum spelling spelling,
                uint32_t to);

#endif
