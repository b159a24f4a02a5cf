// Several machines: what a verb that runs on them does beside its own work.
#ifndef CLI_RANKS_H
#define CLI_RANKS_H

#include "gyr.h"

// Joins the processes that a launcher has started with this one, if one has: those behind rank 0 print nothing then.
// False after the error was printed, by rank 0: *status is what to exit with.
bool team_join(int *status);

// Whether one model or more can be served here; false after the error was printed.
bool team_serves(bool one);

// What a rank behind rank 0 does in place of the verb: all of its part. False on rank 0, and where there are no others.
bool team_follow(const char *model, gyr_model_options options, int *status);

gyr_ranks *team_joined(void);
bool team_follows(void); // behind rank 0

// Has each rank open models of its own from now on.
void team_whole(void);

// What --split says, or what is usual without; and the options of a model at this path (NULL: the poet) with what this
// rank brings.
#define SPLITS "layers|rows"
gyr_split split_named(const char *name, gyr_split usual);
void team_share(const char *path, gyr_model_options *options);

// The end of the program: the status to exit with.
int team_end(int status);

// Of a verb that does not run on several machines, where it is started there: false after the error was printed.
bool team_none(const char *verb);

#endif
