// Adapters (LoRA: Hu et al., 2021) bound to a model. What one adds is added to what the model's own matrices give,
// whatever type they are of, in the rows of those sessions that have it.
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "format/adapter.h"
#include "format/adapter_write.h"
#include "model/model.h"

struct adapter;

// The file may be closed afterwards; the model must outlive it. NULL on failure: GYR_UNSUPPORTED, with what differs, if
// it is for another model, or for matrices that gyr does not adapt.
struct adapter *adapter_bind(const struct adapter_file *f, const struct model *m, gyr_error *e);
void adapter_free(struct adapter *a);

// The scale that a family multiplies what a matrix gives by, and that its adapter's part is multiplied by, too.
float adapter_multiplier(const struct model *m, enum role role);

// Whether there is such a scale that is not 1.
bool adapter_multiplies(const struct model *m);

// What a family `f` of the model's architecture calls a matrix of the model in either format; false if it has no name
// there.
bool adapter_name(const struct model *m, const struct family *f, enum checkpoint_source to, struct place at,
                  char name[128]);

// What training made of a linear map: a [rank][cols], b [rows][rank], without multipliers.
struct adapter_pair_made {
    uint32_t number; // of the linear map
    size_t rank;
    const float *a, *b;
};

// An adapter of such pairs, which are copied; it can be saved, and not be used.
struct adapter *adapter_make(const struct model *m, const struct adapter_scaling *scaling,
                             const struct adapter_pair_made *pairs, size_t n, gyr_error *e);

// Writes it again, with the names and rows that its model has in either format: GGUF if the path ends in ".gguf", else
// a folder as PEFT has it. Scales are in the numbers, but for the folder of what was made, whose config says them.
bool adapter_save(const struct adapter *a, const char *path, gyr_error *e);

// Whether that format has a place for all of it; nothing is written.
bool adapter_can_save(const struct adapter *a, const char *path, gyr_error *e);

// Bytes that it takes: its numbers, and the forms that the device has made of them.
uint64_t adapter_bytes(const struct adapter *a);

#endif
