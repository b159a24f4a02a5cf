// The operations of a dense decoder beside their gradients: x_forward() computes y, and saves what x_backward() needs;
// x_backward() is given dy, the loss's gradient by y, and gives those by what went in. All of it is of one example, a
// sequence of `rows` tokens, in float32 on the host.
//
// Every sum has one order, whatever the number of threads: a task owns what it writes, and nothing is summed across
// tasks. So an example's gradients are the same bytes everywhere, and those of several are added in a tree that their
// numbers alone decide (tree.h).
//
// Gradients by x (dx) are written; those by parameters (dw, db, da) are added to what is there. A pointer to a gradient
// that may be NULL: it is not wanted.
#ifndef TRAIN_OPS_H
#define TRAIN_OPS_H

#include "base/threads.h"
#include "device/host.h"
#include "tensor/type.h"

// y = (x - mean) * inverse * w + b, over `dim`; without mean: RMSNorm (Zhang and Sennrich, 2019). saved: [rows][2].
struct norm_op {
    bool mean;
    size_t rows, dim;
    float eps;
    const float *w, *b; // b may be NULL
};
void norm_forward(const struct norm_op *o, const float *x, float *y, float *saved);
void norm_backward(const struct norm_op *o, const float *x, const float *saved, const float *dy, float *dx, float *dw,
                   float *db);

// y = W x + bias + scale * b (a x). W may be of any type and is decoded row by row, never as a whole. saved:
// [rows][rank], scale * a x. (Hu et al., 2021)
struct linear_op {
    struct pool *pool;
    size_t rows, in, out, rank; // rank 0: no pair
    enum type type;
    const void *w;      // [out][in]
    const float *bias;  // NULL: none
    const float *a, *b; // [rank][in], [out][rank]
    float scale;
};
bool linear_forward(const struct linear_op *o, const float *x, float *y, float *saved, gyr_error *e);
// dx may be NULL.
bool linear_backward(const struct linear_op *o, const float *x, const float *saved, const float *dy, float *dx,
                     float *da, float *db, gyr_error *e);

// Rotates the first `dim` elements of each head in place by its row's angles, [rows][dim / 2][2]: cosine and sine;
// pairs are halves, or neighbours. Backward rotates the gradient back. (Su et al., 2021)
struct rope_op {
    size_t rows, heads, head_dim, dim;
    bool neighbours;
    const float *angles;
};
void rope_forward(const struct rope_op *o, float *x);
void rope_backward(const struct rope_op *o, float *dx);

// Causal attention with grouped heads (Vaswani et al., 2017; Ainslie et al., 2023). saved: [rows][heads], the logarithm
// of each softmax's sum with its maximum.
struct attention_op {
    struct pool *pool;
    size_t rows, heads, kv_heads, dim;
    size_t window; // rows that a row sees, itself among them; 0: all before it
    float scale;
};
bool attention_forward(const struct attention_op *o, const float *q, const float *k, const float *v, float *y,
                       float *saved, gyr_error *e);
bool attention_backward(const struct attention_op *o, const float *q, const float *k, const float *v, const float *y,
                        const float *saved, const float *dy, float *dq, float *dk, float *dv, gyr_error *e);

// y = f(x).
void unit_forward(enum unit f, size_t n, const float *x, float *y);
void unit_backward(enum unit f, size_t n, const float *x, const float *dy, float *dx);

// y = f(gate) * up. (Shazeer, 2020)
void gated_forward(enum unit f, size_t n, const float *gate, const float *up, float *y);
void gated_backward(enum unit f, size_t n, const float *gate, const float *up, const float *dy, float *dgate,
                    float *dup);

// y[r] = row ids[r] of a table of any type. Backward adds to the table's gradient, [vocab][dim].
void embed_forward(enum type type, const void *table, size_t dim, const int32_t *ids, size_t rows, float *y);
void embed_backward(size_t dim, const int32_t *ids, size_t rows, const float *dy, float *dtable);

// The sum over rows of weight[r] * -ln softmax(logits[r])[target[r]], in double; dlogits, [rows][vocab], its gradient
// times `by`. Rows of weight 0 count nothing, and their targets are not looked at.
double cross_entropy(size_t rows, size_t vocab, const float *logits, const int32_t *target, const float *weight,
                     float by, float *dlogits);

#endif
