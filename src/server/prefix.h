// Conversations that were computed and wait for their next turn: what a new prompt has in common with one of them is
// not computed again. Sessions share the memory of common beginnings (gyr_session_fork()), so that an entry costs what
// it has of its own. Of few hundred entries the longest match is found by looking at each: the first token that differs
// ends a look, and most differ early.
#ifndef SERVER_PREFIX_H
#define SERVER_PREFIX_H

#include "gyr.h"

// Among whom beginnings are shared: those who have the same salt and the same open adapter. (The salt has the adapter's
// checksum in it, but the same file may be open twice, under two names, and each session holds to one of them.)
struct sharers {
    uint64_t salt;
    const gyr_adapter *adapter; // NULL: none
};

static inline bool same_sharers(struct sharers a, struct sharers b) {
    return a.salt == b.salt && a.adapter == b.adapter;
}

struct entry {
    gyr_session *session;
    struct sharers whose; // others neither see it nor learn of it by its speed
    double used;
    bool kept; // on the disk, too, or not to be kept there
};

struct prefix_cache {
    struct entry *list;
    size_t n, room, most;
    // A model's state does not go back: an entry is of use only if all of it is a beginning of the prompt. So several
    // are kept of a conversation, and their states, which nothing shares, have a bound of their own.
    bool whole;
    bool disk;                         // entries are to be written there
    uint64_t state_bytes, states_room; // of a state; of all of them
    uint64_t dropped;                  // entries, to make room
};

// How many tokens two have in common.
size_t common_tokens(const int32_t *a, size_t n, const int32_t *b, size_t m);

// The entry that has most in common with the prompt, and how much; NULL: nothing. It counts as used.
struct entry *prefix_find(struct prefix_cache *c, struct sharers whose, const int32_t *ids, size_t count, double now,
                          size_t *common);

// Takes the session over (NULL: nothing happens). One that it continues is let go; those used longest ago, if there
// are too many. A `passing` one is not worth a place on the disk.
void prefix_put(struct prefix_cache *c, gyr_session *session, struct sharers whose, double now, bool passing);

// Frees all entries that have the adapter.
void prefix_let_go(struct prefix_cache *c, const gyr_adapter *adapter);

// Frees the entry used longest ago; one that is still to be written to the disk only where there are no others. False:
// there is none.
bool prefix_drop(struct prefix_cache *c);

void prefix_free(struct prefix_cache *c);

#endif
