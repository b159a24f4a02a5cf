// How a conversion is cut up: the job, and the tensors it will write, listed before the first is written. Private to
// src/model/convert*.c.
#ifndef MODEL_CONVERT_JOB_H
#define MODEL_CONVERT_JOB_H

#include "model/convert_vocab.h"
#include "model/merge.h"
#include "model/mixture.h"
#include "model/model.h"
#include "model/recode.h"

// A tensor to write, row by row. Where it is several matrices, an expert's each, the rows of all are counted through.
struct piece {
    char name[128];
    struct place at;        // in the folder
    const struct tensor *t; // it is of this one, or
    const float *given;     // of these numbers
    uint64_t cols, rows, dim[MAX_DIMS];
    int n_dims;
    uint64_t first;     // the source's row where it begins, where several are one
    uint64_t each;      // rows of one matrix
    uint64_t all, step; // not 0: the source is [matrix][cols][all], and every n-th of all is ours
    uint64_t apart;     // not 0: rows from one matrix to the next in the source, where more lies between them
    uint64_t every;     // with apart: every n-th row; 0: all
    bool indexed;       // each matrix is a tensor of its own
    bool grouped, paired;
    bool unit; // rows are made of length 1
    enum role role;
    bool fine; // F32 whatever the type
    // In place of all that: the source's row of row r, and its column of column c.
    uint64_t (*row_of)(const struct model *m, uint64_t r), (*col_of)(const struct model *m, uint64_t c);
    float plus;
    bool multiplied, decays; // by convert_factor(); is the logarithm of a decay
    enum type to;
    bool adapted; // something is added to it:
    struct merged merged;
};

struct job {
    const gyr_convert_options *o;
    const struct mixture *mixture; // NULL: the types of the folder
    struct merge *merge;           // NULL: there is no adapter
    struct checkpoint *c;
    struct device *device;
    struct model *m;
    struct piece *pieces;
    size_t n, room;
    float *factors[2]; // of rotation: those in use, and LongRoPE's long ones
    struct gguf_vocab vocab;
    struct gguf_writer *w;
    struct recode_options how;
    struct recoder *recoder;
};

// Starts the tensor of a role; `from` is where the folder has it. *out is NULL if it has none. Shape it, at least.
bool convert_start(struct job *j, enum role role, struct place from, struct piece **out, gyr_error *e);
void convert_shape(struct piece *p, int n_dims, uint64_t a, uint64_t b, uint64_t c);

// Adds the tensor of a role; `first` and `rows` (0: all) are the part of the source that it is.
bool convert_add(struct job *j, enum role role, struct place from, uint64_t first, uint64_t rows, gyr_error *e);

// Adds a vector that no folder has as it is. `numbers` must outlive the job's writing.
bool convert_add_numbers(struct job *j, const char *name, const float *numbers, size_t n, gyr_error *e);

// The tensors that scale rotation, those of the layers with a state, those of the experts, and all there are.
bool convert_list_factors(struct job *j, gyr_error *e);
bool convert_list_state(struct job *j, uint32_t layer, gyr_error *e);
bool convert_list_experts(struct job *j, uint32_t layer, gyr_error *e);
bool convert_list(struct job *j, gyr_error *e);

// What row `row` of a tensor is multiplied by where a family's GGUF files have its multipliers in their weights.
float convert_factor(const struct model *m, enum role role, enum part part, uint64_t row);

// Whether a piece's numbers are those of the folder, only in another order of rows, so that blocks can be copied.
bool convert_is_plain(const struct piece *p);

// Writes a piece.
bool convert_write(struct job *j, const struct piece *p, gyr_error *e);

#endif
