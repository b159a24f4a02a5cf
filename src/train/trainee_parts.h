// Private to src/train: what a trainee has.
#ifndef TRAIN_TRAINEE_PARTS_H
#define TRAIN_TRAINEE_PARTS_H

#include "train/ops.h"
#include "train/trainee.h"

// A norm's weights on the host; w NULL: there is none. A row has `each` vectors of `dim`, which take turns with the
// `parts` of the weights.
struct host_norm {
    bool mean;
    bool fixed; // the weights are not the file's, and never trained
    float eps;
    float *w, *b;
    size_t dim, each, parts;
};

// Of a layer that keeps a state.
struct host_state {
    float *taps, *taps_bias, *dt_bias, *a, *skip;
    struct host_norm key, query, low, norm; // low: of what steps come from
};

struct host_layer {
    const struct layer *l;
    struct host_norm attn, attn_post, mlp, mlp_post, q, k, v;
    float *sinks, *shift; // of attention; of the choice of experts
    struct host_state state;
    float **bias;         // [slots]
    struct trained *pair; // [slots]
};

struct whole;
struct card;

struct trainee {
    const struct model *m;
    struct whole *whole;  // not NULL: all weights are trained, and these are used (whole.h)
    const size_t *starts; // rows at which sequences of an example begin, [n_starts], the first 0
    size_t n_starts;      // 0: it is one
    float *last;          // not NULL: no loss is wanted but the logits of the last row, here
    struct pool *pool;
    struct card *card; // NULL: all is the host's (card.h)
    struct host_layer *layers;
    struct host_norm embed, final;
    float *output_bias, *slopes;
    float *vectors;          // owner of all of these
    float *room;             // of an example's way, [room_n]
    size_t room_n, expected; // floats: of `room`, and of the longest example that will come
    size_t most;             // floats that this may have, where it can; 0: as many as it takes
    size_t n_numbers;
    enum unit unit;
    bool shorts; // ops.h
};

#endif
