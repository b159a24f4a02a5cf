// Reading safetensors (huggingface/safetensors, "Format"): the length of a JSON header in 8 bytes, the header, data.
#include "format/hf.h"
#include "format/json.h"
#include "format/packed.h"

#include <stdio.h>
#include <string.h>

enum { MAX_HEADER = 100 * 1000 * 1000 }; // as in the reference implementation

static const struct {
    const char *name;
    enum type type;
} dtypes[] = {{"F32", TYPE_F32}, {"F16", TYPE_F16}, {"BF16", TYPE_BF16}};

struct header {
    struct checkpoint *c;
    const char *path;
    const struct shard_of *part;
    const uint8_t *data; // of the tensors
    size_t size;
    gyr_error *e;
};

static bool malformed(const struct header *h, const struct tensor *t, const char *what) {
    return fail(h->e, GYR_MALFORMED, "%s: tensor %.*s %s; the file is damaged, get it again", h->path, shown(t->name),
                t->name.data, what);
}

// What a model need not have is not looked at before something asks for it: whatever it is, the first thing that is odd
// of it stays with it.
static void odd(struct tensor *t, gyr_status status, const char *what) {
    if (t->unread) return;
    t->unread = what;
    t->status = status;
}

static bool read_type(const struct header *h, const json_t *j, struct tensor *t) {
    struct text name = json_text(json_object_get(j, "dtype"));
    if (!name.data) return malformed(h, t, "has no dtype");
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (!strcmp(dtypes[i].name, name.data)) {
            t->type = dtypes[i].type;
            return true;
        }
    t->dtype = arena_copy(&h->c->storage->arena, name);
    odd(t, GYR_UNSUPPORTED, unread_type);
    return t->dtype || fail_memory(h->e, h->path);
}

// Shapes are written with the contiguous dimension last. Of more dimensions than gyr has, the last holds the rest.
static bool read_shape(const struct header *h, const json_t *j, struct tensor *t) {
    const json_t *shape = json_object_get(j, "shape");
    size_t n = json_array_size(shape);
    if (!json_is_array(shape)) return malformed(h, t, "has no shape");
    if (n > MAX_DIMS)
        odd(t, GYR_UNSUPPORTED, "has more than 4 dimensions, which gyr does not read; take another model");
    t->n_dims = n > MAX_DIMS ? MAX_DIMS : (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *d = json_array_get(shape, n - 1 - i);
        if (!json_is_integer(d) || json_integer_value(d) < 0) return malformed(h, t, "has a malformed shape");
        uint64_t *to = &t->dim[i < MAX_DIMS ? i : MAX_DIMS - 1], by = (uint64_t)json_integer_value(d);
        if (by == 0) odd(t, GYR_MALFORMED, "has an empty dimension; the file is damaged, get it again");
        if (__builtin_mul_overflow(*to, by, to)) return malformed(h, t, "has a size that overflows");
    }
    return true;
}

static bool measure_bytes(const struct header *h, struct tensor *t, size_t each) {
    bool overflow = false;
    t->bytes = each;
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
    if (t->unread && !t->bytes) t->bytes = (size_t)(end - begin); // of whatever it is
    if ((uint64_t)(end - begin) != t->bytes) return malformed(h, t, "has more or less data than its shape says");
    t->data = h->data + begin;
    return true;
}

static bool read_entry(const struct header *h, const char *name, size_t size, const json_t *j) {
    struct tensor t = {.name = {name, size}, .dim = {1, 1, 1, 1}};
    if (!json_is_object(j)) return malformed(h, &t, "is not described by an object");
    if (!read_type(h, j, &t) || !read_shape(h, j, &t)) return false;
    bool half = t.dtype && !strcmp(t.dtype, "U8") && mxfp4_half(t.name);
    size_t each = half ? 1 : t.dtype ? packed_dtype_size(h->c, t.dtype) : 0;
    bool measured = each ? measure_bytes(h, &t, each) : t.unread || tensor_measure(&t, h->path, h->e);
    if (!measured || !read_place(h, j, &t)) return false;
    if (half && !mxfp4_add(h->c, &t, h->path, &half, h->e)) return false;
    if (half) return true;
    t.placed = h->part && json_is(json_object_get(h->part->places, name), h->part->name);
    t.name.data = arena_copy(&h->c->storage->arena, t.name);
    return t.name.data ? checkpoint_add_again(h->c, &t, h->path, h->e) : fail_memory(h->e, h->path);
}

bool safetensors_read(struct checkpoint *c, const char *path, const uint8_t *data, size_t size,
                      const struct shard_of *part, gyr_error *e) {
    uint64_t n = 0;
    if (size < sizeof n)
        return fail(e, GYR_MALFORMED, "%s: has only %zu bytes; the file is cut short, get it again", path, size);
    memcpy(&n, data, sizeof n);
    if (n > size - sizeof n || n > MAX_HEADER)
        return fail(e, GYR_MALFORMED,
                    "%s: says its header has %llu bytes, but has %zu; it is cut short or not safetensors, get it again",
                    path, (unsigned long long)n, size);
    json_t *root = json_parse((const char *)data + sizeof n, (size_t)n, JSON_REJECT_DUPLICATES, path, e);
    struct header h = {c, path, part, data + sizeof n + n, size - sizeof n - (size_t)n, e};
    bool ok = root;
    const char *name;
    json_t *j;
    if (root) json_object_foreach(root, name, j) {
            if (!ok) break;
            char longer[512];
            bool prefixed = part && part->prefix;
            if (prefixed) snprintf(longer, sizeof longer, "%s%s", part->prefix, name);
            const char *own = prefixed ? longer : name;
            if (strcmp(name, "__metadata__")) ok = read_entry(&h, own, strlen(own), j);
        }
    json_decref(root);
    return ok;
}
