// Writing GGUF v3. Metadata first, then the tensors' descriptions, then their data in the same order, streamed: memory
// use does not depend on the file's size. The file appears under its name only when it is whole.
#ifndef FORMAT_GGUF_WRITE_H
#define FORMAT_GGUF_WRITE_H

#include "format/checkpoint.h"

struct gguf_writer;

struct gguf_writer *gguf_writer_new(const char *path, gyr_error *e);

// Metadata. Errors are kept and reported by gguf_writer_begin().
void gguf_put_string(struct gguf_writer *w, const char *key, struct text s);
void gguf_put_cstring(struct gguf_writer *w, const char *key, const char *s);
void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v);
void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v);
void gguf_put_f32(struct gguf_writer *w, const char *key, float v);
void gguf_put_bool(struct gguf_writer *w, const char *key, bool v);
void gguf_put_strings(struct gguf_writer *w, const char *key, const struct text *s, size_t n);
void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n);
void gguf_put_bytes(struct gguf_writer *w, const char *key, const void *v, size_t n);
void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n);
void gguf_put_bools(struct gguf_writer *w, const char *key, const bool *v, size_t n);
// Copies a key of a GGUF checkpoint as it is.
void gguf_put_value(struct gguf_writer *w, const char *key, const struct value *v);
// All of a vocabulary as tokenizer.* keys.
void gguf_put_vocab(struct gguf_writer *w, const struct vocab *v);

// Makes gguf_writer_begin() fail with "PATH: `why`", if nothing before did.
void gguf_writer_refuse(struct gguf_writer *w, gyr_status status, const char *why);

// Announces a tensor; dims as in struct tensor.
void gguf_put_tensor(struct gguf_writer *w, const char *name, enum type type, int n_dims, const uint64_t *dim);

// Before the head: only the head is to be written, and no disk space is claimed for the weights.
void gguf_writer_hollow(struct gguf_writer *w);

// Writes the head. From here on, data only.
bool gguf_writer_begin(struct gguf_writer *w, gyr_error *e);

// After the head: the file as it can be read already, its weights still zeros, under a name that it has until it is
// ended. *path is NULL for a device.
bool gguf_writer_show(struct gguf_writer *w, const char **path, gyr_error *e);

// Appends `size` bytes of the current tensor's data; moves to the next tensor (with its padding) when it is full.
bool gguf_writer_data(struct gguf_writer *w, const void *data, size_t size, gyr_error *e);

// Bytes of all tensors announced.
uint64_t gguf_writer_bytes(const struct gguf_writer *w);

// Closes. With `keep` the file, flushed to disk, is renamed to its name; otherwise, or on failure, nothing remains.
// Frees the writer in every case.
bool gguf_writer_end(struct gguf_writer *w, bool keep, gyr_error *e);

#endif
