// Private to gyr tune: what is shown of the examples and of the training.
#ifndef CLI_TUNE_H
#define CLI_TUNE_H

#include "gyr.h"

#include <stdbool.h>

// Every example as the model will see it, with what is learned of it marked.
int tune_show(const gyr_tune *tune, const gyr_tokenizer *tokenizer, bool json);

#endif
