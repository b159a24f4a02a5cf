// Private to src/cli: the parts of gyr train.
#ifndef CLI_TRAIN_H
#define CLI_TRAIN_H

// argv[0] is "tokenizer".
int train_tokenizer(int argc, char **argv);

#endif
