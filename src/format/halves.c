// Tensors of MXFP4 as Hugging Face has them (gpt-oss, 2025): codes of blocks as [..., rows, blocks, 16] bytes, and
// their scales as [..., rows, blocks].
#include "format/hf.h"

#include <string.h>

static const char *const ends[] = {[HALF_CODES] = "_blocks", [HALF_SCALES] = "_scales"};
enum { END = 7, BLOCK = 32, CODES = 16 };

enum half half_of(struct text name) {
    for (enum half h = HALF_CODES; h <= HALF_SCALES; h++)
        if (name.size > END && !memcmp(name.data + name.size - END, ends[h], END)) return h;
    return HALF_NONE;
}

static struct tensor *find(const struct checkpoint *c, struct text name) {
    size_t i = index_find(&c->storage->names, c->tensors, sizeof *c->tensors, name);
    return i == SIZE_MAX ? NULL : &c->tensors[i];
}

bool halves_have(const struct checkpoint *c, const char *name) {
    struct text whole = {name, strlen(name)};
    enum half half = half_of(whole);
    if (find(c, whole)) return true;
    if (!half) return false;
    const struct tensor *t = find(c, (struct text){name, whole.size - END});
    return t && t->type == TYPE_MXFP4 && (half == HALF_CODES ? t->data : t->scales);
}

bool half_shape(enum half half, struct tensor *t) {
    if (half == HALF_CODES) {
        if (t->n_dims < 2 || t->dim[0] != CODES) return false;
        memmove(t->dim, t->dim + 1, (MAX_DIMS - 1) * sizeof *t->dim);
        t->dim[MAX_DIMS - 1] = 1;
        t->n_dims--;
    }
    t->type = TYPE_MXFP4;
    return !__builtin_mul_overflow(t->dim[0], (uint64_t)BLOCK, &t->dim[0]);
}

bool half_add(struct checkpoint *c, enum half half, const struct tensor *t, const char *where, gyr_error *e) {
    struct tensor one = *t;
    one.name.size -= END;
    one.data = half == HALF_CODES ? t->data : NULL;
    one.scales = half == HALF_SCALES ? t->data : NULL;
    struct tensor *other = find(c, one.name);
    if (!other) {
        one.name.data = arena_copy(&c->storage->arena, one.name);
        return one.name.data ? checkpoint_add(c, &one, where, e) : fail_memory(e, where);
    }
    if (other->type != TYPE_MXFP4 || (half == HALF_CODES ? other->data : other->scales))
        return fail(e, GYR_MALFORMED, "%s: tensor %.*s is there twice; the file is damaged, get it again", where,
                    shown(t->name), t->name.data);
    if (memcmp(other->dim, one.dim, sizeof one.dim) != 0)
        return fail(e, GYR_MALFORMED, "%s: tensor %.*s has not the shape of its other half; get the model again", where,
                    shown(t->name), t->name.data);
    if (half == HALF_CODES)
        other->data = one.data;
    else
        other->scales = one.scales;
    return true;
}

bool halves_check(const struct checkpoint *c, gyr_error *e) {
    for (size_t i = 0; i < c->n_tensors; i++) {
        const struct tensor *t = &c->tensors[i];
        if (t->type == TYPE_MXFP4 && (!t->data || !t->scales))
            return fail(e, GYR_MALFORMED, "%s: tensor %.*s%s is missing; get the model again", c->path, shown(t->name),
                        t->name.data, ends[t->data ? HALF_SCALES : HALF_CODES]);
    }
    return true;
}
