// Reading GGUF v2 and v3 (ggml's docs/gguf.md): a head, key-value pairs, tensor descriptions, padding, tensor data.
// Nothing in a file is trusted: every length is checked against the bytes that are left before it is used.
#include "base/utf8.h"
#include "format/parts.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct reader {
    const char *path;
    const uint8_t *data;
    size_t size, at;
    uint64_t n_keys, n_tensors;
    gyr_error *e;
};

enum {
    MIN_KEY = 8 + 4 + 1,        // name's length, type, smallest value
    MIN_TENSOR = 8 + 4 + 4 + 8, // name's length, number of dimensions, type, offset
    DEFAULT_ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 20,
};

// The next n bytes; NULL, with the error set, if there are fewer.
static const uint8_t *take(struct reader *r, size_t n) {
    if (n > r->size - r->at)
        return fail_null(r->e, GYR_MALFORMED,
                         "%s: ends at byte %zu, before its head does; the file is cut short, get it again", r->path,
                         r->size);
    const uint8_t *p = r->data + r->at;
    r->at += n;
    return p;
}

static bool read_u32(struct reader *r, uint32_t *v) {
    const uint8_t *p = take(r, sizeof *v);
    if (p) memcpy(v, p, sizeof *v);
    return p;
}

static bool read_u64(struct reader *r, uint64_t *v) {
    const uint8_t *p = take(r, sizeof *v);
    if (p) memcpy(v, p, sizeof *v);
    return p;
}

// A number of things that take at least `bytes` each.
static bool check_count(struct reader *r, uint64_t n, size_t bytes, const char *things) {
    if (n <= (r->size - r->at) / bytes) return true;
    return fail(r->e, GYR_MALFORMED,
                "%s: says it has %llu %s at byte %zu of %zu; the file is cut short or damaged, get it again", r->path,
                (unsigned long long)n, things, r->at, r->size);
}

static bool read_string(struct reader *r, struct text *s) {
    uint64_t n;
    if (!read_u64(r, &n) || !check_count(r, n, 1, "bytes of text")) return false;
    *s = (struct text){(const char *)take(r, (size_t)n), (size_t)n};
    if (utf8_valid(s->data, s->size)) return true;
    return fail(r->e, GYR_MALFORMED, "%s: the text at byte %zu is not UTF-8; the file is damaged, get it again",
                r->path, r->at - (size_t)n);
}

static bool check_bools(struct reader *r, struct text key, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] > 1)
            return fail(r->e, GYR_MALFORMED,
                        "%s: key %.*s is neither true nor false; the file is damaged, get it again", r->path,
                        shown(key), key.data);
    return true;
}

static bool read_strings(struct reader *r, struct keys *k, size_t n, const struct text **out) {
    struct text *s = arena_alloc(&k->arena, n, sizeof *s);
    if (!s) return fail_memory(r->e, r->path);
    for (size_t i = 0; i < n; i++)
        if (!read_string(r, &s[i])) return false;
    *out = s;
    return true;
}

static bool read_array(struct reader *r, struct keys *k, struct text key, struct value *v) {
    uint32_t type;
    uint64_t n;
    const uint8_t *numbers = NULL;
    const struct text *strings = NULL;
    if (!read_u32(r, &type) || !read_u64(r, &n)) return false;
    size_t size = gguf_type_size(type);
    if (!size && type != GGUF_STRING)
        return fail(r->e, GYR_UNSUPPORTED,
                    "%s: key %.*s is an array of type %u; gyr reads arrays of numbers, booleans and strings", r->path,
                    shown(key), key.data, type);
    if (!check_count(r, n, size ? size : sizeof(uint64_t), "array items")) return false;
    if (size ? !(numbers = take(r, (size_t)n * size)) : !read_strings(r, k, (size_t)n, &strings)) return false;
    if (type == GGUF_BOOL && !check_bools(r, key, numbers, (size_t)n)) return false;
    *v = value_array(k, type, (size_t)n, numbers, strings);
    return v->kind == VALUE_ARRAY || fail_memory(r->e, r->path);
}

