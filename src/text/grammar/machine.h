// Runs a network over bytes. What is known after a text is a set of items: a state, and the call that it is in. Calls
// form a graph that alternatives share (Tomita's graph-structured stack, 1986; as a recognizer it is Earley's, 1970),
// so that left recursion ends and ambiguity costs no more than polynomial time. Calls and sets are kept in the order
// in which they are made: what a walk tries out is undone by forgetting the newest.
#ifndef TEXT_GRAMMAR_MACHINE_H
#define TEXT_GRAMMAR_MACHINE_H

#include "text/grammar/network.h"

enum {
    MAX_ITEMS = 1 << 13, // of a set
    MAX_CALLS = 1 << 20, // calls, and ways back from them, in all
};

// The call that encloses all others: of the root, or the unknown one that a walk without context began in.
#define CALL_OUTER 0u

struct item {
    uint32_t state, call;
};

struct call {
    uint32_t ways; // first way back; UINT32_MAX: none
    uint32_t time; // when it was made
    bool empty;    // its rule has ended at that very time
};

// When the call's rule has ended, its caller goes on in `state`.
struct way {
    uint32_t state, call, next;
};

struct set {
    uint32_t begin, n;    // of machine.items: those that read bytes
    uint32_t calls, ways; // how many there were when it was done
    bool ends;            // the outer call's rule has ended
};

struct machine {
    const struct network *network;
    struct item *items;
    size_t n_items, item_room;
    struct call *calls;
    size_t n_calls, call_room;
    struct way *ways;
    size_t n_ways, way_room;
    struct item *work; // the set being made
    size_t n_work, work_room;
    struct seen {
        uint32_t time, state, call;
    } * seen; // the same, to find one in
    size_t n_seen;
    uint32_t *rule_time, *rule_call; // the call of a rule that was made at a time
    uint32_t time;
    uint64_t left;     // steps that may still be made
    gyr_status status; // GYR_UNSUPPORTED: a limit was reached; GYR_NO_MEMORY
};

bool machine_init(struct machine *m, const struct network *w);
void machine_free(struct machine *m);

// The beginning: of the root's texts, or of what may follow `state` within its rule.
struct set machine_start(struct machine *m);
struct set machine_from(struct machine *m, uint32_t state);

// What is known after one more byte: nothing (no items, and does not end) if it does not fit. When status is set, the
// result is not to be used. Forgets whatever is newer than `at`.
struct set machine_step(struct machine *m, const struct set *at, uint8_t b);

// What may follow when the rule of `call` has ended, for a call made before. The newest set is `newest`.
struct set machine_return(struct machine *m, const struct set *newest, uint32_t call);

// Forgets the sets before this one; and the calls that it does not need.
void machine_settle(struct machine *m, struct set *s);
void machine_clean(struct machine *m, struct set *s);

#endif
