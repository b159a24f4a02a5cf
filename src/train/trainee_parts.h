// Private to src/train: what a trainee has.
#ifndef TRAIN_TRAINEE_PARTS_H
#define TRAIN_TRAINEE_PARTS_H

#include "train/ops.h"
#include "train/trainee.h"

// A norm's weights on the host; w NULL: there is none.
struct host_norm {
    bool mean;
    float eps;
    float *w, *b;
};

struct host_layer {
    const struct layer *l;
    struct host_norm attn, mlp;
    float *bias[SLOTS];
    struct trained pair[SLOTS];
};

struct trainee {
    const struct model *m;
    struct pool *pool;
    struct host_layer *layers;
    struct host_norm final;
    float *output_bias;
    float *vectors; // owner of all of these
    float *room;    // of an example's way, [room_n]
    size_t room_n;
    size_t n_numbers;
    enum unit unit;
};

#endif
