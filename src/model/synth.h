// Random weights in a known model's true shape: for measuring speed and memory without the model.
#ifndef MODEL_SYNTH_H
#define MODEL_SYNTH_H

#include "format/checkpoint.h"

bool synth(const gyr_synth_options *o, gyr_error *e);

// The same shape without the weights: a checkpoint whose matrices are zeros that take neither memory nor disk. Any type
// that gyr reads.
struct checkpoint *synth_hollow(const char *shape, const char *type, gyr_error *e);

#endif
