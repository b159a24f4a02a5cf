// Fine-tuning jobs (/v1/fine_tuning/jobs): what a client asked for, how far it is, and what came of it.
//
// A job that was accepted is worked to its end whatever happens to the process: its row says how far it is, and its
// checkpoint, beside the adapter to come, what the rest depends on (docs/training.md). Adapters lie in the folder
// "tuned" of the state, under the job's id.
#ifndef SERVER_TUNES_H
#define SERVER_TUNES_H

#include "server/files.h"

enum { TUNE_ID = 30, TUNE_BASE = 255, TUNE_SUFFIX = 64, TUNE_MODEL = 400, TUNE_CHECKSUM = 64, TUNE_METADATA = 16384 };

// Those up to TUNE_PAUSED are under way. The numbers are in the state.
enum tune_state {
    TUNE_VALIDATING,
    TUNE_QUEUED,
    TUNE_RUNNING,
    TUNE_PAUSED,
    TUNE_SUCCEEDED,
    TUNE_FAILED,
    TUNE_CANCELLED,
    TUNE_STATES
};

// "validating_files", as OpenAI calls it.
const char *tune_state_name(enum tune_state state);

struct tune {
    int64_t seq;
    char id[TUNE_ID + 1]; // "ftjob-" and 24 random characters
    int64_t owner;
    bool shared; // an administrator's: its model is for everybody
    enum tune_state state;
    char base[TUNE_BASE + 1];                                                 // the name of the model that is trained
    char training[FILE_ID + 1], validation[FILE_ID + 1], result[FILE_ID + 1]; // files; "": none (yet)
    char suffix[TUNE_SUFFIX + 1];
    char model[TUNE_MODEL + 1];           // the adapter's name; "": none yet
    char checksum[TUNE_CHECKSUM + 1];     // of the model that is trained, once it is known
    bool deleted;                         // the adapter is gone
    int64_t seed, epochs, batch;          // 0: left to gyr (but for the seed)
    double rate;                          // times the usual learning rate; 0: left to gyr
    bool prefers;                         // the method is dpo: it learns from pairs of answers
    double beta;                          // of dpo; 0: left to gyr
    int64_t steps, done, tokens;          // of the optimizer: all, and done; tokens that were learned from
    int64_t created, finished, finish_at; // seconds since 1970; finish_at: a guess, 0: there is none
    char *metadata, *error;               // JSON objects; "": none
};
void tune_clear(struct tune *t);

struct tune_wish {
    int64_t owner;
    bool shared;
    const char *base, *training, *validation, *suffix, *metadata; // validation, metadata: NULL: none
    int64_t seed, epochs, batch;
    double rate, beta;
    bool prefers;
    int64_t most; // jobs of an owner that may be under way; 0: no limit
};

// Accepts a job. GYR_USAGE if there is no such file, or it is for something else; GYR_TOO_LONG if the owner has as many
// jobs as it may have.
bool tune_add(struct store *s, const struct tune_wish *w, int64_t now, struct tune *made, gyr_error *e);

// Finds a job of an owner, or of anybody (OWNER_ANY). GYR_USAGE if there is none.
bool tune_find(struct store *s, int64_t owner, const char *id, struct tune *found, gyr_error *e);

// What a client may ask of a job that is under way: TUNE_CANCELLED, TUNE_PAUSED, or TUNE_QUEUED (it goes on).
// GYR_USAGE if there is none; GYR_FAILED if it is in no state for that.
bool tune_turn(struct store *s, int64_t owner, const char *id, enum tune_state to, int64_t now, struct tune *found,
               gyr_error *e);

// A page of a list, the newest first, behind what has the id `after` (NULL: from the start).
struct tune_page {
    const char *after;
    size_t limit;
    size_t count; // that there are
    bool more;    // and others after them
};
struct tune *tunes_list(struct store *s, int64_t owner, struct tune_page *page, gyr_error *e);

// Something that was told of a job.
struct tune_event {
    char *id, *message, *data; // data: JSON of an object, "": none
    int64_t at, step;          // step: of metrics; 0: it is a message
    int level;                 // 0 info, 1 warn, 2 error
};
struct tune_event *tune_events(struct store *s, int64_t tune, struct tune_page *page, gyr_error *e);
void tune_events_free(struct tune_event *all, size_t n);

// The adapter as it was at the end of an epoch.
struct tune_checkpoint {
    char *id, *model, *data; // data: its metrics, as JSON
    int64_t at, step;
};
struct tune_checkpoint *tune_checkpoints(struct store *s, int64_t tune, struct tune_page *page, gyr_error *e);
void tune_checkpoints_free(struct tune_checkpoint *all, size_t n);

// Where an adapter lies: a job's own, or (step > 0) that of a checkpoint. To be freed; NULL: memory is out.
char *tune_path(struct store *s, const char *id, int64_t step, gyr_error *e);

// Forgets that there is a model, and removes the files of it. GYR_USAGE if the owner has none of that name.
bool tune_delete_model(struct store *s, int64_t owner, const char *model, gyr_error *e);

// Forgets jobs that ended without a model 90 days ago, and those of removed keys with all that they made. To be called
// now and then.
bool tunes_sweep(struct store *s, int64_t now, gyr_error *e);

#endif
