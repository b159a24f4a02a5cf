// The operations of a decoder beside their gradients: x_forward() computes y, and saves what x_backward() needs;
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
#include "device/device.h"
#include "device/host.h"
#include "tensor/type.h"

// y = (x - mean) * inverse * w + b, over `dim`; without mean: RMSNorm (Zhang and Sennrich, 2019). saved: [rows][2].
struct norm_op {
    bool mean;
    size_t rows, dim;
    float eps;
    const float *w, *b; // b may be NULL
    size_t parts;       // w is [parts][dim], and row r has part r % parts; 0: one
};
void norm_forward(const struct norm_op *o, const float *x, float *y, float *saved);
void norm_backward(const struct norm_op *o, const float *x, const float *saved, const float *dy, float *dx, float *dw,
                   float *db);

// y = by * (W x + bias) + scale * b (a x). W may be of any type and is decoded row by row, never as a whole. saved:
// [rows][rank], scale * a x. (Hu et al., 2021)
struct linear_op {
    struct pool *pool;
    size_t rows, in, out, rank; // rank 0: no pair
    enum type type;
    const void *w;      // [out][in]
    const float *bias;  // NULL: none
    const float *a, *b; // [rank][in], [out][rank]
    float scale;
    float by;          // 0: 1
    bool shorts;       // sums over in and out by integers of 16 bits (device/host.h); those over rank by floats
    float *room;       // of linear_floats(rows, the greater of in and out); NULL: memory of its own each time
    struct card *card; // whose the map may be (card.h); NULL: it is the host's
    const struct weight *bound; // W there
};
size_t linear_floats(size_t rows, size_t widest);
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
    // As struct attention (device/device.h) has them: 0 and NULL where there are none.
    float cap;
    const float *slopes, *sinks;
    bool slopes_bf16;
    size_t chunk; // a row sees its own chunk of so many; 0: all
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

// The same with bounds: with g at most `limit` and u within [-limit, limit], y = (u + 1) * g / (1 + exp(-alpha * g)).
// (gpt-oss, 2025)
struct bounded_op {
    size_t n;
    float limit, alpha;
};
void bounded_forward(const struct bounded_op *o, const float *gate, const float *up, float *y);
void bounded_backward(const struct bounded_op *o, const float *gate, const float *up, const float *dy, float *dgate,
                      float *dup);

// y = most * tanh(x / most), in place; backward is given y. (Bello et al., 2017)
void cap_forward(size_t n, float most, float *x);
void cap_backward(size_t n, float most, const float *y, float *dx);

// x within [-most, most], in place; backward is given what was, or what became of it.
void clamp_forward(size_t n, float most, float *x);
void clamp_backward(size_t n, float most, const float *x, float *dx);

enum { MAX_USED = 256 }; // experts of a row

// Choice of experts, as struct route (device/device.h) has it: logits are [rows][experts], `expert` and `weight`
// [rows][used]. saved: [rows][experts]. What is chosen has no gradient; the weights have one by the logits.
struct route_op {
    enum route_score score;
    size_t rows, experts, used, groups, groups_used;
    bool pairs, normed;
    float scale;
    const float *shift, *own_scale;
};
bool route_forward(const struct route_op *o, const float *logits, int32_t *expert, float *weight, float *saved,
                   gyr_error *e);
void route_backward(const struct route_op *o, const int32_t *expert, const float *saved, const float *dweight,
                    float *dlogits);

// Of each channel by itself, over time: y[t] = bias + the sum over j of w[j] * x[t - taps + 1 + j]. w is
// [taps][channels]; bias may be NULL.
struct conv_op {
    struct pool *pool;
    size_t rows, channels, taps;
    const float *w, *bias;
};
void conv_forward(const struct conv_op *o, const float *x, float *y);
// Without dw x is not looked at; db may be NULL.
void conv_backward(const struct conv_op *o, const float *x, const float *dy, float *dx, float *dw, float *db);

// Linear recurrences, as struct recur (device/recur.h) has them, from an empty state on: y, x [rows][heads * dim]; keys
// and queries [rows][groups * size]; dt [rows][heads], of RECUR_CHANNELS as x; beta [rows][heads], of RECUR_DELTA
// alone.
struct recur_op {
    struct pool *pool;
    enum recur_kind kind;
    size_t rows, heads, dim, size, groups;
    bool turns;
    const float *dt_bias, *a, *skip;
    float dt_by, dt_least, dt_most;
};
struct recur_given {
    const float *x, *key, *query, *dt, *beta;
};
struct recur_back {
    float *dx, *dkey, *dquery, *ddt, *dbeta;
    float *da, *ddt_bias, *dskip; // as a, dt_bias and skip
};
bool recur_forward(const struct recur_op *o, const struct recur_given *in, float *y, gyr_error *e);
bool recur_backward(const struct recur_op *o, const struct recur_given *in, const float *dy,
                    const struct recur_back *back, gyr_error *e);

// y[r] = row ids[r] of a table of any type. Backward adds to the table's gradient, [vocab][dim].
void embed_forward(enum type type, const void *table, size_t dim, const int32_t *ids, size_t rows, float *y);
void embed_backward(size_t dim, const int32_t *ids, size_t rows, const float *dy, float *dtable);

// The sum over rows of weight[r] * -ln softmax(logits[r])[target[r]], in double; dlogits, [rows][vocab], its gradient
// times `by`; both may be one. Rows of weight 0 count nothing, and their targets are not looked at.
double cross_entropy(size_t rows, size_t vocab, const float *logits, const int32_t *target, const float *weight,
                     float by, float *dlogits);

#endif
