// A grammar ready to run: the automata of all its rules, which call each other. Immutable.
#ifndef TEXT_GRAMMAR_NETWORK_H
#define TEXT_GRAMMAR_NETWORK_H

#include "text/grammar/rules.h"

enum {
    STATE_PLAIN = 1,   // no calls, no empty edges, not final: nothing is to be done but reading bytes
    STATE_READS = 2,   // has edges by bytes
    STATE_RETURNS = 4, // final, and nothing else
    STATE_WIDE = 8,    // many bytes may follow: a part of the vocabulary that is worth remembering
    STATE_SHARED = 16, // its key is the same in other networks
    STATE_ALONE = 32,  // of a rule that calls none, and is deterministic
};

struct network {
    struct fsm fsm;
    uint32_t *first; // state that each rule begins with
    size_t n_rules;
    uint32_t *rule_of; // while it is made: what the rules are called in struct rules
    uint32_t root;
    uint8_t *flags;
    uint32_t *row; // of states with many edges: where in `rows` their 256 targets are; UINT32_MAX: none
    uint32_t *rows;
    uint64_t *keys; // states of the same key cannot be told apart by texts up to the length asked for
};

// Of the rules that `root` needs. GYR_UNSUPPORTED if no text belongs to it. States
// without calls have the same key in every network with the same `secret`.
bool network_init(struct network *w, const struct rules *r, uint32_t root, const uint64_t secret[2], gyr_error *e);
void network_free(struct network *w);

static inline uint32_t network_step(const struct network *w, uint32_t state, uint8_t b) {
    return w->row[state] != UINT32_MAX ? w->rows[w->row[state] + b] : fsm_step(&w->fsm, state, b);
}

#endif
