#include "format/keys.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    uint8_t bytes;
    enum value_kind kind;
} types[GGUF_TYPES] = {
    [GGUF_UINT8] = {1, VALUE_UINT},    [GGUF_INT8] = {1, VALUE_INT},    [GGUF_UINT16] = {2, VALUE_UINT},
    [GGUF_INT16] = {2, VALUE_INT},     [GGUF_UINT32] = {4, VALUE_UINT}, [GGUF_INT32] = {4, VALUE_INT},
    [GGUF_FLOAT32] = {4, VALUE_FLOAT}, [GGUF_BOOL] = {1, VALUE_BOOL},   [GGUF_STRING] = {0, VALUE_STRING},
    [GGUF_ARRAY] = {0, VALUE_ARRAY},   [GGUF_UINT64] = {8, VALUE_UINT}, [GGUF_INT64] = {8, VALUE_INT},
    [GGUF_FLOAT64] = {8, VALUE_FLOAT},
};

static const char *const kind_names[] = {
    [VALUE_NONE] = "nothing",     [VALUE_UINT] = "a whole number", [VALUE_INT] = "a whole number",
    [VALUE_FLOAT] = "a fraction", [VALUE_BOOL] = "true or false",  [VALUE_STRING] = "a string",
    [VALUE_ARRAY] = "an array",
};

size_t gguf_type_size(uint32_t type) { return type < GGUF_TYPES ? types[type].bytes : 0; }

int shown(struct text name) { return (int)utf8_whole(name.data, name.size < 100 ? name.size : 100); }

// Files are little endian, and so are all machines gyr runs on.
struct value value_load(enum gguf_type type, const void *p) {
    struct value v = {.kind = types[type].kind, .stored = (uint8_t)(type + 1)};
    union {
        uint64_t u;
        uint8_t u8;
        int8_t i8;
        uint16_t u16;
        int16_t i16;
        uint32_t u32;
        int32_t i32;
        int64_t i64;
        float f32;
        double f64;
    } raw = {0};
    memcpy(&raw, p, types[type].bytes);
    switch (type) {
    case GGUF_INT8: v.i = raw.i8; break;
    case GGUF_INT16: v.i = raw.i16; break;
    case GGUF_INT32: v.i = raw.i32; break;
    case GGUF_INT64: v.i = raw.i64; break;
    case GGUF_FLOAT32: v.f = (double)raw.f32; break;
    case GGUF_FLOAT64: v.f = raw.f64; break;
    case GGUF_BOOL: v.b = raw.u8 != 0; break;
    default: v.u = raw.u; break;
    }
    return v;
}

struct value value_array(struct keys *k, enum gguf_type type, size_t n, const void *numbers,
                         const struct text *strings) {
    struct items *items = arena_alloc(&k->arena, 1, sizeof *items);
    if (!items) return (struct value){0};
    *items = (struct items){.type = type, .numbers = numbers, .strings = strings};
    return (struct value){
        .kind = VALUE_ARRAY, .stored = GGUF_ARRAY + 1, .array = {.of = types[type].kind, .n = n, .items = items}};
}

struct value value_at(const struct value *v, size_t i) {
    if (v->kind != VALUE_ARRAY) return *v;
    if (i >= v->array.n) return (struct value){0};
    const struct items *items = v->array.items;
    if (items->type == GGUF_STRING)
        return (struct value){.kind = VALUE_STRING, .stored = GGUF_STRING + 1, .s = items->strings[i]};
    return value_load(items->type, items->numbers + i * types[items->type].bytes);
}

bool value_says(const struct value *v, const char *text) {
    return v && v->kind == VALUE_STRING && v->s.size == strlen(text) && !memcmp(v->s.data, text, v->s.size);
}

double value_number(const struct value *v) {
    switch (v->kind) {
    case VALUE_FLOAT: return v->f;
    case VALUE_UINT: return (double)v->u;
    case VALUE_INT: return (double)v->i;
    default: return NAN;
    }
}

bool value_truth(const struct value *v, bool otherwise) {
    switch (v->kind) {
    case VALUE_BOOL: return v->b;
    case VALUE_UINT: return v->u;
    case VALUE_INT: return v->i;
    default: return otherwise;
    }
}

bool keys_put(struct keys *k, struct text name, const struct value *v, const char *where, gyr_error *e) {
    if (!utf8_valid(name.data, name.size))
        return fail(e, GYR_MALFORMED, "%s: the name of key %zu is not UTF-8; the file is damaged, get it again", where,
                    k->n);
    if (!ARRAY_GROW(k->items, k->n, k->room)) return fail_memory(e, where);
    k->items[k->n] = (struct key){name, *v};
    switch (index_add(&k->index, k->items, sizeof *k->items, k->n)) {
    case INDEX_ADDED: k->n++; return true;
    case INDEX_NO_MEMORY: return fail_memory(e, where);
    case INDEX_DUPLICATE: break;
    }
    return fail(e, GYR_MALFORMED, "%s: key %.*s is there twice; the file is damaged, get it again", where, shown(name),
                name.data);
}

