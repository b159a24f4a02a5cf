#include "format/gguf_write.h"

#include "base/buf.h"
#include "base/out.h"
#include "base/utf8.h"
#include "format/parts.h"

#include <stdlib.h>
#include <string.h>

enum { VERSION = 3, DEFAULT_ALIGNMENT = 32, MAX_ALIGNMENT = 1 << 20 };

struct gguf_writer {
    struct out *out;
    char *path;
    struct arena names;
    struct text *keys;
    size_t n_keys, key_room;
    struct index key_index;
    struct buf head; // the keys, encoded
    struct tensor *tensors;
    size_t n_tensors, tensor_room;
    struct index tensor_index;
    uint64_t alignment, size;   // of the whole file, once its head is written
    size_t current;             // tensor being written
    uint64_t filled;            // its bytes so far
    bool hollow, begun, failed; // failed: `error` holds the first failure
    gyr_error error;
};

struct gguf_writer *gguf_writer_new(const char *path, gyr_error *e) {
    struct gguf_writer *w = calloc(1, sizeof *w);
    if (!w) return fail_memory(e, path), NULL;
    w->alignment = DEFAULT_ALIGNMENT;
    w->path = strdup(path);
    w->out = w->path ? out_open(path, 0666, e) : NULL;
    if (w->out) return w;
    if (!w->path) fail_memory(e, path);
    gguf_writer_end(w, false, NULL);
    return NULL;
}

// Keeps the first failure.
#define REFUSE(w, ...) ((w)->failed ? false : ((w)->failed = true, fail(&(w)->error, __VA_ARGS__)))

void gguf_writer_refuse(struct gguf_writer *w, gyr_status status, const char *why) {
    REFUSE(w, status, "%s: %s", w->path, why);
}

static void put_bytes(struct buf *b, const void *p, size_t n) { buf_append(b, p, n); }
static void put_u32(struct buf *b, uint32_t v) { put_bytes(b, &v, sizeof v); }
static void put_u64(struct buf *b, uint64_t v) { put_bytes(b, &v, sizeof v); }

static void put_text(struct buf *b, struct text s) {
    put_u64(b, s.size);
    put_bytes(b, s.data, s.size);
}

static bool put_key(struct gguf_writer *w, const char *key, enum gguf_type type) {
    if (w->failed) return false;
    size_t n = strlen(key);
    struct text name = {arena_copy(&w->names, (struct text){key, n}), n};
    if (!ARRAY_GROW(w->keys, w->n_keys, w->key_room) || !name.data)
        return REFUSE(w, GYR_NO_MEMORY, "%s: out of memory; close other programs", w->path);
    if (!utf8_valid(key, n)) return REFUSE(w, GYR_FAILED, "%s: a key to be written is not UTF-8", w->path);
    w->keys[w->n_keys] = name;
    if (index_add(&w->key_index, w->keys, sizeof *w->keys, w->n_keys) != INDEX_ADDED)
        return REFUSE(w, GYR_FAILED, "%s: key %.*s would be written twice", w->path, shown(name), key);
    w->n_keys++;
    put_text(&w->head, name);
    put_u32(&w->head, type);
    return true;
}

static void put_number(struct gguf_writer *w, const char *key, enum gguf_type type, const void *p) {
    if (put_key(w, key, type)) put_bytes(&w->head, p, gguf_type_size(type));
}

static void put_numbers(struct gguf_writer *w, const char *key, enum gguf_type type, size_t n, const void *p) {
    if (!put_key(w, key, GGUF_ARRAY)) return;
    put_u32(&w->head, type);
    put_u64(&w->head, n);
    put_bytes(&w->head, p, n * gguf_type_size(type));
}

void gguf_put_string(struct gguf_writer *w, const char *key, struct text s) {
    if (!utf8_valid(s.data, s.size)) REFUSE(w, GYR_FAILED, "%s: the text of key %s is not UTF-8", w->path, key);
    if (put_key(w, key, GGUF_STRING)) put_text(&w->head, s);
}

void gguf_put_cstring(struct gguf_writer *w, const char *key, const char *s) {
    gguf_put_string(w, key, (struct text){s, strlen(s)});
}

