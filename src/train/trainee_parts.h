// Private to src/train: what a trainee has.
#ifndef TRAIN_TRAINEE_PARTS_H
#define TRAIN_TRAINEE_PARTS_H

#include "train/ops.h"
#include "train/trainee.h"

// A norm's weights on the host; w NULL: there is none. A row has `each` vectors of `dim`, which take turns with the
// `parts` of the weights.
struct host_norm {
    bool mean;
    float eps;
    float *w, *b;
    size_t dim, each, parts;
};

struct host_layer {
    const struct layer *l;
    struct host_norm attn, attn_post, mlp, mlp_post, q, k, v;
    float *sinks, *shift; // of attention; of the choice of experts
    float **bias;         // [slots]
    struct trained *pair; // [slots]
};

struct trainee {
    const struct model *m;
    struct pool *pool;
    struct host_layer *layers;
    struct host_norm embed, final;
    float *output_bias, *slopes;
    float *vectors; // owner of all of these
    float *room;    // of an example's way, [room_n]
    size_t room_n;
    size_t n_numbers;
    enum unit unit;
};

#endif
