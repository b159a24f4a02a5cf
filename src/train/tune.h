// Private to src/train: what stands behind gyr_tune.
#ifndef TRAIN_TUNE_H
#define TRAIN_TUNE_H

#include "train/adamw.h"
#include "train/lessons.h"
#include "train/trainee.h"
#include "train/tree.h"

struct gyr_tune {
    gyr_model *model;
    const struct model *m;
    struct trainee *t;
    gyr_tune_options o; // nothing is left to be chosen; no strings but `output`
    char *output, *state;
    struct lessons lessons, valid;
    float *numbers; // what is trained
    float *leaf;    // an example's gradients
    float *sum;     // a step's
    struct adamw adam;
    struct tree *tree;
    size_t steps, each, warmup; // each: steps of an epoch
    size_t *order;              // of the examples in this epoch
    size_t epoch;               // that `order` is of, from 1
    char checksum[65];          // of the model
    struct ranks *ranks;        // that share it; NULL: this process alone
    struct told *told;          // of a step's examples, and of those that validate
};

// What is to get a pair, by words; NULL: what gets one usually.
struct tune_targets {
    const struct model *m;
    const struct trainee *t;
    const char *words;
};
bool tune_targeted(const struct tune_targets *t, uint32_t layer, unsigned slot);

// GYR_USAGE, naming what there is, if a word says nothing of this model.
bool tune_targets_check(const struct tune_targets *t, gyr_error *e);

// A step of the optimizer along `sum`.
bool tune_move(struct gyr_tune *t, double rate, gyr_error *e);

// The order of the examples in an epoch, from 0.
void tune_shuffle(struct gyr_tune *t, size_t epoch);

// Writes what is needed to go on, and reads it if it is there. The file appears when it is whole.
bool tune_state_save(const struct gyr_tune *t, gyr_error *e);
bool tune_state_load(struct gyr_tune *t, gyr_error *e);

// Whether all ranks have the same training, and rank 0's for all of them.
bool tune_state_share(struct gyr_tune *t, gyr_error *e);

// Writes the adapter; with `try`, only whether it could be written.
bool tune_write(const struct gyr_tune *t, bool try, gyr_error *e);

#endif
