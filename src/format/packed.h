// Matrices that a Hugging Face folder has as codes and scales apart, by one of the methods of packed.c. Private to
// format/.
#ifndef FORMAT_PACKED_H
#define FORMAT_PACKED_H

#include "format/parts.h"

enum packed_kind {
    PACKED_FP8,     // a byte a weight, E4M3
    PACKED_NIBBLES, // words of eight weights of a row; zero points in words of eight rows
    PACKED_AWQ,     // words of eight rows, of which those of even number come first; zero points too; [column][row / 8]
};

struct packing {
    enum packed_kind kind;
    const uint8_t *codes, *scales, *zeros; // zeros NULL: 8
    enum type scale_type;
    uint64_t rows, cols, code_cols;  // words of a row of codes
    uint64_t high, wide, scale_cols; // rows and columns that have one scale; scales of a row of scales
};

// Whether a quant_method is one that is read here; and whether it is in all that the folder says of it, once all
// tensors are there: GYR_UNSUPPORTED if not.
bool packed_reads(struct text method);
bool packed_check(const struct checkpoint *c, gyr_error *e);

// Bytes of an element type that such folders have besides gyr's; 0 for others, and where the weights are by no such
// method.
size_t packed_dtype_size(const struct checkpoint *c, const char *dtype);

// Once all tensors are there: those that belong together become one. Of a folder that packed_check() refuses, all stay
// as they are.
bool packed_settle(struct checkpoint *c, gyr_error *e);

// Elements [first, first + n) of a packed tensor, as floats and as what they are in its type.
void packed_decode(const struct tensor *t, uint64_t first, size_t n, float *out);
void packed_blocks(const struct tensor *t, uint64_t first, size_t n, uint8_t *out);

// Whether all scales are halves; whether all are powers of two that keep a product with an E4M3 in a bfloat16's range.
bool packed_scales_are_halves(const struct packing *p);
bool packed_scales_are_powers(const struct packing *p);

#endif
