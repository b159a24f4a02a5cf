// Automata in the form in which they are run and combined. A state's edges lie side by side; where an automaton is
// deterministic, no two edges of a state have a byte or a rule in common, and there are no empty ones.
#ifndef TEXT_GRAMMAR_FSM_H
#define TEXT_GRAMMAR_FSM_H

#include "text/grammar/nfa.h"

#define FSM_DEAD UINT32_MAX

struct fsm_bytes {
    uint32_t to;
    uint8_t lo, hi; // edges of a state are in the order of lo
};

struct fsm_call {
    uint32_t rule, to;
};

// Its edges begin there and end where the next state's begin.
struct fsm_state {
    uint32_t bytes, calls, empties;
    bool final;
};

// Zero-initialize. State 0 is the first of an automaton that stands alone.
struct fsm {
    struct fsm_state *states; // `n`, and one more whose edges begin where the last state's end
    size_t n, room;
    struct fsm_bytes *bytes;
    size_t n_bytes, bytes_room;
    struct fsm_call *calls;
    size_t n_calls, calls_room;
    uint32_t *empties; // states
    size_t n_empties, empties_room;
    gyr_status status; // what went wrong: GYR_UNSUPPORTED (too large), GYR_NO_MEMORY
};

void fsm_free(struct fsm *f);

// A copy; false: no memory, and its status says so. `out` must be empty.
bool fsm_clone(struct fsm *out, const struct fsm *f);

// Building: begins the next state; edges go to the one begun last. fsm_close() sets the end of the last.
uint32_t fsm_begin(struct fsm *f, bool final);
void fsm_add_bytes(struct fsm *f, uint8_t lo, uint8_t hi, uint32_t to);
void fsm_add_call(struct fsm *f, uint32_t rule, uint32_t to);
void fsm_add_empty(struct fsm *f, uint32_t to);
void fsm_close(struct fsm *f);

// Memory for work on parts of one nfa, so that each part takes no longer than it is large. Zero-initialize.
struct fsm_room {
    size_t n, n_edges;
    uint32_t *stamp, turn;         // states seen this time
    uint32_t *stack, *work;        // states
    uint32_t *number;              // of a state seen, or of the set that it leads to alone
    uint32_t *first, *next, *from; // edges that come to a state, by its first; of each edge, the next and its state
    bool *ends;
};
bool fsm_room_init(struct fsm_room *room, const struct nfa *a);
void fsm_room_free(struct fsm_room *room);

// Appends what leads from `start` to `end` as a deterministic automaton of at most `limit` states (subset
// construction; calls are symbols like bytes). False if there would be more, or memory is out: `f` is as it was but for
// its status. `room` may be NULL.
bool fsm_determinize(struct fsm *f, const struct nfa *a, uint32_t start, uint32_t end, size_t limit,
                     struct fsm_room *room, struct budget *budget);

// Appends it as it is. Without anchors.
bool fsm_copy(struct fsm *f, const struct nfa *a, uint32_t start, uint32_t end, struct fsm_room *room);

// Where byte b leads in a deterministic automaton.
static inline uint32_t fsm_step(const struct fsm *f, uint32_t state, uint8_t b) {
    for (uint32_t i = f->states[state].bytes; i < f->states[state + 1].bytes; i++)
        if (b >= f->bytes[i].lo && b <= f->bytes[i].hi) return f->bytes[i].to;
    return FSM_DEAD;
}

// Appends an automaton without calls and empty edges.
bool fsm_append(struct fsm *f, const struct fsm *more);

// Of deterministic automata without calls:

bool fsm_matches(const struct fsm *f, const char *s, size_t size);

// Texts of both; texts of a that are not of b. `out` must be empty; where that failed it is, but for its status.
enum fsm_product { FSM_BOTH, FSM_WITHOUT };
bool fsm_combine(struct fsm *out, const struct fsm *a, const struct fsm *b, enum fsm_product how, size_t limit,
                 struct budget *budget);

// Texts of f that are `least` to `most` texts of `unit` one after the other, of which none begins another.
bool fsm_count(struct fsm *out, const struct fsm *f, const struct fsm *unit, size_t least, size_t most, size_t limit,
               struct budget *budget);

// Whether it has no text at all. `f` may be what a failed call left: then it is not.
bool fsm_is_empty(const struct fsm *f);

// What lies between two quotes becomes what includes them. No text of it has one.
bool fsm_quote(struct fsm *out, const struct fsm *f);

#endif
