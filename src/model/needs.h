// What a model takes of a device's memory.
#ifndef MODEL_NEEDS_H
#define MODEL_NEEDS_H

#include "model/model.h"

// In bytes.
struct needs {
    double layers, rest; // weights: of all layers, and what belongs to none of them
    double tables;       // of `rest`, tables of which rows are looked up and nothing else
    double whole, split; // the same by cards that share rows (cluster/cards.h): what each has, and what they share
    double cache, states;
    double work; // activations of a batch
    uint64_t parameters;
};

// How it is used: so many tokens in the caches of so many sequences.
struct use {
    size_t sequences, tokens;
    gyr_kv_type kv_type;
    size_t rows; // of a batch, at most
};

// The weights, in the form that the model's device has them in. A look-up table stays as the file has it, also where it
// is the output matrix too, in another form.
void needs_weights(struct needs *n, struct model *m);

// Floats of a sequence's state.
size_t needs_state(const struct model *m);

// All of it, on a device whose weights are like those of `like` (NULL: as the file has them). No weight is read.
bool needs_count(struct needs *n, const struct checkpoint *c, const struct use *u, struct device *like, gyr_error *e);

double needs_bytes(const struct needs *n);

// The same of a model that is shared out, in parts. `kept`: its keys, values and states.
struct layer_needs {
    double weights, experts, kept;
};

struct share_needs {
    struct layer_needs *layer; // [layers]
    bool *may;                 // [layers + 1]: it may be cut before this layer
    uint32_t layers;           // 0: it cannot be shared out
    uint32_t mixtures;         // layers that have experts
    double input, output;      // of the side that has the first layer, and of the one that has the last
    double work;               // of any side
};

// Both arrays are freed by needs_share_free().
bool needs_share(struct share_needs *n, const struct checkpoint *c, const struct use *u, struct device *like,
                 gyr_error *e);
void needs_share_free(struct share_needs *n);

// What the layers [from, end) take, with the last one what is behind it, without what is before the first; without the
// experts of layers below `experts`.
double needs_of_layers(const struct share_needs *n, uint32_t from, uint32_t end, uint32_t experts);

#endif
