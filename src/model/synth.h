// Random weights in a known model's true shape: for measuring speed and memory without the model.
#ifndef MODEL_SYNTH_H
#define MODEL_SYNTH_H

#include "base/error.h"

bool synth(const gyr_synth_options *o, gyr_error *e);

#endif
