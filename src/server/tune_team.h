// Private to src/server: a fine-tuning job that all ranks of a server train, each some of a step's examples, while the
// server answers. Rank 0 has the job, its files and its checkpoints (tuner_work.c); the others are told what it is.
#ifndef SERVER_TUNE_TEAM_H
#define SERVER_TUNE_TEAM_H

#include "gyr.h"

// On rank 0: sends the job that `o` describes to the others, its data with it. They then open it, and all agree twice:
// on whether everybody can train it, and, once rank 0 has written that down, on whether it is wanted.
bool team_call(gyr_ranks *beside, const gyr_tune_options *o, gyr_error *e);

#endif
