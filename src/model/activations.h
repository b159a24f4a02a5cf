// The activations of a forward pass: one piece of device memory, cut up from the model's shape.
#ifndef MODEL_ACTIVATIONS_H
#define MODEL_ACTIVATIONS_H

#include "model/model.h"

struct activations {
    size_t rows;    // most rows of a batch
    size_t wanted;  // most rows whose logits are computed at once
    dfloat *x;      // [rows][hidden], the residual stream
    dfloat *normed; // [rows][hidden]
    dfloat *branch; // [rows][hidden], a branch on its way back to the stream
    dfloat *fused;  // [rows][(heads + 2 * kv_heads) * head_dim]
    dfloat *q;      // [rows][heads * head_dim]
    dfloat *mixed;  // [rows][heads * value_dim], attention's output
    // Latent attention: queries as the cache wants them, and one head's key and value; vectors on the way.
    dfloat *ready;    // [rows][heads * the wider of head_dim and value]
    dfloat *keys;     // [rows][head_dim]
    dfloat *values;   // [rows][kv_latent]
    dfloat *latent;   // [rows][the widest of q_latent, head_dim, key_plain, value]
    dfloat *one_head; // [rows][a head's input and output]: struct head_products
    // Indexers: queries as projected and as rotated, a key, the heads' weights.
    dfloat *index_q, *index_ready; // [rows][index_heads * index_dim]
    dfloat *index_key;             // [rows][index_dim]
    dfloat *index_weight;          // [rows][index_heads]
    dint *chosen;                  // [rows][index_most]
    // Layers with a state.
    dfloat *projected, *convolved; // [rows][recurrence.columns], [rows][recurrence.channels]
    dfloat *terms, *low;           // [rows][rank + 2 * size], [rows][rank], or size
    dfloat *step, *beta;           // [rows][steps]
    dfloat *key, *query;           // [rows][groups * size]
    dfloat *gate, *given_back;     // [rows][inner]: what gates the output, and the output
    dfloat *beside;             // [rows][hidden], what the layer gives where attention, or an MLP, gives something too
    dfloat *head_gate;          // [rows][heads * head_dim], of attention
    dfloat *inputs, *looked_up; // [rows][layers * layer_input], per-layer inputs; and what goes into them
    dfloat *let_through;        // [rows][2 * layer_input], a layer's input and what gates it
    dfloat *gated;              // [rows][2 * feed_forward], a gate and what it gates; none where nothing is gated
    dfloat *wide;               // [rows][feed_forward]
    dfloat *logits;             // [wanted][vocab]
    // Mixtures of experts: `places` is rows * experts_used.
    dfloat *router;   // [3][rows][experts]: logits, and scratch
    dfloat *weight;   // [rows][experts_used]
    dint *expert;     // [rows][experts_used]
    dfloat *gathered; // [places][hidden]
    dfloat *given;    // [places][hidden]
    dfloat *by;       // [places]
    dint *places;     // [2][places], and one for each expert
    dfloat *memory;   // owner of all the above
};

// Those of a side of the model.
struct activations *activations_new(const struct model *m, uint32_t side, gyr_error *e);
void activations_free(struct activations *a, struct device *d);

#endif
