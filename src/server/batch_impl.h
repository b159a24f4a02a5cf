// The room's own: what clients' calls and the work on batches share.
#ifndef SERVER_BATCH_IMPL_H
#define SERVER_BATCH_IMPL_H

#include "server/batches.h"

// Within a transaction: moves a batch from a state to another. False if it was not in that state (any more).
bool batch_move(struct store *s, int64_t seq, enum batch_state from, enum batch_state to, int64_t now);

// The columns that batch_read() reads.
#define BATCH_COLUMNS                                                                                                  \
    "seq, id, owner, state, endpoint, completion_window, input_file, output_file, error_file, metadata, errors, "      \
    "total, completed, failed, expires_at, validating_at, in_progress_at, finalizing_at, cancelling_at, "              \
    "completed_at, failed_at, expired_at, cancelled_at"
void batch_read(struct store *s, sqlite3_stmt *q, struct batch *b);

struct batch_limits;

// Reads a batch's file, in which each line must be a request, and moves it from "validating" to "in progress" or
// "failed". False if the state or the file could not be read; it can be called again then.
bool batch_validate(struct store *s, const struct batch *b, const struct batch_limits *limits, int64_t now,
                    gyr_error *e);

// Writes the files of a batch that is "finalizing" and ends it.
bool batch_finish(struct store *s, const struct batch *b, int64_t now, gyr_error *e);

// A string as JSON, with its quotes.
void put_json_string(struct buf *out, const char *text);

#endif
