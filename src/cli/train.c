// gyr train: a model from nothing, or a vocabulary.
#include "train.h"
#include "options.h"
#include "output.h"
#include "verbs.h"

#include <string.h>

int verb_train(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "tokenizer")) return train_tokenizer(argc - 1, argv + 1);
    return usage_error("train: needs 'tokenizer'");
}
