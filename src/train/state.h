// Private to src/train: a checkpoint, which has what is needed to go on as if nothing had happened (docs/training.md).
#ifndef TRAIN_STATE_H
#define TRAIN_STATE_H

#include "base/error.h"

struct state_part {
    float *data;
    size_t n;
};

enum { STATE_PARTS = 4 };

struct state {
    const char *path;
    const char *magic; // 7 characters
    uint64_t training; // everything that the bytes of the result depend on, as a number
    uint64_t steps, done, numbers;
    struct state_part part[STATE_PARTS]; // n 0: there are no more
};

// Folds bytes into a number: any changed word changes it. Not against somebody who wants to deceive.
uint64_t state_mix(uint64_t h, const void *data, size_t n);

// The file appears when it is whole.
bool state_save(const struct state *s, gyr_error *e);

// Fills the parts and `done`, if the file is of the same training; they are not changed otherwise.
bool state_load(struct state *s, gyr_error *e);

#endif
