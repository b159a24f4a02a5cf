// Gradients of several examples added in a fixed tree: a node is the sum of its halves, the left of which has the
// largest power of two of examples that is less than all. What comes out depends on the number of examples and on
// nothing else: they may come in any pieces, as long as they come in order.
#ifndef TRAIN_TREE_H
#define TRAIN_TREE_H

#include "base/error.h"

struct tree;

// Sums of n floats.
struct tree *tree_new(size_t n, gyr_error *e);
void tree_free(struct tree *t);

// Has these threads add numbers, each its own; without, the caller's does.
struct pool;
void tree_threads(struct tree *t, struct pool *pool);

// x[i] = 0 for i < n, by the same threads.
void tree_zeros(const struct tree *t, float *x, size_t n);

// The next example's gradients.
bool tree_add(struct tree *t, const float *leaf, gyr_error *e);

// The sum of the next 2^level of them, added as the tree has it; as many as that, or a multiple, came before.
bool tree_add_node(struct tree *t, int level, const float *sum, gyr_error *e);

// What has come is a sum of 2^level examples for each bit that their number has: that one; NULL: there is none. And
// forgetting all.
enum { TREE_LEVELS = 40 };
const float *tree_level(const struct tree *t, int level);
void tree_clear(struct tree *t);

// The sum of all since the last call, into out; zeros if there were none. The tree is empty then.
void tree_take(struct tree *t, float *out);

#endif
