// Private to src/model: adapters, and how the rows of a file's matrices are found in a model's.
#ifndef MODEL_ADAPT_H
#define MODEL_ADAPT_H

#include "model/adapter.h"

struct adapter {
    const struct model *m;
    struct lora *of; // [m->adaptable], by number (struct linear); no rows: nothing is added
    size_t widest;   // floats of a row of scratch: rank and rows of any of them
    bool *experts;   // [h.layers]: some of the layer's experts are adapted
    float *numbers;  // owner of what is in them
    size_t n_numbers;
    uint8_t *forms; // that the device has made of them
    uint64_t form_bytes;
    struct adapter_scaling scaling; // of what was made; else the scales are in the numbers
};

// The output matrix's; those of the layers come behind it. 0 is nobody's.
enum { ADAPTS_OUTPUT = 1, ADAPTS_LAYERS };

// Gives every linear map that may be adapted its number. An expert's three follow each other, and the next expert's
// these.
void adapt_number(struct model *m);

// How somebody has the rows of matrices: an adapter's file, a model as it is bound, or a model's file.
struct row_order {
    bool grouped;      // queries, keys and values in one matrix: group by group
    enum pairs pairs;  // elements of a head that are rotated together
    bool qkv, gate_up; // they are in one
};

// Row `row` of the matrix that does `role`.
struct spot {
    enum role role;
    size_t row;
};

// Where a row of one is in the other's. `wide` is the number of gates where the role is one of gates and ups together.
struct spot adapt_spot(const struct model *m, const struct layer_plan *p, const struct row_order *from,
                       const struct row_order *to, size_t wide, enum role role, size_t row);

// The roles of matrices that can be adapted, in the order in which names are tried.
extern const enum role adapt_roles[];
extern const size_t adapt_roles_n;

// The linear map that a layer has for a role; expert `index`'s where it is one of experts. NULL: it has none. The
// projection of per-layer inputs, which all layers have together, is the first one's.
struct linear *adapt_linear(const struct model *m, const struct layer *l, enum role role, uint32_t index);

// Where a matrix of that name is. Families whose layers take turns may have one name for what is attention's in some
// layers, and a state's in others.
bool adapt_place(const struct model *m, const struct family *f, enum checkpoint_source source, const char *name,
                 struct place *at);

// Whether it is of one expert among several.
bool adapt_of_experts(enum role role);

// Whether it is of a layer that keeps a state.
bool adapt_of_state(enum role role);

// How many gates there are in a matrix that holds them and what they gate.
size_t adapt_wide(const struct model *m, const struct layer *l, enum role role);

#endif
