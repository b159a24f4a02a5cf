// The room's own: the thread that has jobs done, and those that do them.
#ifndef SERVER_TUNER_IMPL_H
#define SERVER_TUNER_IMPL_H

#include "server/routes.h"
#include "server/tune_work.h"

#include <pthread.h>

// A job on a thread of its own.
struct tuner_work {
    struct tuner *tuner;
    enum tune_task task;
    pthread_t thread;
    struct tune tune;
    struct served *model;
    atomic_bool stop;                                                    // it is to stop behind an example
    enum { WORK_NONE, WORK_BUSY, WORK_ENDED } is;                        // under the lock
    enum { TELL_NOTHING, TELL_BEGUN, TELL_STEPPED, TELL_WARNING } tells; // likewise: what it waits to have written down
    bool wanted;                                                         // and whether to go on, in return
    struct tune_step step;
    int64_t done, each, every; // steps before it; of an epoch; between two events
    unsigned ranks;            // that train it
    char warning[700];
    bool trouble; // a step could not be written down
    bool lost;    // a rank was lost; it goes on with those that are left
    double rest;  // nothing is looked for until then
    // What came of it.
    gyr_status status;
    gyr_error error; // without paths
    bool in_valid;   // what is wrong is in the validation file
    struct tune_plan plan;
};

struct tuner {
    struct server *server;
    unsigned threads;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t come, heard; // something for the thread; it has written something down
    bool woken, draining, stopping;
    double last;         // when it is stopping: until then
    atomic_bool looking; // somebody looks at what a file has to teach
    atomic_bool left;    // nobody waits for the threads any more
    struct tuner_work works[2];
    gyr_ranks *team;             // the line on which all ranks train; NULL: there is none
    int locks;                   // a file, a byte of which is a job's
    atomic_bool behind;          // what is served may lack what is being written down
    atomic_int_fast64_t version; // of the state, when what is served was last looked up
    size_t models;               // that were served then
    gyr_error said;
};

// Does a job on a new thread, which ends as WORK_ENDED.
bool tuner_work_start(struct tuner_work *w, gyr_error *e);

// What is asked for of a training; `room` has the paths, which are freed with tune_options_free(). False: no memory.
struct tune_paths {
    char *data, *valid, *output; // valid, output: NULL: none
};
bool tune_options_of(struct server *s, const struct tune *t, struct tune_paths *room, gyr_tune_options *o,
                     gyr_error *e);
void tune_paths_free(struct tune_paths *room);

// Puts the names that clients know of files and models in place of paths.
void tune_hide_paths(gyr_error *e, struct server *s, const struct tune *t, const struct tune_paths *paths,
                     const struct served *model, bool *in_valid);

#endif
