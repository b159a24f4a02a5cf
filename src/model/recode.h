// Weights on their way from one file to another: read as floats, written in their new type, slice by slice on all
// threads. Memory use depends on neither the model nor the tensor. Private to src/model.
#ifndef MODEL_RECODE_H
#define MODEL_RECODE_H

#include "format/gguf_write.h"
#include "tensor/type.h"

struct recoder;

struct recode_options {
    const char *input, *output; // in messages
    uint32_t threads;
    uint64_t total; // bytes of all sources, for the progress
    bool (*progress)(void *user, double fraction);
    void *user;
};

// `o` must outlive it.
struct recoder *recoder_new(const struct recode_options *o, gyr_error *e);
void recoder_free(struct recoder *r);

// A tensor to write. Elements are counted in the order in which they are written.
struct recode_source {
    struct text name;
    uint64_t count;       // elements
    enum type from;       // of the source
    const uint8_t *as_is; // not NULL: what is already in its type is copied from here; or else
    void (*copy)(const void *arg, uint64_t first, size_t n, uint8_t *out); // not NULL: it is copied by this
    void (*read)(const void *arg, uint64_t first, size_t n, float *out);
    const void *arg;
};

bool recode(struct recoder *r, struct gguf_writer *w, const struct recode_source *s, enum type to, gyr_error *e);

#endif
