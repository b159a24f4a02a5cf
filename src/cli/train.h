// Private to src/cli: the parts of gyr train.
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

#include "gyr.h"

// argv[0] is "tokenizer".
int train_tokenizer(int argc, char **argv);

// Writes the curves of a training as a picture beside the model that it gave; *path, free(), is where. Returns the
// exit status, after an error was reported.
int train_curve(const gyr_train *train, const char *output, char **path);

#endif
