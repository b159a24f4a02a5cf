// Private to src/train: what stands behind gyr_train.
#ifndef TRAIN_PRETRAIN_H
#define TRAIN_PRETRAIN_H

#include "train/corpus.h"
#include "train/share.h"
#include "train/whole.h"

struct gyr_train {
    gyr_train_options o; // nothing is left to be chosen
    char *output, *state, *name;
    enum type type;               // of the matrices that are written
    struct checkpoint *tokenizer; // from nothing; else NULL
    struct checkpoint *c;
    struct device *d;
    struct model *m;
    struct trainee *t;
    struct whole *w;
    struct tokenizer *tokens;
    struct corpus texts, held;
    struct packing pack, valid;
    struct block *blocks; // of a step, [batch]
    float *leaf, *sum, *mean, *square;
    float *history; // [steps][2]: loss, and bits per byte or NaN
    struct tree *tree;
    struct ranks *ranks; // that share it; NULL: this process alone
    struct told *told;   // of a step's blocks, and of those that it is measured by
    size_t valid_blocks;
    size_t steps, done, warmup;
    uint64_t begins; // the numbers that it begins with, as a number
};

// A step of the optimizer along the sum of a step's gradients.
bool pretrain_move(struct gyr_train *t, double rate, gyr_error *e);

// Writes what is needed to go on, and reads it if it is there.
bool pretrain_save(const struct gyr_train *t, gyr_error *e);
bool pretrain_load(struct gyr_train *t, gyr_error *e);

// Whether all ranks have the same training, and rank 0's for all of them.
bool pretrain_share(struct gyr_train *t, gyr_error *e);

// The loss of the texts that are held out, and bits per byte; NaN where there are none.
bool pretrain_measure(struct gyr_train *t, double *loss, double *bits, gyr_error *e);

// What the model writes behind the prompt, which is drawn by the seed and the step.
bool pretrain_sample(struct gyr_train *t, size_t step, struct buf *out, gyr_error *e);

// Writes the model as a GGUF file.
bool pretrain_write(const struct gyr_train *t, gyr_error *e);

#endif
