// Private to src/train: training that several ranks share. Each computes some examples of a step, as whole subtrees of
// the tree of gradients (tree.h); the subtrees' sums go to all, and all add them in the tree's own order and make the
// same step. So the bytes are those of one. Alone, a rank computes all.
#ifndef TRAIN_SHARE_H
#define TRAIN_SHARE_H

#include "train/tune.h"

struct ranks;

// The examples of a step, of which there are n.
struct share {
    struct gyr_tune *t;
    size_t n, block; // block: examples of a subtree, a power of two
    uint32_t number; // of the step
    float **node;    // this rank's, in order: of each subtree the sums that it is made of
    size_t n_nodes, room;
};

// Whether all have the same training, and rank 0's state for all. The first thing of a run.
bool share_begin(struct gyr_tune *t, gyr_error *e);

struct share share_of(struct gyr_tune *t, size_t n, size_t step);
void share_free(struct share *s);

// Whether example i is computed here; its gradients, in order; and once all are there, what those of others have come
// to, so that the tree has all.
bool share_has(const struct share *s, size_t i);
bool share_add(struct share *s, size_t i, const float *leaf, gyr_error *e);
bool share_join(struct share *s, gyr_error *e);

// What this rank was told of its examples, to all; in `told`, [n].
bool share_told(const struct share *s, struct told *told, gyr_error *e);

// The others are told that it goes on no more, and why.
void share_fail(const struct gyr_tune *t, const gyr_error *why);

#endif
