// Random weights in a known model's true shape: for measuring speed and memory without the model.
#ifndef MODEL_SYNTH_H
#define MODEL_SYNTH_H

#include "format/checkpoint.h"
#include "model/shapes.h"

bool synth(const gyr_synth_options *o, gyr_error *e);

// The same in a shape of the caller's; NULL: in the one that the options name.
bool synth_shape(const struct shape *shape, const gyr_synth_options *o, gyr_error *e);

// The same shape without the weights: a checkpoint whose matrices are zeros that take neither memory nor disk. Any type
// that gyr reads.
struct checkpoint *synth_hollow(const char *shape, const char *type, gyr_error *e);

// A shape of the caller's, and what the file of it says.
struct blank {
    const struct shape *shape;          // its vocabulary is as large as the tokenizer's
    const char *name;                   // of the model
    const struct checkpoint *tokenizer; // a GGUF file, or a folder
};

// A model that is to be trained from nothing: the same as synth_hollow(), of F32. Texts begin with the token that the
// tokenizer has for that. GYR_USAGE where the numbers of the shape do not fit one another.
struct checkpoint *synth_blank(const struct blank *b, gyr_error *e);

#endif
