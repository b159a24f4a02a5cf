// Rules of a grammar while it is read: each is a part of one nfa, from its start to its end.
#ifndef TEXT_GRAMMAR_RULES_H
#define TEXT_GRAMMAR_RULES_H

#include "text/grammar/fsm.h"

enum {
    MAX_SOURCE = 1 << 20, // bytes of a schema, a grammar or an expression
    MAX_NFA = 1 << 19,    // states of all rules
    MAX_RULES = 1 << 16,
    MAX_PATTERN = 1 << 14, // states of a deterministic automaton made of a pattern
    MAX_EXPRESSION_DEPTH = 200,
};

struct rule {
    uint32_t start, end;
    struct fsm *made;  // deterministic, and in the place of that part; NULL: there is none
    uint64_t *classes; // of the states of `made`; NULL: not known
    bool keep;         // not to be made deterministic: it would grow, and is nearly so
};

struct rules {
    size_t longest;       // bytes of a token
    const char *what;     // stands before messages: "schema", "grammar", "regex"
    struct budget budget; // of all that is done for the grammar
    struct nfa nfa;
    struct rule *items;
    size_t n, room;
};

// It stays where it is from then on.
void rules_init(struct rules *r, const char *what, size_t steps, size_t longest);
void rules_free(struct rules *r);

// A rule that has no text yet; 0 when the nfa failed, which rules_check() reports.
uint32_t rules_add(struct rules *r);

// A rule of an automaton that is deterministic and has no calls; it becomes the rule's. `classes` (may be NULL) too:
// states of the same class, in whatever grammar, cannot be told apart by texts up to the length of a token.
uint32_t rules_add_made(struct rules *r, struct fsm *f, uint64_t *classes);

// False if it became too large, or memory is out.
bool rules_check(const struct rules *r, gyr_error *e);

#endif
