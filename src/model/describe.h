// Private to src/model: the description of a batch, which goes to the device once a pass.
#ifndef MODEL_DESCRIBE_H
#define MODEL_DESCRIBE_H

#include "model/run.h"

// Rows side by side that one adapter is for.
struct span {
    const struct adapter *adapter;
    size_t first, n;
};

// What layers ask of rows.
struct view {
    struct seats at, in_chunk;    // in_chunk: as if the sequence began with the row's chunk
    const dfloat *temper;         // [rows], what queries are multiplied by
    const dfloat *angles, *local; // [rows][rotary_dim / 2][2]: struct qkv; NULL: none
    const struct span *spans;     // ascending; rows between them have no adapter
    size_t n_spans;
};

struct description {
    size_t wanted;                         // rows that want something
    const dint *tokens, *positions, *self; // [rows]; self: row r at r
    const dint *types;                     // [rows], where the model has types of tokens; else NULL
    const dint *chosen;                    // [wanted]: which these are
    struct view all, kept; // of all rows; of those that want logits, if layers come that they alone go through
    const dslab *slab;     // of the KV cache
};

// Cosines and sines of the positions so far, on the host.
struct angles {
    float *table;
    size_t positions;
};

// Owner of what a description is made in.
struct desk {
    uint32_t side;              // of the model
    struct angles angles[2][2]; // [far][local]
    uint8_t *host;
    dbyte *there;
    size_t room, room_there;
    struct span *spans[2]; // of all rows, and of those that are kept
    size_t span_room[2];
};

// For the side whose desk it is.
bool describe(struct desk *d, const struct model *m, const struct kv_cache *kv, const struct row *rows, size_t n,
              struct description *out, gyr_error *e);
void desk_free(struct desk *d, struct device *device);

#endif
