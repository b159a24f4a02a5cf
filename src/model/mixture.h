// Which type each tensor of a model gets: what llama.cpp calls q4_k_m and so on.
#ifndef MODEL_MIXTURE_H
#define MODEL_MIXTURE_H

#include "format/checkpoint.h"

struct mixture {
    const char *name;
    uint32_t file_type; // GGUF's general.file_type (llama_ftype)
    enum type type;     // what most matrices get
};

// Mixture `i`; NULL past the last.
const struct mixture *mixture_row(size_t i);
const struct mixture *mixture_by_name(const char *name); // in any case

// What the rules ask about a model.
struct mixture_facts {
    bool falcon, tied; // tied: no output matrix of its own
    uint64_t layers, heads_per_kv;
};

void mixture_facts(const struct checkpoint *c, struct mixture_facts *f);

// The type tensor t is to be written in; its own where it is not for quantizing.
enum type mixture_type(const struct mixture *m, const struct mixture_facts *f, const struct tensor *t, bool pure);

// `want`, or the nearest type that rows of `cols` weights can be cut into.
enum type type_fitting(enum type want, uint64_t cols);

// Fails, naming all there are.
bool mixture_unknown(const char *type, gyr_error *e);

#endif
