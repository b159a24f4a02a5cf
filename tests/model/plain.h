// A decoder written down plainly: one token after the other, in double precision, as the papers say, and nothing of
// src/ but the names of traits and of tensors. What a model has is what it has weights for.
#ifndef TESTS_MODEL_PLAIN_H
#define TESTS_MODEL_PLAIN_H

#include "model/family.h"

enum {
    LAYERS = 4,
    HIDDEN = 32,
    HEADS = 4,
    WIDE = 48,
    VOCAB = 64,
    TOKENS = 40,
    MAX_DIM = 16,
    EXPERTS = 4,
    USED = 2,
    EXPERT_WIDE = 24,
    INPUT_WIDE = 8,
    Q_LATENT = 12,
    KV_LATENT = 8,
    KEY_PLAIN = 8,
    KEY_ROTATED = 8,
    VALUE = 12,
    INDEX_HEADS = 2,
    INDEX_DIM = 12,
    MAX_INDEX = 16,
    TAPS = 4,
    INNER = 32,
    STATE_HEADS = 4,
    STATE_SIZE = 8,
    STATE_GROUPS = 2,
    CHANNELS = INNER + 2 * STATE_GROUPS * STATE_SIZE,
};

// Of each layer.
struct plain_layer {
    bool local, rotated, chunked, attends, recurs;
    int lender; // whose keys and values it reads: usually its own
    size_t kv_heads, dim, rotary;
    double base;
    float *w[ROLE_COUNT][2]; // weights and biases; those of experts one behind the other
    size_t rows[ROLE_COUNT], cols[ROLE_COUNT], n[ROLE_COUNT][2];
    // What it remembers.
    double k[TOKENS][HEADS * MAX_DIM], v[TOKENS][HEADS * MAX_DIM], index_k[TOKENS][INDEX_DIM];
    double tail[TAPS][CHANNELS], state[STATE_HEADS][STATE_SIZE][INNER / STATE_HEADS];
};

struct plain {
    struct family f;
    bool fused, grouped, borrowing, key_values; // the file's
    uint32_t window;
    double embed, residual, logit, attn_cap, logit_cap;
    double attn_scale, told_scale; // 0: usual; 0: the file says none
    double key_by, gate_by, down_by, in_by, out_by, state_by, part_by[5];
    bool shared, shared_router;
    struct plain_layer layer[LAYERS]; // what is no layer's is in the first
};

// The logits of each of the tokens.
void plain_logits(struct plain *p, const int32_t *tokens, size_t n, float *logits);

#endif
