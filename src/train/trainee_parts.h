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
    size_t n_numbers;
    enum unit unit;
};

static inline const struct linear *slot_linear(const struct layer *l, enum slot s) {
    const struct linear *all[SLOTS] = {[SLOT_QKV] = &l->qkv,   [SLOT_Q] = &l->q,          [SLOT_K] = &l->k,
                                       [SLOT_V] = &l->v,       [SLOT_OUT] = &l->attn_out, [SLOT_GATE_UP] = &l->gate_up,
                                       [SLOT_GATE] = &l->gate, [SLOT_UP] = &l->up,        [SLOT_DOWN] = &l->down};
    return all[s]->w.rows ? all[s] : NULL;
}

#endif
