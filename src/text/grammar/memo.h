// Masks that were found once. For a state where much of the vocabulary fits, a memo holds the tokens that fit whatever
// called the state's rule; and, of tokens in which the rule ends, what comes after that as a trie of its own, to be
// tried on what the caller goes on with (the idea is XGrammar's: Dong et al., 2024).
#ifndef TEXT_GRAMMAR_MEMO_H
#define TEXT_GRAMMAR_MEMO_H

#include "text/grammar/machine.h"
#include "text/grammar/trie.h"

#include <pthread.h>

struct memo {
    uint64_t key;
    uint32_t *mask;    // NULL: trying the tokens is as fast
    struct trie after; // what tokens have after the rule's end
    size_t bytes;      // of memory
    uint64_t steps;    // that finding it out took
};

// Memos by the keys of states (network.h). They are never removed, so that one found may be used without a lock.
struct memos {
    pthread_mutex_t lock;
    struct memo **slots;
    size_t n_slots, n;
    size_t bytes, limit; // of memory
};

void memos_init(struct memos *m, size_t limit);
void memos_free(struct memos *m);

// NULL: there is none.
const struct memo *memos_find(struct memos *m, uint64_t key);

// Keeps the memo, or frees it and returns the one that another thread was faster with. NULL: there is no more room,
// and the memo is still the caller's.
const struct memo *memos_put(struct memos *m, struct memo *memo);

// The memo of a state; without a mask also where it would be too large, or take more than `most` steps. NULL: no
// memory.
struct memo *memo_make(const struct network *w, uint32_t state, const struct trie *vocabulary, size_t vocab,
                       uint64_t most);
void memo_free(struct memo *m);

// Sets the bits of all tokens in the trie that fit after `from`, the newest set of the machine. Returns the number of
// nodes looked at. `ended` (may be NULL) receives the nodes after which the outer call's rule has ended.
struct ended {
    uint32_t *nodes;
    size_t n, room;
};
size_t walk(struct machine *m, const struct trie *t, const struct set *from, uint32_t *mask, struct ended *ended);

#endif