const struct value *keys_get(const struct keys *k, const char *name) {
    size_t i = index_find(&k->index, k->items, sizeof *k->items, (struct text){name, strlen(name)});
    return i == SIZE_MAX ? NULL : &k->items[i].value;
}

void keys_free(struct keys *k) {
    free(k->items);
    index_free(&k->index);
    arena_free(&k->arena);
    *k = (struct keys){0};
}

static bool wrong_kind(const char *where, const char *name, const struct value *v, enum value_kind want, gyr_error *e) {
    if (v->kind == VALUE_ARRAY && v->array.n && v->array.of != VALUE_STRING)
        return fail(e, GYR_UNSUPPORTED, "%s: key %s has numbers that differ, where gyr takes one for all layers", where,
                    name);
    return fail(e, GYR_MALFORMED, "%s: key %s must be %s, not %s; the file is damaged or not a language model", where,
                name, kind_names[want], kind_names[v->kind]);
}

static bool equal(const struct value *a, const struct value *b) {
    switch (a->kind) {
    case VALUE_FLOAT: return a->f == b->f;
    case VALUE_BOOL: return a->b == b->b;
    case VALUE_UINT:
    case VALUE_INT: return a->u == b->u;
    default: return false;
    }
}

// NULL if there is no such key, or only a null of JSON. A list of numbers that are all the same, as files have for
// layers that are all alike, stands for the number: `room` holds it.
static const struct value *find(const struct keys *k, const char *name, struct value *room) {
    const struct value *v = keys_get(k, name);
    if (!v || v->kind == VALUE_NONE) return NULL;
    if (v->kind != VALUE_ARRAY || !v->array.n) return v;
    *room = value_at(v, 0);
    for (size_t i = 0; i < v->array.n; i++) {
        struct value other = value_at(v, i);
        if (!equal(room, &other)) return v;
    }
    return room;
}

bool keys_uint(const struct keys *k, const char *where, const char *name, uint64_t min, uint64_t max, uint64_t *out,
               gyr_error *e) {
    struct value room;
    const struct value *v = find(k, name, &room);
    if (!v) return true;
    if (v->kind != VALUE_UINT && v->kind != VALUE_INT) return wrong_kind(where, name, v, VALUE_UINT, e);
    bool negative = v->kind == VALUE_INT && v->i < 0;
    if (negative || v->u < min || v->u > max)
        return fail(e, GYR_MALFORMED,
                    "%s: key %s is %s%llu, not within %llu to %llu; the file is damaged or not for gyr", where, name,
                    negative ? "-" : "", (unsigned long long)(negative ? -v->u : v->u), (unsigned long long)min,
                    (unsigned long long)max);
    *out = v->u;
    return true;
}

// What readers of hyperparameters see.
static const struct keys *seen(const struct checkpoint *c) { return c->settled ? c->settled : c->keys; }

const struct value *checkpoint_value(const struct checkpoint *c, const char *key) { return keys_get(seen(c), key); }

bool checkpoint_uint(const struct checkpoint *c, const char *key, uint64_t min, uint64_t max, uint64_t *out,
                     gyr_error *e) {
    return keys_uint(seen(c), c->path, key, min, max, out, e);
}

bool checkpoint_float(const struct checkpoint *c, const char *key, double *out, gyr_error *e) {
    struct value room;
    const struct value *v = find(seen(c), key, &room);
    if (!v) return true;
    switch (v->kind) {
    case VALUE_FLOAT: *out = v->f; return true;
    case VALUE_UINT: *out = (double)v->u; return true;
    case VALUE_INT: *out = (double)v->i; return true;
    default: return wrong_kind(c->path, key, v, VALUE_FLOAT, e);
    }
}

bool checkpoint_bool(const struct checkpoint *c, const char *key, bool *out, gyr_error *e) {
    struct value room;
    const struct value *v = find(seen(c), key, &room);
    if (!v) return true;
    bool number = v->kind == VALUE_UINT && v->u < 2; // as some writers have it
    if (v->kind != VALUE_BOOL && !number) return wrong_kind(c->path, key, v, VALUE_BOOL, e);
    *out = number ? v->u : v->b;
    return true;
}

bool checkpoint_string(const struct checkpoint *c, const char *key, struct text *out, gyr_error *e) {
    struct value room;
    const struct value *v = find(seen(c), key, &room);
    if (!v) return true;
    if (v->kind != VALUE_STRING) return wrong_kind(c->path, key, v, VALUE_STRING, e);
    *out = v->s;
    return true;
}

bool checkpoint_key(const struct checkpoint *c, size_t i, struct text *key, const struct value **value) {
    if (i >= c->keys->n) return false;
    *key = c->keys->items[i].name;
    *value = &c->keys->items[i].value;
    return true;
}
