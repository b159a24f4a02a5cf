// Private to src/model: an adapter's numbers added to a model's weights, as they are written to a GGUF file.
#ifndef MODEL_MERGE_H
#define MODEL_MERGE_H

#include "model/adapter.h"

struct merge;

// Opens the adapter for a checkpoint. `c` and `path` must outlive it.
struct merge *merge_new(const struct checkpoint *c, const char *path, gyr_error *e);
void merge_free(struct merge *m);

// The model that it is bound to.
struct model *merge_model(const struct merge *m);

// A tensor of a GGUF file that the adapter adds something to.
struct merged {
    const struct merge *m;
    struct place at;
    uint64_t cols, each; // `each`: rows of one matrix, where it is several
};

// Whether the tensor of that name is one; then it counts as met.
bool merge_meets(struct merge *m, const char *name, const uint64_t dim[MAX_DIMS], struct merged *out);

// Adds to elements [first, first + n) of the tensor.
void merge_add(const struct merged *t, uint64_t first, size_t n, float *out);

// GYR_UNSUPPORTED, naming it, if something that the adapter adds to was in no tensor.
bool merge_met_all(const struct merge *m, gyr_error *e);

// Whether a merged tensor can be written in that type: GYR_UNSUPPORTED.
bool merge_writes(const struct merge *m, const char *name, enum type type, gyr_error *e);

#endif
