// An adapter on disk (LoRA: Hu et al., 2021): for some matrices of a model a pair of narrow ones, whose product is
// added to what the matrix gives. A Hugging Face folder as PEFT writes it, or a GGUF file of general.type "adapter".
#ifndef FORMAT_ADAPTER_H
#define FORMAT_ADAPTER_H

#include "format/checkpoint.h"

enum { MAX_RANK = 4096 };

// y += scale * b (a x), beside y = W x. Elements are F32, F16 or BF16, checked. dim[2] is the number of experts where
// one pair is for the stacked matrices of all, else 1.
struct adapter_pair {
    const char *name; // of W, as a model in the same format calls it
    const struct tensor *a, *b;
    uint32_t rank; // a is [rank][cols], b [rows][rank]; checked
    double scale;
};

struct adapter_file {
    struct checkpoint *c; // its keys and tensors; c->source says whose names there are
    struct adapter_pair *pairs;
    size_t n;
};

// NULL on failure: GYR_IO, GYR_MALFORMED, and GYR_UNSUPPORTED, by its name, for anything in it that is not LoRA as
// above.
struct adapter_file *adapter_open(const char *path, gyr_error *e);

// The same of files in memory, which must outlive it: a GGUF image, or a PEFT folder's two files. `name` stands in
// messages.
struct adapter_file *adapter_open_gguf(const char *name, const void *data, size_t size, gyr_error *e);
struct adapter_file *adapter_open_peft(const char *name, const char *config, size_t config_size, const void *weights,
                                       size_t size, gyr_error *e);
void adapter_close(struct adapter_file *f);

#endif
