// Layers that keep a state (device/recur.h): their shape, and the pool of the sequences' states.
#ifndef MODEL_RECURRENCE_H
#define MODEL_RECURRENCE_H

#include "model/family.h"

struct recurrence {
    enum recur_kind kind;
    uint32_t taps, inner; // of the convolution; elements of all heads' values
    uint32_t size, heads, dim, groups;
    uint32_t rank;               // of the vector that steps come from; 0: they are in the projection
    uint32_t channels;           // convolved: values, and where the projection has them, keys and queries
    uint32_t columns;            // of the projection
    uint32_t steps;              // of a row
    bool each;                   // elements of a key have a step each
    float norms_eps;             // of the norms of steps, keys and queries
    float step_least, step_most; // bounds of steps; 0: none
    bool norm_first;             // the norm of what comes out stands before its gate
    // Multipliers (Falcon-H1, 2025): of the projection's parts (gate, values, keys, queries, steps), and of what the
    // layer gives; of attention's input, keys and output, and of the MLP's gate and output.
    float part[5], out, attn_in, attn_key, attn_out, gate, down;
};

// Reads the shape; a family without recurrences has an empty one.
bool recurrence_read(const struct family *f, const struct checkpoint *c, uint32_t hidden, struct recurrence *r,
                     gyr_error *e);

// Floats of a layer's state: the convolution's inputs, then the heads.
size_t recurrence_tail(const struct recurrence *r);
size_t recurrence_floats(const struct recurrence *r);

// A sequence's state: on each device a piece of memory with the states of its layers, in order. They never move.
struct sequence_state {
    dfloat *at[MAX_SIDES];
};

// Those of all sequences.
struct state_pool {
    struct device *device[MAX_SIDES];
    size_t floats[MAX_SIDES]; // of a state; none at all: the model has no such layers, and needs no state
    uint32_t sides;
    struct sequence_state **free; // the free ones
    size_t n_free, room;
};

void state_pool_free(struct state_pool *p);
size_t state_pool_floats(const struct state_pool *p); // of a state, on all sides
uint64_t state_pool_bytes(const struct state_pool *p);

// A state, whose contents are undefined; NULL where nobody needs one.
bool state_pool_take(struct state_pool *p, struct sequence_state **state, gyr_error *e);
void state_pool_give(struct state_pool *p, struct sequence_state *state); // NULL is allowed
void state_pool_copy(struct state_pool *p, const struct sequence_state *to, const struct sequence_state *from);

#endif