void gguf_put_strings(struct gguf_writer *w, const char *key, const struct text *s, size_t n) {
    if (!put_key(w, key, GGUF_ARRAY)) return;
    put_u32(&w->head, GGUF_STRING);
    put_u64(&w->head, n);
    for (size_t i = 0; i < n; i++) {
        if (!utf8_valid(s[i].data, s[i].size)) REFUSE(w, GYR_FAILED, "%s: a text of key %s is not UTF-8", w->path, key);
        put_text(&w->head, s[i]);
    }
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t v) { put_number(w, key, GGUF_UINT32, &v); }
void gguf_put_i32(struct gguf_writer *w, const char *key, int32_t v) { put_number(w, key, GGUF_INT32, &v); }
void gguf_put_f32(struct gguf_writer *w, const char *key, float v) { put_number(w, key, GGUF_FLOAT32, &v); }

void gguf_put_bool(struct gguf_writer *w, const char *key, bool v) { put_number(w, key, GGUF_BOOL, &(uint8_t){v}); }

void gguf_put_f32s(struct gguf_writer *w, const char *key, const float *v, size_t n) {
    put_numbers(w, key, GGUF_FLOAT32, n, v);
}

void gguf_put_i32s(struct gguf_writer *w, const char *key, const int32_t *v, size_t n) {
    put_numbers(w, key, GGUF_INT32, n, v);
}

void gguf_put_bools(struct gguf_writer *w, const char *key, const bool *v, size_t n) {
    _Static_assert(sizeof *v == 1, "a bool is a byte of 0 or 1, as in GGUF");
    put_numbers(w, key, GGUF_BOOL, n, v);
}

void gguf_put_bytes(struct gguf_writer *w, const char *key, const void *v, size_t n) {
    put_numbers(w, key, GGUF_UINT8, n, v);
}

// A GGUF type for a value that did not come from a file.
static enum gguf_type choose_type(const struct value *v) {
    if (v->stored) return (enum gguf_type)(v->stored - 1);
    switch (v->kind) {
    case VALUE_UINT: return v->u <= UINT32_MAX ? GGUF_UINT32 : GGUF_UINT64;
    case VALUE_INT: return v->i >= INT32_MIN && v->i <= INT32_MAX ? GGUF_INT32 : GGUF_INT64;
    case VALUE_FLOAT: return GGUF_FLOAT64;
    case VALUE_BOOL: return GGUF_BOOL;
    default: return GGUF_STRING;
    }
}

static void put_array(struct gguf_writer *w, const char *key, const struct value *v) {
    const struct items *items = v->array.items;
    if (items->type == GGUF_STRING)
        gguf_put_strings(w, key, items->strings, v->array.n);
    else
        put_numbers(w, key, items->type, v->array.n, items->numbers);
}

void gguf_put_value(struct gguf_writer *w, const char *key, const struct value *v) {
    if (!strcmp(key, "general.alignment")) {
        if (v->kind != VALUE_UINT || v->u < 8 || v->u > MAX_ALIGNMENT || (v->u & (v->u - 1)))
            REFUSE(w, GYR_FAILED, "%s: an alignment must be a power of two from 8 to %d", w->path, MAX_ALIGNMENT);
        else
            w->alignment = v->u;
    }
    enum gguf_type type = choose_type(v);
    float f = (float)(v->kind == VALUE_FLOAT ? v->f : 0);
    switch (v->kind) {
    case VALUE_NONE: break;
    case VALUE_STRING: gguf_put_string(w, key, v->s); break;
    case VALUE_ARRAY: put_array(w, key, v); break;
    case VALUE_BOOL: gguf_put_bool(w, key, v->b); break;
    case VALUE_FLOAT: put_number(w, key, type, type == GGUF_FLOAT32 ? (const void *)&f : &v->f); break;
    default: put_number(w, key, type, &v->u); break; // little endian: the low bytes come first
    }
}

void gguf_put_tensor(struct gguf_writer *w, const char *name, enum type type, int n_dims, const uint64_t *dim) {
    if (w->failed) return;
    size_t n = strlen(name);
    struct tensor t = {.name = {arena_copy(&w->names, (struct text){name, n}), n}, .type = type, .n_dims = n_dims};
    if (!ARRAY_GROW(w->tensors, w->n_tensors, w->tensor_room) || !t.name.data) {
        REFUSE(w, GYR_NO_MEMORY, "%s: out of memory; close other programs", w->path);
        return;
    }
    for (int i = 0; i < MAX_DIMS; i++) t.dim[i] = i < n_dims ? dim[i] : 1;
    if (n_dims < 0 || n_dims > MAX_DIMS || !type_info(type) || !tensor_measure(&t, w->path, NULL)) {
        REFUSE(w, GYR_USAGE, "%s: tensor %.*s of this shape cannot be %s; choose another type", w->path, shown(t.name),
               name, type_info(type) ? type_info(type)->name : "of an unknown type");
        return;
    }
    w->tensors[w->n_tensors] = t;
    if (index_add(&w->tensor_index, w->tensors, sizeof t, w->n_tensors) == INDEX_ADDED)
        w->n_tensors++;
    else
        REFUSE(w, GYR_FAILED, "%s: tensor %.*s would be written twice", w->path, shown(t.name), name);
}

