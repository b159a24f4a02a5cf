#include "format/checkpoint.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "format/parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

bool storage_map(struct storage *s, const char *path, struct map *m, gyr_error *e) {
    struct map *maps = reallocarray(s->maps, s->n_maps + 1, sizeof *maps);
    if (!maps) return fail_memory(e, path);
    s->maps = maps;
    if (!map_open(m, path, e)) return false;
    s->maps[s->n_maps++] = *m;
    return true;
}

bool tensor_measure(struct tensor *t, const char *where, gyr_error *e) {
    uint64_t rows = 1;
    bool overflow = false, empty = t->dim[0] == 0;
    for (int i = 1; i < MAX_DIMS; i++) {
        overflow |= __builtin_mul_overflow(rows, t->dim[i], &rows);
        empty |= t->dim[i] == 0;
    }
    if (empty)
        return fail(e, GYR_MALFORMED, "%s: tensor %.*s has an empty dimension; the file is damaged, get it again",
                    where, shown(t->name), t->name.data);
    const struct type_info *type = type_info(t->type);
    if (t->dim[0] % type->block)
        return fail(e, GYR_MALFORMED,
                    "%s: tensor %.*s has rows of %llu, not a multiple of the %d of a block of %s; the file is damaged, "
                    "get it again",
                    where, shown(t->name), t->name.data, (unsigned long long)t->dim[0], type->block, type->name);
    size_t row = type_row_bytes(t->type, t->dim[0]);
    if (overflow || !row || __builtin_mul_overflow(rows, row, &t->bytes))
        return fail(e, GYR_MALFORMED, "%s: the size of tensor %.*s overflows; the file is damaged, get it again", where,
                    shown(t->name), t->name.data);
    return true;
}

bool checkpoint_add(struct checkpoint *c, const struct tensor *t, const char *where, gyr_error *e) {
    struct storage *s = c->storage;
    if (!utf8_valid(t->name.data, t->name.size))
        return fail(e, GYR_MALFORMED, "%s: the name of tensor %zu is not UTF-8; the file is damaged, get it again",
                    where, c->n_tensors);
    if (!ARRAY_GROW(c->tensors, c->n_tensors, s->tensor_room)) return fail_memory(e, where);
    c->tensors[c->n_tensors] = *t;
    switch (index_add(&s->names, c->tensors, sizeof *c->tensors, c->n_tensors)) {
    case INDEX_ADDED: c->n_tensors++; return true;
    case INDEX_NO_MEMORY: return fail_memory(e, where);
    case INDEX_DUPLICATE: break;
    }
    return fail(e, GYR_MALFORMED, "%s: tensor %.*s is there twice; the file is damaged, get it again", where,
                shown(t->name), t->name.data);
}

const char unread_type[] = "; gyr reads F32, F16 and BF16; take the model in one of them, or as GGUF";

bool tensor_readable(const struct tensor *t, const char *path, gyr_error *e) {
    bool type = t->unread == unread_type;
    return !t->unread || fail(e, t->status, "%s: tensor %.*s %s%.20s%s", path, shown(t->name), t->name.data,
                              type ? "has element type " : "", type ? t->dtype : "", t->unread);
}

static bool same_dtype(const struct tensor *a, const struct tensor *b) {
    return a->dtype && b->dtype ? !strcmp(a->dtype, b->dtype) : a->dtype == b->dtype;
}

bool checkpoint_add_again(struct checkpoint *c, const struct tensor *t, const char *where, gyr_error *e) {
    size_t i = index_find(&c->storage->names, c->tensors, sizeof *c->tensors, t->name);
    if (i == SIZE_MAX) return checkpoint_add(c, t, where, e);
    struct tensor *first = &c->tensors[i];
    if (t->placed && !first->placed) *first = *t;
    if (first->placed) return true;
    bool same = first->type == t->type && same_dtype(first, t) && !first->unread == !t->unread &&
                first->bytes == t->bytes && !memcmp(first->dim, t->dim, sizeof t->dim) && first->data && t->data &&
                !memcmp(first->data, t->data, t->bytes);
    if (!same && (!first->unread || first->unread == unread_type)) {
        first->unread = "is there twice, and not the same; get the folder again";
        first->status = GYR_MALFORMED;
    }
    return true;
}

const struct tensor *checkpoint_tensor(const struct checkpoint *c, const char *name) {
    size_t i = index_find(&c->storage->names, c->tensors, sizeof *c->tensors, (struct text){name, strlen(name)});
    return i == SIZE_MAX ? NULL : &c->tensors[i];
}

void vocab_free(struct vocab *v) {
    if (v->storage) {
        arena_free(v->storage);
        free(v->storage);
    }
    *v = (struct vocab){0};
}

uint64_t checkpoint_stamp(const struct checkpoint *c) {
    uint64_t stamp = 0;
    for (size_t i = 0; i < c->storage->n_maps; i++)
        stamp = (stamp ^ c->storage->maps[i].size) * 0x9e3779b97f4a7c15u + (uint64_t)c->storage->maps[i].modified;
    return stamp;
}

void checkpoint_close(struct checkpoint *c) {
    if (!c) return;
    vocab_free(&c->vocab);
    if (c->keys) keys_free(c->keys);
    free(c->keys);
    if (c->settled) keys_free(c->settled);
    free(c->settled);
    if (c->storage) {
        for (size_t i = 0; i < c->storage->n_maps; i++) map_close(&c->storage->maps[i]);
        free(c->storage->maps);
        index_free(&c->storage->names);
        arena_free(&c->storage->arena);
    }
    free(c->storage);
    free(c->tensors);
    free(c->architecture);
    free(c->path);
    free(c);
}

struct checkpoint *checkpoint_new(const char *path, gyr_error *e) {
    struct checkpoint *c = calloc(1, sizeof *c);
    if (c) {
        c->path = strdup(path);
        c->keys = calloc(1, sizeof *c->keys);
        c->storage = calloc(1, sizeof *c->storage);
    }
    if (c) c->advice = (struct sampling_advice){NAN, NAN, NAN, NAN, NAN};
    if (c && c->path && c->keys && c->storage) return c;
    checkpoint_close(c);
    return fail_memory(e, path), NULL;
}

static struct checkpoint *check(struct checkpoint *c, bool ok) {
    if (ok) return c;
    checkpoint_close(c);
    return NULL;
}

struct checkpoint *checkpoint_open(const char *path, gyr_error *e) {
    struct stat st;
    if (stat(path, &st)) return fail_null(e, GYR_IO, "%s: %s; check the path", path, strerror(errno));
    struct checkpoint *c = checkpoint_new(path, e);
    if (!c) return NULL;
    return check(c, S_ISDIR(st.st_mode) ? hf_open(c, e) : gguf_open(c, e));
}

struct checkpoint *checkpoint_open_memory(const char *name, const void *data, size_t size, gyr_error *e) {
    struct checkpoint *c = checkpoint_new(name, e);
    return c ? check(c, gguf_open_memory(c, data, size, e)) : NULL;
}
