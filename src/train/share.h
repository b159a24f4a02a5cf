// Private to src/train: training that several ranks share. Each computes some examples of a step, as whole subtrees of
// the tree of gradients (tree.h); the subtrees' sums go to all, and all add them in the tree's own order and make the
// same step. So the bytes are those of one. Alone, a rank computes all.
#ifndef TRAIN_SHARE_H
#define TRAIN_SHARE_H

#include "train/example.h"
#include "train/state.h"
#include "train/tree.h"

struct ranks;

// What is shared.
struct sharing {
    struct ranks *ranks; // NULL: this process alone
    struct tree *tree;   // of gradients of n numbers
    size_t n;
    float *room; // [n]
};

// The examples of a step, of which there are n.
struct share {
    struct sharing of;
    size_t n, block; // block: examples of a subtree, a power of two
    uint32_t number; // of the step
    float **node;    // this rank's, in order: of each subtree the sums that it is made of
    size_t n_nodes, room;
};

// Whether this rank is alone, or the first: the one that writes.
bool share_leads(const struct ranks *r);

// Whether all have the same training, and what `also` says of what is measured; and rank 0's state for all. The first
// thing of a run.
bool share_begin(struct ranks *r, struct state *s, uint64_t also, gyr_error *e);

struct share share_of(const struct sharing *of, size_t n, size_t step);
void share_free(struct share *s);

// Whether example i is computed here; its gradients, in order; and once all are there, what those of others have come
// to, so that the tree has all.
bool share_has(const struct share *s, size_t i);
bool share_add(struct share *s, size_t i, const float *leaf, gyr_error *e);
bool share_join(struct share *s, gyr_error *e);

// What this rank was told of its examples, to all; in `told`, [n].
bool share_told(const struct share *s, struct told *told, gyr_error *e);

// The others are told that it goes on no more, and why.
void share_fail(struct ranks *r, const gyr_error *why);

#endif
