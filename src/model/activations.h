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
    float *mixed;       // [rows][heads * head_dim], attention's output
    float *gated;       // [rows][2 * feed_forward], a gate and what it gates; none where nothing is gated
    float *wide;        // [rows][feed_forward]
    float *logits;      // [logits_rows][vocab]
    float *memory;      // owner of all the above
    struct attention_row *at;
    int32_t *tokens;
};

struct activations *activations_new(const struct model *m, gyr_error *e);
void activations_free(struct activations *a, struct device *d);

#endif