static bool read_value(struct reader *r, struct keys *k, struct text key, struct value *v) {
    uint32_t type;
    if (!read_u32(r, &type)) return false;
    if (type == GGUF_ARRAY) return read_array(r, k, key, v);
    if (type == GGUF_STRING) {
        *v = (struct value){.kind = VALUE_STRING, .stored = GGUF_STRING + 1};
        return read_string(r, &v->s);
    }
    size_t size = gguf_type_size(type);
    if (!size)
        return fail(r->e, GYR_MALFORMED, "%s: key %.*s has type %u, which GGUF does not define; get the file again",
                    r->path, shown(key), key.data, type);
    const uint8_t *p = take(r, size);
    if (!p || (type == GGUF_BOOL && !check_bools(r, key, p, 1))) return false;
    *v = value_load(type, p);
    return true;
}

// What people hand over instead of GGUF, by its first bytes.
static const struct {
    const char *start, *what;
} lookalikes[] = {
    {"tjgg", "is in llama.cpp's format before GGUF; get the model as GGUF"},
    {"fmgg", "is in llama.cpp's format before GGUF; get the model as GGUF"},
    {"lmgg", "is in llama.cpp's format before GGUF; get the model as GGUF"},
    {"version https://git-lfs", "is a Git LFS pointer, not the model; run \"git lfs pull\""},
    {"PK\3\4", "is a zip or PyTorch file; give a GGUF file or a Hugging Face folder with safetensors"},
    {"<", "is a web page, not a model; check the address it was downloaded from"},
};

static bool wrong_magic(struct reader *r) {
    for (size_t i = 0; i < sizeof lookalikes / sizeof *lookalikes; i++) {
        size_t n = strlen(lookalikes[i].start);
        if (r->size >= n && !memcmp(r->data, lookalikes[i].start, n))
            return fail(r->e, GYR_MALFORMED, "%s: %s", r->path, lookalikes[i].what);
    }
    if (r->size > 9 && r->data[8] == '{')
        return fail(r->e, GYR_MALFORMED, "%s: is one safetensors file; give the folder it is in", r->path);
    return fail(r->e, GYR_MALFORMED, "%s: not a GGUF file; give a GGUF file or a Hugging Face folder", r->path);
}

static bool read_head(struct reader *r) {
    uint32_t version;
    if (r->size < 4 || memcmp(r->data, "GGUF", 4)) return wrong_magic(r);
    r->at = 4;
    if (!read_u32(r, &version)) return false;
    if (version != 2 && version != 3) {
        bool big = !(version & 0xffff);
        return fail(r->e, GYR_UNSUPPORTED,
                    big ? "%s: is a big-endian GGUF file; get the little-endian one"
                        : "%s: is GGUF version %u; gyr reads versions 2 and 3, get a newer file",
                    r->path, version);
    }
    return read_u64(r, &r->n_tensors) && read_u64(r, &r->n_keys) && check_count(r, r->n_keys, MIN_KEY, "keys");
}

static bool read_keys(struct reader *r, struct keys *k) {
    for (uint64_t i = 0; i < r->n_keys; i++) {
        struct text name;
        struct value v;
        if (!read_string(r, &name) || !read_value(r, k, name, &v) || !keys_put(k, name, &v, r->path, r->e))
            return false;
    }
    return check_count(r, r->n_tensors, MIN_TENSOR, "tensors");
}

// One description; *offset counts from the start of the data.
static bool read_tensor(struct reader *r, struct tensor *t, uint64_t *offset) {
    uint32_t n_dims, type;
    *t = (struct tensor){.dim = {1, 1, 1, 1}};
    if (!read_string(r, &t->name) || !read_u32(r, &n_dims)) return false;
    if (n_dims > MAX_DIMS)
        return fail(r->e, GYR_MALFORMED, "%s: tensor %.*s has %u dimensions, more than %d; get the file again", r->path,
                    shown(t->name), t->name.data, n_dims, MAX_DIMS);
    for (uint32_t i = 0; i < n_dims; i++)
        if (!read_u64(r, &t->dim[i])) return false;
    if (!read_u32(r, &type) || !read_u64(r, offset)) return false;
    if (!type_info(type))
        return fail(r->e, GYR_UNSUPPORTED, "%s: tensor %.*s has element type %u; gyr knows %s", r->path, shown(t->name),
                    t->name.data, type, type_names());
    t->n_dims = (int)n_dims;
    t->type = (enum type)type;
    return tensor_measure(t, r->path, r->e);
}

