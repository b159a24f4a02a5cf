// Private to src/train/card*.c: a card's memory, and what was asked of it.
#ifndef TRAIN_CARD_PARTS_H
#define TRAIN_CARD_PARTS_H

#include "device/device.h"
#include "train/card.h"

// Maps between card_begin() and card_end(); what these add to; pieces of a card's memory.
enum { MOST_MAPS = 8, MOST_SUMS = 3 * MOST_MAPS, MOST_PIECES = 48 };

struct asked {
    struct linear_op o;
    struct desk *desk;
    const float *x, *saved, *dy; // dy NULL: forward
    float *y, *kept;             // kept: narrow, of the way forward
    float *dx, *da, *db;
    enum card_dx how;
};

struct mlp_kept {
    dfloat *at;
    size_t floats;
};

struct piece {
    dfloat *at;
    size_t floats, used;
};

// Numbers of the host's that a card has: what is read by several maps; what is added to, and comes back in the end.
struct there {
    const float *of;
    dfloat *at;
    size_t floats;
};

// A device, and what the maps that it is asked for have there.
struct desk {
    struct device *d;
    bool good; // it was not given up
    bool busy; // it was asked for something
    gyr_error failed;
    struct piece piece[MOST_PIECES];
    size_t pieces, wanted; // wanted: floats that all of a group took, in one piece the next time
    dfloat *decoded;       // rows of a matrix
    size_t decoded_n;
    dint *ids; // 0, 1, 2...
    size_t ids_n;
    struct there read[MOST_MAPS], sum[MOST_SUMS];
    size_t reads, sums;
    struct mlp_kept *mlp; // what MLPs keep there, one for each layer (card_mlp.c)
    size_t mlps;
    float *landing; // of the host: what comes back of sums
    size_t landing_n;
};

struct card {
    struct desk desk[MAX_SIDES];
    size_t n;
    char why[sizeof((gyr_error *)0)->message];
    unsigned depth; // of card_begin()
    struct asked asked[MOST_MAPS];
    size_t count;
    struct pool *pool; // of the last map
    uint32_t layers;
};

// n floats of the card's memory until the group ends; NULL: there are none, which the desk says.
dfloat *desk_take(struct desk *k, size_t n);

// What lies at `of` on the host, n floats, there: brought once in a group. And what is added to, which comes back.
dfloat *desk_read(struct desk *k, const float *of, size_t n);
dfloat *desk_sum(struct desk *k, float *of, size_t n);

// Frees what MLPs keep.
void desk_forget(struct desk *k);

// The desk of a device, if it is good; NULL.
struct desk *card_desk(struct card *c, const struct device *d);

// Waits for all that a desk was asked for, and ends it. False: it failed, and nothing of it counts.
bool desk_end(struct card *c, struct desk *k);

// A map of what is there: y, and its pair's `kept` for the host. Back: the gradient by x; NULL: no memory.
bool desk_map(struct desk *k, const struct linear_op *o, const dfloat *x, dfloat *y, float *kept);
dfloat *desk_map_back(struct desk *k, const struct asked *m, const dfloat *x, const dfloat *dy);

// 0 + x
dfloat *desk_onto_zeros(struct desk *k, const dfloat *x, size_t rows, size_t cols);

// Asks for all of a map.
bool desk_forward(struct desk *k, const struct asked *a);
bool desk_backward(struct desk *k, const struct asked *a);

#endif
