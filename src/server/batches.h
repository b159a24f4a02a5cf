// Batches (/v1/batches): a file of requests, a line each, that are answered when there is time.
//
// What a client was told stays true whatever happens to the process: an accepted batch is worked to its end, and a line
// that was answered keeps its answer. A line may be computed twice, if the process dies on the way, but is recorded
// once.
#ifndef SERVER_BATCHES_H
#define SERVER_BATCHES_H

#include "server/files.h"

enum { BATCH_ID = 30, BATCH_ENDPOINT = 64, BATCH_WINDOW = 16, BATCH_METADATA = 16384 };

// Those up to BATCH_CANCELLING are under way. The numbers are in the state.
enum batch_state {
    BATCH_VALIDATING,
    BATCH_IN_PROGRESS,
    BATCH_FINALIZING,
    BATCH_CANCELLING,
    BATCH_COMPLETED,
    BATCH_FAILED,
    BATCH_EXPIRED,
    BATCH_CANCELLED,
    BATCH_STATES,
};

// "in_progress", as OpenAI calls it.
const char *batch_state_name(enum batch_state state);

struct batch {
    int64_t seq;
    char id[BATCH_ID + 1]; // "batch_" and 24 random characters
    int64_t owner;
    enum batch_state state;
    char endpoint[BATCH_ENDPOINT + 1], window[BATCH_WINDOW + 1];
    char input_file[FILE_ID + 1], output_file[FILE_ID + 1], error_file[FILE_ID + 1]; // "": none (yet)
    char *metadata, *errors; // JSON: an object; a list of {code, message, param, line}. "": none
    int64_t total, completed, failed;
    int64_t expires_at, at[BATCH_STATES]; // seconds since 1970 at which it came to that state; 0: it did not
};

// Frees what is in a batch.
void batch_clear(struct batch *b);

// What a client asks for. The metadata is JSON text, NULL for none.
struct batch_wish {
    int64_t owner;
    const char *input_file, *endpoint, *window, *metadata;
    int64_t seconds; // from now, until it expires
    int64_t most;    // batches of an owner that may be under way; 0: no limit
};

// Accepts a batch; its file is read later. GYR_USAGE if the wish is not right, or there is no such file; GYR_TOO_LONG
// if the owner has as many as it may have.
bool batch_add(struct store *s, const struct batch_wish *wish, int64_t now, struct batch *made, gyr_error *e);

// Finds a batch of an owner, or of anybody (OWNER_ANY). GYR_USAGE if there is none.
bool batch_find(struct store *s, int64_t owner, const char *id, struct batch *found, gyr_error *e);

// Has a batch end early; what was answered by then can be had. GYR_USAGE if there is none, or it is over.
bool batch_cancel(struct store *s, int64_t owner, const char *id, int64_t now, struct batch *found, gyr_error *e);

// A page, the newest first, after the one with the id `after` (NULL: from the start). Free each, and the array.
struct batch *batches_list(struct store *s, int64_t owner, const char *after, size_t limit, size_t *count, bool *more,
                           gyr_error *e);

// Forgets batches that ended 90 days ago, or a day ago and whose files are all gone. To be called now and then.
bool batches_sweep(struct store *s, int64_t now, gyr_error *e);

#endif
