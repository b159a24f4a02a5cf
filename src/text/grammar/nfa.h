// A nondeterministic automaton over bytes whose edges may also call a rule: what every kind of grammar becomes first.
#ifndef TEXT_GRAMMAR_NFA_H
#define TEXT_GRAMMAR_NFA_H

#include "base/error.h"
#include "text/grammar/budget.h"
#include "text/grammar/charset.h"

enum nfa_kind {
    NFA_BYTES, // one byte of [lo, hi]
    NFA_EMPTY,
    NFA_CALL,  // a text of rule `rule`
    NFA_BEGIN, // nothing, at the beginning of the text only
    NFA_END,   // nothing, at the end of the text only
};

#define NFA_NONE UINT32_MAX

struct nfa_edge {
    uint32_t to, next; // next edge of the same state; NFA_NONE: last
    uint32_t rule;
    uint8_t kind, lo, hi;
};

// Where limits or the memory are passed, `status` says so, and everything added after that is ignored: a run of calls
// needs one check at its end.
struct nfa {
    uint32_t *first; // first edge of each state
    size_t n, room;
    struct nfa_edge *edges;
    size_t n_edges, edge_room;
    size_t limit; // most states
    struct budget *budget;
    gyr_status status; // GYR_OK, GYR_UNSUPPORTED (too large), GYR_NO_MEMORY
};

void nfa_free(struct nfa *a);

uint32_t nfa_state(struct nfa *a); // 0 when it failed
void nfa_bytes(struct nfa *a, uint32_t from, uint8_t lo, uint8_t hi, uint32_t to);
void nfa_empty(struct nfa *a, uint32_t from, uint32_t to);
void nfa_call(struct nfa *a, uint32_t from, uint32_t rule, uint32_t to);
void nfa_anchor(struct nfa *a, uint32_t from, enum nfa_kind kind, uint32_t to);
void nfa_text(struct nfa *a, uint32_t from, const char *s, size_t size, uint32_t to);

// How characters are spelled.
enum spelling {
    SPELL_UTF8,
    SPELL_JSON, // inside a JSON string: in UTF-8, escaped only where JSON asks for it
};

// One character of `set`.
void nfa_class(struct nfa *a, uint32_t from, const struct charset *set, enum spelling spelling, uint32_t to);

#endif
