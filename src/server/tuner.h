// Fine-tuning jobs at work: one is trained and one is checked at a time, each on a thread that the system gives only
// the time that nothing else wants (SCHED_IDLE, unless --tune-fair), with a mapping of the model's file of its own. So
// answers are not kept waiting, and the model may be unloaded meanwhile. What is written down on the way is written by
// a thread of the usual kind: one that waits for time would keep the state's lock.
#ifndef SERVER_TUNER_H
#define SERVER_TUNER_H

#include "server/routes.h"
#include "server/tunes.h"

struct tuner;

// Starts it: threads that training computes on; 0: one for each CPU.
struct tuner *tuner_new(struct server *s, unsigned threads, gyr_error *e);

// From any thread: there is something new; a job is to stop, perhaps. NULL is allowed, here and below.
void tuner_wake(struct tuner *t);

// From any thread: the job of this id, if it is on its way here, is stopped behind the example that is being computed.
void tuner_hold(struct tuner *t, const char *id);

// From any thread: a job was cancelled. What it has written goes, unless who works on it will see to that.
void tuner_tidy(struct tuner *t, const struct tune *job);

// From any thread: nothing is begun any more, and what is on its way stops and goes on at the next start.
void tuner_drain(struct tuner *t);

// Ends the threads. One that has not come to the end of an example within ten seconds is left alone: the process is
// about to end, and what it has not written is computed again.
void tuner_free(struct tuner *t);

// Brings the adapters that are served to what the state says was trained here. *e says what is wrong with the state.
bool tuner_serve(struct server *s, gyr_error *e);

// From any thread, before models are listed or one is said to be missing: a client that has read that a job succeeded,
// from this process or another of the same state, finds its model.
void tuner_see(struct server *s);

// The adapter of that name, as tuned_find() gives it, once more if it may have been made meanwhile. NULL: there is none
// that may be had.
struct tuned *tuner_find(struct server *s, const char *name, int64_t sees);

// What a thread does first that may only have the time that is left; so do the threads that it makes.
void tuner_step_back(void);

#endif
