// The room's own: what clients' calls and the work on fine-tuning jobs share.
#ifndef SERVER_TUNE_IMPL_H
#define SERVER_TUNE_IMPL_H

#include "server/tunes.h"

// The columns that tune_read() reads.
#define TUNE_COLUMNS                                                                                                   \
    "seq, id, owner, shared, state, base, training, validation, result, suffix, model, checksum, deleted, seed, "      \
    "epochs, batch, rate, steps, done, tokens, created, finished, finish_at, metadata, error, method, beta"
void tune_read(struct store *s, sqlite3_stmt *q, struct tune *t);

// Within a transaction: what is told of a job; data (may be NULL) is JSON.
void tune_note(struct store *s, int64_t tune, int level, const char *message, int64_t now);

// Within a transaction: forgets a job with all rows of it.
void tune_forget(struct store *s, int64_t seq);

// Removes the files of a job: what it goes on from, its checkpoints and, with `all`, its adapter.
void tune_remove_files(struct store *s, const char *id, bool all);

#endif
