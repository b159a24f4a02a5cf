// A model's weights in another type.
#ifndef MODEL_QUANTIZE_H
#define MODEL_QUANTIZE_H

#include "base/error.h"

bool quantize(const gyr_quantize_options *o, gyr_error *e);

#endif
