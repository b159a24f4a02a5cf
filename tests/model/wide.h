// Models of which every product is shared out by rows, among two cards and among three: matrices of 128 rows and more.
#ifndef TESTS_MODEL_WIDE_H
#define TESTS_MODEL_WIDE_H

#include "model/synth.h"

enum { WIDE_VOCAB = 300, WIDE_MODELS = 4 };

// Dense; its embedding the output matrix, too; a mixture, and one of whose gates the second of three cards has no rows.
static const struct {
    struct shape shape;
    const char *type;
} wide_models[WIDE_MODELS] = {
    {{"wide", "llama", "default", 2, 128, 4, 2, 0, 224, 256, WIDE_VOCAB, 1e6f, false}, "q4_0"},
    {{"wide-tied", "llama", "default", 2, 128, 4, 2, 0, 224, 256, WIDE_VOCAB, 1e6f, true}, "f16"},
    {{"wide-mixture", "llama", "default", 2, 128, 4, 2, 0, 160, 256, WIDE_VOCAB, 1e6f, false, .experts = 6,
      .experts_used = 2},
     "q8_0"},
    {{"narrow-mixture", "llama", "default", 1, 128, 4, 2, 0, 64, 256, WIDE_VOCAB, 1e6f, false, .experts = 4,
      .experts_used = 3},
     "q4_0"}};

static inline bool wide_write(size_t i, const char *path, gyr_error *e) {
    return synth_shape(
        &wide_models[i].shape,
        &(gyr_synth_options){.shape = wide_models[i].shape.name, .type = wide_models[i].type, .output = path}, e);
}

#endif
