// How a matrix lies on a card: docs/devices.md.
#ifndef DEVICE_GPU_LAY_H
#define DEVICE_GPU_LAY_H

#include "tensor/type.h"

// A quantized type's blocks there: each has `body` bytes, and `rest` bytes in an array of their own.
struct lay {
    enum type type;
    size_t groups; // of 32 weights
    size_t body, rest;
};

struct lay lay_of(enum type type);

// `rows` rows of the file, of `blocks` blocks each, to where their bodies and their rests go.
void lay_rows(const struct lay *l, const uint8_t *file, size_t rows, size_t blocks, uint8_t *body, uint8_t *rest);

// The entries of a type's grid as kernels take them (kernels/types_grid.h): returns how many words there are, 0 for a
// type without a grid; writes them to `out` if that is not NULL.
size_t lay_grid(enum type type, uint32_t *out);

#endif
