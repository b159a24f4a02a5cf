// Adapters (LoRA: Hu et al., 2021) bound to a model. What one adds is added to what the model's own matrices give,
// whatever type they are of, in the rows of those sessions that have it.
#ifndef MODEL_ADAPTER_H
#define MODEL_ADAPTER_H

#include "format/adapter.h"
#include "model/model.h"

struct adapter;

// The file may be closed afterwards; the model must outlive it. NULL on failure: GYR_UNSUPPORTED, with what differs, if
// it is for another model, or for matrices that gyr does not adapt.
struct adapter *adapter_bind(const struct adapter_file *f, const struct model *m, gyr_error *e);
void adapter_free(struct adapter *a);

// Writes it again, with the names and rows that its model has in either format: GGUF if the path ends in ".gguf", else
// a folder as PEFT has it. Scales are in the numbers.
bool adapter_save(const struct adapter *a, const char *path, gyr_error *e);

// Bytes that it takes: its numbers, and the forms that the device has made of them.
uint64_t adapter_bytes(const struct adapter *a);

#endif
