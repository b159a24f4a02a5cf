// Hugging Face folder to GGUF: see gyr_convert().
#ifndef MODEL_CONVERT_H
#define MODEL_CONVERT_H

#include "base/error.h"

bool convert(const gyr_convert_options *o, gyr_error *e);

#endif
