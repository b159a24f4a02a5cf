// The table of hyperparameters behind a checkpoint. Private to format/.
#ifndef FORMAT_KEYS_H
#define FORMAT_KEYS_H

#include "format/arena.h"
#include "format/checkpoint.h"
#include "format/index.h"

// GGUF's gguf_metadata_value_type. Hugging Face values are held under the same types.
enum gguf_type {
    GGUF_UINT8 = 0,
    GGUF_INT8 = 1,
    GGUF_UINT16 = 2,
    GGUF_INT16 = 3,
    GGUF_UINT32 = 4,
    GGUF_INT32 = 5,
    GGUF_FLOAT32 = 6,
    GGUF_BOOL = 7,
    GGUF_STRING = 8,
    GGUF_ARRAY = 9,
    GGUF_UINT64 = 10,
    GGUF_INT64 = 11,
    GGUF_FLOAT64 = 12,
    GGUF_TYPES = 13,
};

// Bytes of a number or boolean; 0 for strings, arrays and unknown types.
size_t gguf_type_size(uint32_t type);

// What value.array.items points to.
struct items {
    enum gguf_type type;
    const uint8_t *numbers;     // packed, unaligned
    const struct text *strings; // if type is GGUF_STRING
};

struct key {
    struct text name;
    struct value value;
};

struct keys {
    struct key *items;
    size_t n, room;
    struct index index;
    struct arena arena; // names, strings and arrays that the file does not hold itself
};

// The number or boolean of that type at p, which need not be aligned.
struct value value_load(enum gguf_type type, const void *p);

// An array value over n numbers at `numbers`, or over n strings at `strings`; kind VALUE_NONE when out of memory.
struct value value_array(struct keys *k, enum gguf_type type, size_t n, const void *numbers,
                         const struct text *strings);

// Fails on a name that is there, or is not UTF-8.
bool keys_put(struct keys *k, struct text name, const struct value *v, const char *where, gyr_error *e);
const struct value *keys_get(const struct keys *k, const char *name);
bool keys_uint(const struct keys *k, const char *where, const char *name, uint64_t min, uint64_t max, uint64_t *out,
               gyr_error *e);
void keys_free(struct keys *k);

// How many bytes of a name to show in a message, for "%.*s".
int shown(struct text name);

#endif