static bool place_tensor(const struct reader *r, struct tensor *t, uint64_t offset, size_t start, uint64_t alignment) {
    uint64_t end;
    if (offset % alignment)
        return fail(r->e, GYR_MALFORMED,
                    "%s: the data of tensor %.*s is not aligned; the file is damaged, get it again", r->path,
                    shown(t->name), t->name.data);
    if (__builtin_add_overflow(offset, t->bytes, &end) || start > r->size || end > r->size - start)
        return fail(r->e, GYR_MALFORMED,
                    "%s: the data of tensor %.*s ends outside the file; the file is cut short, get it again", r->path,
                    shown(t->name), t->name.data);
    t->data = r->data + start + offset;
    return true;
}

// The data starts at the next aligned byte after the descriptions, which must all be read to know where that is.
static bool read_tensors(struct reader *r, const struct keys *k, struct checkpoint *c) {
    uint64_t alignment = DEFAULT_ALIGNMENT;
    if (!keys_uint(k, r->path, "general.alignment", 8, MAX_ALIGNMENT, &alignment, r->e)) return false;
    if (alignment & (alignment - 1))
        return fail(r->e, GYR_MALFORMED, "%s: key general.alignment is %llu, not a power of two; get the file again",
                    r->path, (unsigned long long)alignment);
    size_t first = c->n_tensors, n = (size_t)r->n_tensors;
    uint64_t *offset = n ? reallocarray(NULL, n, sizeof *offset) : NULL;
    bool ok = !n || offset || fail_memory(r->e, r->path);
    for (size_t i = 0; ok && i < n; i++) {
        struct tensor t;
        ok = read_tensor(r, &t, &offset[i]) && checkpoint_add(c, &t, r->path, r->e);
    }
    size_t start = r->at + (size_t)(-r->at & (alignment - 1));
    for (size_t i = 0; ok && i < n; i++) ok = place_tensor(r, &c->tensors[first + i], offset[i], start, alignment);
    free(offset);
    return ok;
}

static bool read_part(struct reader *r, struct keys *k) { return read_head(r) && read_keys(r, k); }

// The name of part `no`: "PREFIX-00001-of-00003.gguf", counted from 1. The prefix is that of `path`.
static char *part_name(const char *path, unsigned no, unsigned count) {
    size_t tail = strlen("-00001-of-00003.gguf"), n = strlen(path);
    struct buf b = {0};
    if (n < tail) return NULL;
    buf_append(&b, path, n - tail);
    buf_printf(&b, "-%05u-of-%05u.gguf", no + 1, count);
    return buf_take(&b);
}

static bool read_split_numbers(const struct reader *r, const struct keys *k, uint64_t *no, uint64_t *count) {
    *no = 0, *count = 1;
    return keys_uint(k, r->path, "split.no", 0, MAX_PARTS, no, r->e) &&
           keys_uint(k, r->path, "split.count", 0, MAX_PARTS, count, r->e);
}

static bool open_part(struct checkpoint *c, const char *path, unsigned want_no, unsigned want_count, gyr_error *e) {
    struct map m;
    if (access(path, F_OK)) return fail(e, GYR_IO, "%s: is missing; put all parts of the model in one folder", path);
    if (!storage_map(c->storage, path, &m, e)) return false;
    struct reader r = {.path = path, .data = m.data, .size = m.size, .e = e};
    struct keys scratch = {0}, *k = want_no ? &scratch : c->keys;
    uint64_t no, count;
    bool ok = read_part(&r, k) && read_split_numbers(&r, k, &no, &count);
    if (ok && (no != want_no || count != want_count))
        ok = fail(e, GYR_MALFORMED, "%s: says it is part %llu of %llu; give the parts the names they were made with",
                  path, (unsigned long long)no + 1, (unsigned long long)count);
    ok = ok && read_tensors(&r, k, c);
    keys_free(&scratch);
    return ok;
}

