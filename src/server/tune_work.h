// The work on fine-tuning jobs, as far as the state has it: what is to be done, and what is written down on the way.
#ifndef SERVER_TUNE_WORK_H
#define SERVER_TUNE_WORK_H

#include "server/tunes.h"

// The next job behind `after` (a seq; 0: the first) whose files are to be checked, or that is to be trained: one that
// was under way when its process died comes before those that wait. False, with e->status 0: there is none.
enum tune_task { TUNE_CHECK, TUNE_TRAIN };
bool tune_due(struct store *s, enum tune_task task, int64_t after, struct tune *t, gyr_error *e);

// What a check has found.
struct tune_plan {
    char checksum[TUNE_CHECKSUM + 1];
    int64_t epochs, batch, steps, examples, learned, longest, tokens; // tokens: of an epoch
    uint64_t bytes;                                                   // of memory that training takes
};
bool tune_checked(struct store *s, const struct tune *t, const struct tune_plan *p, int64_t now, gyr_error *e);

// It is trained from now on, from step `done` on. False with GYR_CANCELLED: it is not to be, any more.
// `ranks`: that train it together.
bool tune_begin(struct store *s, const struct tune *t, int64_t done, unsigned ranks, int64_t now, gyr_error *e);

// Something that whoever looks at the job is to know.
bool tune_warn(struct store *s, const struct tune *t, const char *message, int64_t now, gyr_error *e);

// A step. NaN: not measured.
struct tune_step {
    int64_t step, epoch, tokens; // tokens: of examples so far
    double loss, accuracy, valid_loss, valid_accuracy;
    double margin, valid_margin; // of pairs of answers
    int64_t finish_at;
    bool noted;      // to be an event
    bool checkpoint; // the adapter was written as it is now
};
// Writes it down; one that is there already (of a run that died) stays as it is. False with GYR_CANCELLED: the job is
// not to go on.
bool tune_stepped(struct store *s, const struct tune *t, const struct tune_step *step, int64_t now, gyr_error *e);

// It cannot be: why. `param` (may be NULL) is the member of the request that is wrong.
bool tune_fail(struct store *s, const struct tune *t, const char *code, const char *param, const char *message,
               int64_t now, gyr_error *e);

// The adapter is whole: the metrics become a file, and the adapter a model, whose name goes to `t`. GYR_CANCELLED: the
// job was cancelled meanwhile.
bool tune_succeed(struct store *s, struct tune *t, int64_t now, gyr_error *e);

// What a job's adapter is called, or (step > 0) that of a checkpoint.
void tune_name(const struct tune *t, int64_t step, char name[TUNE_MODEL + 1]);

// Calls fn for each adapter that there is, until it returns false.
struct tune_made {
    const char *model, *id, *base, *checksum;
    int64_t step, owner; // owner: OWNER_ANY: everybody's
};
bool tune_each_made(struct store *s, bool (*fn)(void *arg, const struct tune_made *m), void *arg, gyr_error *e);

#endif
