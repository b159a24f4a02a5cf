// Element types: what the bytes of a tensor mean. Decoding and encoding, nothing else.
//
// The numbers are GGUF's (ggml_type). A row of a quantized type is a run of blocks; a block packs `block` weights
// into `bytes` bytes. All quantized types decode to one common form, `struct codes`, from which both the floats
// (bit for bit as the `gguf` Python package decodes them) and every integer kernel start.
#ifndef TENSOR_TYPE_H
#define TENSOR_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum type {
    TYPE_F32 = 0,
    TYPE_F16 = 1,
    TYPE_Q4_0 = 2,
    TYPE_Q4_1 = 3,
    TYPE_Q5_0 = 6,
    TYPE_Q5_1 = 7,
    TYPE_Q8_0 = 8,
    TYPE_Q2_K = 10,
    TYPE_Q3_K = 11,
    TYPE_Q4_K = 12,
    TYPE_Q5_K = 13,
    TYPE_Q6_K = 14,
    TYPE_IQ2_XXS = 16,
    TYPE_IQ2_XS = 17,
    TYPE_IQ3_XXS = 18,
    TYPE_IQ1_S = 19,
    TYPE_IQ4_NL = 20,
    TYPE_IQ3_S = 21,
    TYPE_IQ2_S = 22,
    TYPE_IQ4_XS = 23,
    TYPE_IQ1_M = 29,
    TYPE_BF16 = 30,
    TYPE_TQ1_0 = 34,
    TYPE_TQ2_0 = 35,
    TYPE_MXFP4 = 39,
    TYPE_NVFP4 = 40,
    TYPE_Q1_0 = 41,
    TYPE_Q2_0 = 42,
    TYPE_LIMIT = 64, // all numbers are below
};

// 32 consecutive weights of a quantized row:  w[i] = (d * sc[i / 16]) * q[i] - (dm * mn[i / 16])
// in float arithmetic, each operation rounded. Types without sub-scales have sc = 1; without an offset, dm = 0.
struct codes {
    float d, dm;
    int32_t sc[2], mn[2];
    int8_t q[32];
};

struct type_info {
    const char *name; // lower case, as in "q4_0"
    uint16_t block;   // weights of a block
    uint16_t bytes;   // bytes of a block
    bool quantized;   // decodes through `unpack`
    bool offset;      // dm is used
    // Decodes `groups` groups of 32 weights, from group `first` of the row on. `first` need not be at a block's start.
    void (*unpack)(const void *row, size_t first, size_t groups, struct codes *out);
    // Encodes n weights (a multiple of `block`) into a row. Blocks of 32 with whole codes as the `gguf` package writes
    // them; the others by a search for the scales that lose least (fit.h). NULL: the type is read only.
    void (*encode)(const float *src, size_t n, void *row);
};

// Facts of a type; NULL for a number gyr does not know.
const struct type_info *type_info(uint32_t type);

// Type by its name, in any case; -1 if there is none. "q3_k" style names only (mixtures are not types).
int type_by_name(const char *name);

// Names of all types, and of those that can be encoded, separated by ", ": for error messages.
const char *type_names(void);
const char *type_names_encoded(void);

// Bytes of a row of n weights; 0 if n is no multiple of the block or the product overflows.
size_t type_row_bytes(enum type type, uint64_t n);

// Decodes weights [first, first + n) of a row to floats; for quantized types both are multiples of 32.
void type_decode(enum type type, const void *row, size_t first, size_t n, float *out);

float f16_to_f32(uint16_t h);
uint16_t f32_to_f16(float f); // round to nearest even
float bf16_to_f32(uint16_t h);
uint16_t f32_to_bf16(float f); // round to nearest even

#endif