static bool open_split(struct checkpoint *c, unsigned no, unsigned count, gyr_error *e) {
    char *name = part_name(c->path, no, count);
    bool ok = name && !strcmp(name, c->path);
    if (!ok)
        fail(e, GYR_MALFORMED,
             "%s: is part %u of a model of %u; name the parts NAME-00001-of-%05u.gguf and so on, in one folder",
             c->path, no + 1, count, count);
    for (unsigned i = 0; ok && i < count; i++) {
        free(name);
        name = part_name(c->path, i, count);
        ok = name ? open_part(c, name, i, count, e) : fail_memory(e, c->path);
    }
    free(name);
    uint64_t total = c->n_tensors;
    ok = ok && keys_uint(c->keys, c->path, "split.tensors.count", 0, UINT64_MAX, &total, e);
    if (ok && total != c->n_tensors)
        ok = fail(e, GYR_MALFORMED, "%s: its parts have %zu tensors, not the %llu promised; get all parts again",
                  c->path, c->n_tensors, (unsigned long long)total);
    return ok;
}

// As llama.cpp's converter writes it. What is no number is no advice.
static void read_advice(struct checkpoint *c) {
    struct sampling_advice *a = &c->advice;
    const struct {
        const char *key;
        double *out;
    } known[] = {{"general.sampling.temp", &a->temperature},
                 {"general.sampling.top_p", &a->top_p},
                 {"general.sampling.min_p", &a->min_p},
                 {"general.sampling.top_k", &a->top_k},
                 {"general.sampling.penalty_repeat", &a->penalty_repeat}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const struct value *v = keys_get(c->keys, known[i].key);
        if (!v) continue;
        if (v->kind == VALUE_FLOAT) *known[i].out = v->f;
        if (v->kind == VALUE_UINT) *known[i].out = (double)v->u;
        if (v->kind == VALUE_INT) *known[i].out = (double)v->i;
    }
}

static bool finish(struct checkpoint *c, gyr_error *e) {
    struct text name = {0};
    c->source = CHECKPOINT_GGUF;
    if (!checkpoint_string(c, "general.architecture", &name, e)) return false;
    if (!name.size) return fail(e, GYR_MALFORMED, "%s: has no key general.architecture; get another file", c->path);
    if (!(c->architecture = strndup(name.data, name.size))) return fail_memory(e, c->path);
    read_advice(c);
    return gguf_sentence(c, e) && gguf_vocab(c->keys, c->path, &c->vocab, e);
}

static bool open_image(struct checkpoint *c, const uint8_t *data, size_t size, bool on_disk, gyr_error *e) {
    struct reader r = {.path = c->path, .data = data, .size = size, .e = e};
    uint64_t no, count;
    if (!read_part(&r, c->keys) || !read_split_numbers(&r, c->keys, &no, &count)) return false;
    if (count <= 1) return read_tensors(&r, c->keys, c) && finish(c, e);
    if (!on_disk)
        return fail(e, GYR_UNSUPPORTED, "%s: is one of the %u parts of a model; open it by its path", c->path,
                    (unsigned)count);
    keys_free(c->keys);
    return open_split(c, (unsigned)no, (unsigned)count, e) && finish(c, e);
}

bool gguf_open(struct checkpoint *c, gyr_error *e) {
    struct map m;
    return storage_map(c->storage, c->path, &m, e) && open_image(c, m.data, m.size, true, e);
}

bool gguf_open_memory(struct checkpoint *c, const void *data, size_t size, gyr_error *e) {
    return open_image(c, data, size, false, e);
}
