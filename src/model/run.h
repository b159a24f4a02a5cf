// A run: what a batch on its way through a model needs beside the weights. Weights never change, so several runs of one
// model may be on their way at once.
#ifndef MODEL_RUN_H
#define MODEL_RUN_H

#include "model/adapter.h"
#include "model/kv_cache.h"
#include "model/model.h"

struct run;

struct run *run_new(const struct model *m, gyr_error *e);
void run_free(struct run *r);

// What a pass gives of the rows that want something: logits, [vocab], or the states that logits are made of, behind the
// final norm, [hidden].
enum gives { GIVES_LOGITS, GIVES_STATES };

// Most rows of a batch, and most of them that may want something. A longer batch is fed in pieces, which changes no
// byte of the result; where tokens see each other, forward() takes a text of any length, and however many it wants.
size_t run_rows(const struct run *r);
size_t run_wanted(const struct run *r, enum gives gives);

// Makes it a part of what `ranks` compute together, of a model that is cut among them.
struct ranks;
bool run_join(struct run *r, struct ranks *ranks, gyr_error *e);

// Lets batches have no more rows than this, where other ranks have less room.
void run_limit(struct run *r, size_t rows, size_t wanted);

// One token to compute: where it stands, and whether what it gives is wanted.
struct row {
    int32_t token;
    uint32_t position, ahead;           // struct attention_row
    const struct pages *pages;          // of its sequence, which cover the position
    const struct sequence_state *state; // of its sequence, where the model keeps states
    bool wanted;
    const struct adapter *adapter; // of its sequence; NULL: none
    uint32_t type;                 // of the token, where the model has types
};

// Computes rows of any number of sequences: their keys and values go to the cache, and the logits or states of the rows
// that want them to `out` on the host, one row behind the other, in order. Rows of one sequence lie side by side, in
// ascending positions. A row's result depends on its own sequence alone.
//
// All of it may be computed later: when the device's sync() says that it went well, what was wanted is there. If it did
// not, or if forward() fails, keys and values of these rows, and the states of their sequences, are undefined, and all
// else is as it was.
bool forward(struct run *r, const struct kv_cache *kv, const struct row *rows, size_t n, enum gives gives, float *out,
             gyr_error *e);

// Waits until all that was asked for is computed, on this rank and, for rank 0, on all: the device's sync().
bool run_sync(struct run *r, gyr_error *e);

// On a rank that is not the first: sends what the last pass gave, or why there is nothing, to where it is wanted. The
// last rank's `out` has n floats; others have sent what they made.
bool run_reply(struct run *r, bool ok, const gyr_error *why, const float *out, size_t n, gyr_error *e);

#endif
