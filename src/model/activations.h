// The activations of a forward pass: one piece of device memory, cut up at load from the model's shape.
#ifndef MODEL_ACTIVATIONS_H
#define MODEL_ACTIVATIONS_H

#include "model/model.h"

struct activations {
    size_t rows;        // most rows of a batch
    size_t logits_rows; // most rows of logits computed at once
    float *x;           // [rows][hidden], the residual stream
    float *normed;      // [rows][hidden]
    float *branch;      // [rows][hidden], a branch on its way back to the stream
    float *fused;       // [rows][(heads + 2 * kv_heads) * head_dim]
    float *q;           // [rows][heads * head_dim]
    float *mixed;       // [rows][heads * value_dim], attention's output
    // Latent attention: queries as the cache wants them, and one head's key and value; vectors on the way.
    float *ready;    // [rows][heads * the wider of head_dim and value]
    float *keys;     // [rows][head_dim]
    float *values;   // [rows][kv_latent]
    float *latent;   // [rows][the widest of q_latent, head_dim, key_plain, value]
    float *one_head; // [rows][kv_latent]
    // Indexers: queries as projected and as rotated, a key, the heads' weights.
    float *index_q, *index_ready; // [rows][index_heads * index_dim]
    float *index_key;             // [rows][index_dim]
    float *index_weight;          // [rows][index_heads]
    int32_t *chosen;              // [rows][index_most]
    // Layers with a state.
    float *projected, *convolved; // [rows][recurrence.columns], [rows][recurrence.channels]
    float *terms, *low;           // [rows][rank + 2 * size], [rows][rank], or size
    float *step, *beta;           // [rows][steps]
    float *key, *query;           // [rows][groups * size]
    float *gate, *given_back;     // [rows][inner]: what gates the output, and the output
    float *beside;             // [rows][hidden], what the layer gives where attention, or an MLP, gives something too
    float *head_gate;          // [rows][heads * head_dim], of attention
    float *inputs, *looked_up; // [rows][layers * layer_input], per-layer inputs; and what goes into them
    float *let_through;        // [rows][2 * layer_input], a layer's input and what gates it
    float *gated;              // [rows][2 * feed_forward], a gate and what it gates; none where nothing is gated
    float *wide;               // [rows][feed_forward]
    float *logits;             // [logits_rows][vocab]
    // Mixtures of experts: `places` is rows * experts_used.
    float *router;         // [3][rows][experts]: logits, and scratch
    float *weight;         // [rows][experts_used]
    float *input_weight;   // [places], in the order of experts
    float *gathered;       // [places][hidden]
    float *given;          // [places][hidden]
    int32_t *expert;       // [rows][experts_used], on the device, like the next two
    int32_t *from, *place; // [places]: which row a place reads, and [rows][experts_used]: which places a row has
    int32_t *host;         // [4][places], and the number of places of each expert
    float *host_weight;    // [2][places]
    float *memory;         // owner of all the above
    struct attention_row *at, *in_chunk; // in_chunk: as if the sequence began with the row's chunk
    int32_t *tokens;
    float *temper; // [rows], what queries are multiplied by, and
    int32_t *self; // [rows], row r at r: on the device, where the model has such layers
};

struct activations *activations_new(const struct model *m, gyr_error *e);
void activations_free(struct activations *a, struct device *d);

#endif
