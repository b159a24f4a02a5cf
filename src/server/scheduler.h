// The thread that owns the engine: it has all answers computed together, a step at a time.
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "server/disk.h"
#include "server/job.h"

struct scheduler;
struct served;

enum { MAX_TURNS = 256, PREFIX_WORTH = 64 }; // answers at once; tokens for whose sake a prompt waits for another's

struct scheduler_options {
    unsigned parallel;    // most answers of a model at once
    unsigned waiting;     // most jobs that wait
    size_t prefill;       // most tokens of prompts in a step beside which others are answered
    size_t conversations; // most that are remembered of a model
    uint32_t context;     // most tokens of one; 0: the model's own
    gyr_kv_type kv_type;
    const char *disk; // folder of conversations; NULL: none are kept
    uint64_t disk_bytes;
    struct meter *meter; // of energy; the caller's
    // A line to be told; and that nothing can be computed any more, and why. On the scheduler's thread.
    void (*tell)(void *user, const char *line);
    void (*gone)(void *user, const gyr_error *why);
    void *user;
};

// Starts it.
struct scheduler *scheduler_new(const struct scheduler_options *o, gyr_error *e);

// From any thread: takes the job over (a hold of it), and says SAID_END of each choice or SAID_FAILED in the end.
// False: too many wait; the job stays the caller's.
bool scheduler_add(struct scheduler *s, struct job *job);

// Something to be done on the scheduler's thread, between two steps.
struct errand {
    void (*run)(void *arg);
    void *arg;
    bool waits, done, posted; // the scheduler's
    struct errand *next;
};

// From any thread: has an errand run once, sooner or later. One that is posted already is not posted again; one that
// runs may be. Nothing happens once the thread has ended.
void scheduler_post(struct scheduler *s, struct errand *e);

// From any other thread: the same, waiting for it. Once the thread has ended it runs at once, on the caller's.
void scheduler_call(struct scheduler *s, void (*run)(void *arg), void *arg);

// In an errand: frees what is remembered of a model's conversations with an adapter that no job has any more.
void scheduler_let_go(struct scheduler *s, const struct served *model, const gyr_adapter *adapter);

// In an errand that failed: whether a rank was lost, and the model is on those that are left now (lane_recovers()).
bool scheduler_recovers(struct scheduler *s, struct served *model, gyr_error *e);

// From any thread: frees what it remembers of a model whose jobs are all over.
void scheduler_forget(struct scheduler *s, struct served *model);

// Fails the jobs that are on their way and ends the thread; what comes later is not taken.
void scheduler_stop(struct scheduler *s);
void scheduler_free(struct scheduler *s);

// What it has done and does, for /metrics.
struct scheduler_stats {
    unsigned running, waiting, aside; // answers that were begun; jobs that were not; of the former, set aside
    uint64_t steps, prompt_tokens, cached_tokens, answer_tokens, queried_tokens, disk_tokens;
    uint64_t set_aside, dropped, cancelled, failed, finished[6]; // by gyr_stop
    uint64_t kv_limit, kv_used;                                  // bytes, of all models
    size_t conversations;
    struct disk_stats disk;
};
void scheduler_get_stats(struct scheduler *s, struct scheduler_stats *stats);

#endif
