// Private to src/train: direct preference optimization (Rafailov et al., 2023). Of two answers to the same messages the
// preferred one becomes likelier, measured by what the model without the adapter finds: with each answer's reward,
// beta * (ln p - ln p of that model), summed over what is learned of it, the loss of a pair is
// -ln sigmoid(the preferred answer's reward - the other's).
#ifndef TRAIN_PREFER_H
#define TRAIN_PREFER_H

#include "train/tune.h"

// Of the pair at lessons [0] and [1]: its loss, whether the preferred answer's reward is the higher, and by how much.
// The loss's gradients times `by` are in `gradients` then, which were zeros; NULL: they are not wanted. What the model
// without the adapter finds is computed once and kept in the lessons.
bool prefer(struct gyr_tune *t, struct lesson *pair, float by, struct told *told, float *gradients, gyr_error *e);

#endif