static uint64_t padding(const struct gguf_writer *w, uint64_t at) { return -at & (w->alignment - 1); }

static bool report(const struct gguf_writer *w, gyr_error *e) {
    if (e) *e = w->error;
    return false;
}

// Appends to `b` everything that stands before the data. Returns the number of bytes of data that will follow.
static uint64_t put_head(struct gguf_writer *w, struct buf *b) {
    uint64_t offset = 0;
    buf_puts(b, "GGUF");
    put_u32(b, VERSION);
    put_u64(b, w->n_tensors);
    put_u64(b, w->n_keys);
    put_bytes(b, w->head.data, w->head.size);
    for (size_t i = 0; i < w->n_tensors; i++) {
        const struct tensor *t = &w->tensors[i];
        put_text(b, t->name);
        put_u32(b, (uint32_t)t->n_dims);
        put_bytes(b, t->dim, sizeof t->dim[0] * (size_t)t->n_dims);
        put_u32(b, t->type);
        put_u64(b, offset);
        offset += t->bytes;
        offset += padding(w, offset);
    }
    for (uint64_t n = w->n_tensors ? padding(w, b->size) : 0; n; n--) buf_putc(b, 0);
    return offset;
}

void gguf_writer_hollow(struct gguf_writer *w) { w->hollow = true; }

bool gguf_writer_begin(struct gguf_writer *w, gyr_error *e) {
    if (w->failed) return report(w, e);
    struct buf b = {0};
    uint64_t data = put_head(w, &b);
    w->begun = true;
    w->size = b.size + data;
    if (b.failed || w->head.failed)
        REFUSE(w, GYR_NO_MEMORY, "%s: out of memory; close other programs", w->path);
    else if ((!w->hollow && !out_reserve(w->out, w->size, &w->error)) || !out_write(w->out, b.data, b.size, &w->error))
        w->failed = true;
    buf_free(&b);
    buf_free(&w->head);
    return !w->failed || report(w, e);
}

bool gguf_writer_show(struct gguf_writer *w, const char **path, gyr_error *e) {
    if (!w->begun) REFUSE(w, GYR_FAILED, "%s: has no head yet", w->path);
    if (!w->failed) w->failed = !out_show(w->out, w->size, path, &w->error);
    return !w->failed || report(w, e);
}

static bool end_tensor(struct gguf_writer *w) {
    static const char zeros[4096];
    uint64_t left = padding(w, w->filled);
    for (uint64_t n; left; left -= n) {
        n = left < sizeof zeros ? left : sizeof zeros;
        if (!out_write(w->out, zeros, n, &w->error)) return false;
    }
    w->current++;
    w->filled = 0;
    return true;
}

bool gguf_writer_data(struct gguf_writer *w, const void *data, size_t size, gyr_error *e) {
    if (!w->begun || w->current == w->n_tensors || size > w->tensors[w->current].bytes - w->filled)
        REFUSE(w, GYR_FAILED, "%s: more data than its tensors have room for", w->path);
    if (w->failed) return report(w, e);
    w->failed = !out_write(w->out, data, size, &w->error);
    w->filled += size;
    if (!w->failed && w->filled == w->tensors[w->current].bytes) w->failed = !end_tensor(w);
    return !w->failed || report(w, e);
}

uint64_t gguf_writer_bytes(const struct gguf_writer *w) {
    uint64_t sum = 0;
    for (size_t i = 0; i < w->n_tensors; i++) sum += w->tensors[i].bytes;
    return sum;
}

bool gguf_writer_end(struct gguf_writer *w, bool keep, gyr_error *e) {
    if (keep && (!w->begun || w->current < w->n_tensors))
        REFUSE(w, GYR_FAILED, "%s: only %zu of its %zu tensors were written", w->path, w->current, w->n_tensors);
    bool ok = !keep || !w->failed || report(w, e);
    if (w->out) ok = out_close(w->out, keep && ok, e) && ok;
    free(w->path);
    free(w->keys);
    free(w->tensors);
    buf_free(&w->head);
    index_free(&w->key_index);
    index_free(&w->tensor_index);
    arena_free(&w->names);
    free(w);
    return ok;
}
