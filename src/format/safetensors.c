// Reading safetensors (huggingface/safetensors, "Format"): the length of a JSON header in 8 bytes, the header, data.
#include "format/hf.h"
#include "format/json.h"
#include "format/packed.h"

#include <string.h>

enum { MAX_HEADER = 100 * 1000 * 1000 }; // as in the reference implementation

static const struct {
    const char *name;
    enum type type;
} dtypes[] = {{"F32", TYPE_F32}, {"F16", TYPE_F16}, {"BF16", TYPE_BF16}};

struct header {
    struct checkpoint *c;
    const char *path;
    const uint8_t *data; // of the tensors
    size_t size;
    gyr_error *e;
};

static bool malformed(const struct header *h, const struct tensor *t, const char *what) {
    return fail(h->e, GYR_MALFORMED, "%s: tensor %.*s %s; the file is damaged, get it again", h->path, shown(t->name),
                t->name.data, what);
}

// `*bytes`: it is of bytes, and half of a matrix.
static bool read_type(const struct header *h, const json_t *j, struct tensor *t, bool *bytes) {
    struct text name = json_text(json_object_get(j, "dtype"));
    if (!name.data) return malformed(h, t, "has no dtype");
    *bytes = !strcmp(name.data, "U8") && mxfp4_half(t->name);
    t->dtype = packed_dtype(h->c, name.data);
    if (*bytes || t->dtype) return true;
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name.data)) {
            t->type = dtypes[i].type;
            return true;
        }
    return fail(
        h->e, GYR_UNSUPPORTED,
        "%s: tensor %.*s has element type %.*s; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF",
        h->path, shown(t->name), t->name.data, shown(name), name.data);
}

// Shapes are written with the contiguous dimension last.
static bool read_shape(const struct header *h, const json_t *j, struct tensor *t) {
    const json_t *shape = json_object_get(j, "shape");
    size_t n = json_array_size(shape);
    if (!json_is_array(shape)) return malformed(h, t, "has no shape");
    if (n > MAX_DIMS)
        return fail(h->e, GYR_UNSUPPORTED, "%s: tensor %.*s has %zu dimensions; gyr reads up to %d", h->path,
                    shown(t->name), t->name.data, n, MAX_DIMS);
    t->n_dims = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, i);
        if (!json_is_integer(d) || json_integer_value(d) < 0) return malformed(h, t, "has a shape that is no shape");
        t->dim[n - 1 - i] = (uint64_t)json_integer_value(d);
    }
    return true;
}

static bool measure_bytes(const struct header *h, struct tensor *t) {
    bool overflow = false;
    t->bytes = t->dtype ? packed_dtype_size(t->dtype) : 1;
    for (int i = 0; i < MAX_DIMS; i++) overflow |= __builtin_mul_overflow(t->bytes, t->dim[i], &t->bytes);
    return !overflow || malformed(h, t, "has a size that overflows");
}

static bool read_place(const struct header *h, const json_t *j, struct tensor *t) {
    const json_t *offsets = json_object_get(j, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return malformed(h, t, "has no data_offsets");
    json_int_t begin = json_integer_value(first), end = json_integer_value(last);
    if (begin < 0 || end < begin) return malformed(h, t, "has data_offsets that run backwards");
    if ((uint64_t)end > h->size)
        return fail(h->e, GYR_MALFORMED,
                    "%s: the data of tensor %.*s ends outside the file; the file is cut short, get it again", h->path,
                    shown(t->name), t->name.data);
    if ((uint64_t)(end - begin) != t->bytes) return malformed(h, t, "has more or less data than its shape says");
    t->data = h->data + begin;
    return true;
}

static bool read_entry(const struct header *h, const char *name, size_t size, const json_t *j) {
    struct tensor t = {.name = {name, size}, .dim = {1, 1, 1, 1}};
    if (!json_is_object(j)) return malformed(h, &t, "is not described by an object");
    bool bytes;
    if (!read_type(h, j, &t, &bytes) || !read_shape(h, j, &t)) return false;
    if (!(bytes || t.dtype ? measure_bytes(h, &t) : tensor_measure(&t, h->path, h->e)) || !read_place(h, j, &t))
        return false;
    if (bytes) return mxfp4_add(h->c, &t, h->path, h->e);
    t.name.data = arena_copy(&h->c->storage->arena, t.name);
    return t.name.data ? checkpoint_add(h->c, &t, h->path, h->e) : fail_memory(h->e, h->path);
}

bool safetensors_read(struct checkpoint *c, const char *path, const uint8_t *data, size_t size, gyr_error *e) {
    uint64_t n = 0;
    if (size < sizeof n)
        return fail(e, GYR_MALFORMED, "%s: has only %zu bytes; the file is cut short, get it again", path, size);
    memcpy(&n, data, sizeof n);
    if (n > size - sizeof n || n > MAX_HEADER)
        return fail(e, GYR_MALFORMED,
                    "%s: says its header has %llu bytes, but has %zu; it is cut short or not safetensors, get it again",
                    path, (unsigned long long)n, size);
    json_t *root = json_parse((const char *)data + sizeof n, (size_t)n, 0, path, e);
    struct header h = {c, path, data + sizeof n + n, size - sizeof n - (size_t)n, e};
    bool ok = root;
    const char *name;
    json_t *j;
    if (root) json_object_foreach(root, name, j) {
            if (!ok) break;
            if (strcmp(name, "__metadata__")) ok = read_entry(&h, name, strlen(name), j);
        }
    json_decref(root);
    return ok;
}
