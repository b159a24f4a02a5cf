// A run: what a batch on its way through a model needs beside the weights. Weights never change, so several runs of one
// model may be on their way at once.
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model/kv_cache.h"
#include "model/model.h"

struct run;

struct run *run_new(const struct model *m, gyr_error *e);
void run_free(struct run *r);

// Most rows of a batch, and most of them whose logits are wanted. A longer batch is fed in pieces, which changes no
// byte of the result.
size_t run_rows(const struct run *r);
size_t run_wanted(const struct run *r);

// One token to compute: where it stands, and whether its logits are wanted.
struct row {
    int32_t token;
    uint32_t position, ahead;  // struct attention_row
    const struct pages *pages; // of its sequence, which cover the position
    dfloat *state;             // of its sequence, where the model keeps states
    bool logits;
};

// Computes rows of any number of sequences: their keys and values go to the cache, and the logits of the rows that want
// them to `logits` on the host, [wanted][vocab], in order. Rows of one sequence lie side by side, in ascending
// positions. A row's result depends on its own sequence alone.
//
// All of it may be computed later: when the device's sync() says that it went well, the logits are there. If it did
// not, or if forward() fails, keys and values of these rows, and the states of their sequences, are undefined, and all
// else is as it was.
bool forward(struct run *r, const struct kv_cache *kv, const struct row *rows, size_t n, float *logits, gyr_error *e);

#endif
