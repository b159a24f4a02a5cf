// All weights of a model as floats that are trained: those of each tensor of its file, in the file's order. While a
// trainee has them, it computes with these and not with the file's, and gives the gradients of all of them.
#ifndef TRAIN_WHOLE_H
#define TRAIN_WHOLE_H

#include "train/trainee_parts.h"

// How numbers begin: about normal; as the logarithms of 1, 2, 3 and so on; and so that softplus makes steps of them.
enum draw { DRAW_NORMAL, DRAW_ONES, DRAW_ZEROS, DRAW_RATES, DRAW_STEPS };

struct whole_part {
    const struct tensor *tensor;
    size_t at, n; // of its numbers among all
    bool matrix;  // weight decay is for these
    bool table;   // of tokens: embeddings, or the output matrix
    bool rate;    // of decay: its numbers are ln(-x) of the file's
    bool used;
    enum draw draw;
    float deviation;
};

// What a trainee has turned, [cols][rows], and is computed from its numbers, [rows][cols], before each example.
struct whole_table {
    const struct whole_part *part;
    float *to;
    size_t cols, rows;
};

struct whole {
    const struct model *m;
    struct whole_part *parts;   // [m->checkpoint->n_tensors]
    struct whole_table *tables; // [n_tables]
    float *numbers;
    size_t n, n_tables;
};

// The numbers are those of the file, which is a GGUF of F32, F16 or BF16. GYR_UNSUPPORTED, by the tensor's name, where
// a tensor is none of these, or has no gradient. The trainee's model must outlive it, and it the trainee's use.
struct whole *whole_new(struct trainee *t, gyr_error *e);
void whole_free(struct whole *w);

// Begins anew: matrices about normal, of deviation 0.02, and that by the square root of how often is added to the
// stream where they add to it; norms 1, biases 0. Drawn by the place of a number, so the same everywhere. (Radford et
// al., 2019) Of states: rates of decay 1, 2, 3 and so on along a state, steps of 0.001 to 0.1, taps and the matrix of
// steps as wide as evenly within 1 / sqrt(columns). (Gu and Dao, 2023)
void whole_draw(struct whole *w, struct pool *pool, uint64_t seed);

// The numbers of a weight that lies in the file at `data`.
const float *whole_at(const struct whole *w, const void *data);

// To be called before an example, and whenever numbers have changed: what is computed from them.
void whole_refresh(const struct whole *w);

// The file's numbers of a part from `at` on, n of them.
void whole_give(const struct whole *w, const struct whole_part *p, size_t at, size_t n, float *out);

// The weights of a linear map, in place of the file's. And its gradients: += those by the weights and the bias, of all
// rows in order.
void whole_take(const struct whole *w, struct linear_op *o);
bool whole_linear(const struct whole *w, const struct linear_op *o, const float *x, const float *dy, float *gradients,
                  gyr_error *e);

// += the gradients by a norm's weights.
void whole_norm(const struct whole *w, struct pool *pool, const struct host_norm *n, size_t rows, const float *x,
                const float *saved, const float *dy, float *gradients);

// += the gradients by what a table's numbers are, from those by v, which is the trainee's.
void whole_turned(const struct whole *w, const float *v, const float *dv, float *gradients);

// += the gradients by rows of a table: of embeddings, or of positions.
void whole_embed(const struct whole *w, const struct weight *table, const int32_t *ids, size_t rows, const float *dy,
                 float *gradients);

// += the gradients by the sinks of attention, from what attention_forward() gave and saved.
void whole_sinks(const struct whole *w, const struct attention_op *o, const float *y, const float *saved,
                 const float *dy, float *gradients);

#endif
