// Private to src/model: finding every tensor that a family's row names.
#ifndef MODEL_BIND_H
#define MODEL_BIND_H

#include "model/model.h"

// Two passes over the same list: the first only looks (nothing of a size that the header merely claims is allocated),
// the second binds.
struct binder {
    struct model *m;
    gyr_error *e;
    bool all_looking; // the first pass
    bool looking;     // and in the second, at what other ranks bind
    uint32_t side;    // of struct homes: what is bound goes there
    bool *found;      // [n_tensors of the checkpoint], while looking
    size_t used;      // floats of m->vectors handed out,
    float *host;      // which are written here, and go to the device once all are there
    size_t rewritten; // matrices that need a copy
};

// Binds a matrix to the side's device; and where vectors are that begin `at` floats behind the first.
bool bind_weight(struct binder *b, struct weight *w);
dfloat *bind_at(const struct binder *b, size_t at);

// Whether branches have norms in front.
static inline bool bind_norms_before(const struct family *f) {
    return f->norms.place == NORM_BEFORE || f->norms.place == NORM_AROUND;
}

// Whether a layer has a matrix for values: it may borrow them, or take its keys for them.
bool bind_has_values(const struct model *m, uint32_t i);

// Binds all of m->checkpoint's tensors into m, whose hyperparameters are read; or only finds them and checks their
// shapes.
bool bind_model(struct model *m, bool look_only, const struct cut *cut, gyr_error *e);

// Where a model may be cut: may[i], of [layers + 1], whether before layer i.
void cut_places(const struct model *m, bool *may);

// Which layers this rank has, once their plans and tensors are known.
bool cut_layers(struct model *m, const struct cut *cut, gyr_error *e);

// Whether the file has a tensor.
bool bind_present(const struct binder *b, enum role role, enum part part, uint32_t layer);

// Finds a tensor and checks its shape: columns, rows (1 for a vector), and how many such there are in it.
const struct tensor *bind_find(struct binder *b, struct place at, uint64_t cols, uint64_t rows, uint64_t depth);

// The same, for those who take blocks whose scales lie apart.
const struct tensor *bind_find_any(struct binder *b, struct place at, uint64_t cols, uint64_t rows, uint64_t depth);

bool bind_matrix(struct binder *b, struct weight *w, enum role role, uint32_t layer, size_t cols, size_t rows);

bool bind_linear(struct binder *b, struct linear *l, enum role role, unsigned bias, uint32_t layer, size_t cols,
                 size_t rows);

// Multiplies what n matrices give by the factors that a file has of them: to by[0] and each `step` bytes behind it.
bool bind_by(struct binder *b, enum role role, uint32_t layer, bool biased, size_t n, size_t step, float *by);

// A vector of n floats, or n / rows for each of so many rows, which may be tensors of their own. `plus` is added to
// each.
bool bind_vector(struct binder *b, dfloat **v, enum role role, enum part part, uint32_t layer, size_t n, size_t rows,
                 float plus);

// Where a vector's floats are written.
float *bind_host(const struct binder *b, const dfloat *v);

// Whether a family's matrices of a kind have biases; the first layer that has the matrix says so where files differ.
bool bind_has_bias(const struct binder *b, enum role role, unsigned which, uint32_t layer);

// A matrix of a form that is not in the file: `bytes` to be written before it is bound. While looking, only counted.
uint8_t *bind_rewrite(struct binder *b, size_t bytes);

// Whether the family's matrices lie as [in][out] in this file, and one of them the other way round: cols x rows.
bool bind_is_turned(const struct binder *b);
uint8_t *bind_turned(struct binder *b, const struct tensor *t, size_t cols, size_t rows);

// Whether a matrix that is written in another order has weights apart; else refused: blocks cannot be turned.
bool bind_whole(struct binder *b, const struct tensor *t);

// Some rows of a matrix that holds several, as a matrix of their own.
struct share {
    struct linear *to;  // NULL: they are not read
    size_t first, rows; // of each group
};

// A matrix whose rows lie in `groups` groups, and its bias, is cut into parts: each group's rows of a part, one group
// after the other. Several parts may go to one matrix, one after the other.
bool bind_parts(struct binder *b, enum role role, unsigned bias, uint32_t layer, size_t groups, const struct share *p,
                int n);

// The bytes of a tensor of which `share` is read for a token.
void bind_count(struct model *m, const struct tensor *t, double share);

// A vector of n times `value`, that no file has.
bool bind_filled(struct binder *b, dfloat **v, size_t n, float value);

// A norm over the hidden size.
bool bind_norm(struct binder *b, struct norm *norm, enum role role, uint32_t layer);

// What makes a stream of embeddings beside the tokens' own, and what makes an embedding of a text from what the layers
// give (bind_encoder.c).
bool bind_beginning(struct binder *b);
bool bind_dense(struct binder *b);

bool bind_inputs(struct binder *b);
bool bind_input(struct binder *b, struct layer *l, uint32_t i);
bool bind_state(struct binder *b, struct layer *l, uint32_t i);
bool bind_indexer(struct binder *b, struct layer *l, uint32_t i);
bool bind_latent(struct binder *b, struct layer *l, uint32_t i);
bool bind_experts(struct binder *b, struct layer *l, uint32_t i);

// Whether a folder may hold a tensor of that name although its text part does not read it.
bool bind_needless(const struct model *m, struct text name);

#endif
