// config.json as keys: nested objects become dotted names, lists of one kind become arrays.
#include "format/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

// Every nested key holds its whole path, so paths are bounded.
enum { MAX_KEY = 256 };

struct flattener {
    struct keys *keys;
    const char *where;
    struct buf name;
    gyr_error *e;
};

static bool put_value(struct flattener *f, const struct value *v) {
    char *name = arena_copy(&f->keys->arena, (struct text){f->name.data, f->name.size});
    return name ? keys_put(f->keys, (struct text){name, f->name.size}, v, f->where, f->e) : fail_memory(f->e, f->where);
}

static struct text keep_text(struct flattener *f, const json_t *j) {
    struct text s = json_text(j);
    return (struct text){arena_copy(&f->keys->arena, s), s.size};
}

// transformers 5 writes a number that JSON has no word for as an object: {"__float__": "Infinity"}. NULL where j is no
// such object, else the word.
static const char *tag_of(const json_t *j) {
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    const json_t *tag = json_object_size(j) == 1 ? json_object_get(j, "__float__") : NULL;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_is(tag, words[i])) return words[i];
    return NULL;
}

static bool is_real(const json_t *j) { return json_is_real(j) || json_strange(j) || tag_of(j); }

static double real_of(const json_t *j) {
    const char *tag = tag_of(j);
    double f;
    if (tag) return tag[0] == 'N' ? NAN : tag[0] == '-' ? -INFINITY : INFINITY;
    json_real_of(j, &f);
    return f;
}

static bool put_scalar(struct flattener *f, const json_t *j) {
    struct value v = {.kind = VALUE_NONE};
    json_int_t i = json_integer_value(j);
    if (json_is_integer(j))
        v = i < 0 ? (struct value){.kind = VALUE_INT, .i = i} : (struct value){.kind = VALUE_UINT, .u = (uint64_t)i};
    else if (is_real(j))
        v = (struct value){.kind = VALUE_FLOAT, .f = real_of(j)};
    else if (json_is_boolean(j))
        v = (struct value){.kind = VALUE_BOOL, .b = json_is_true(j)};
    else if (json_text(j).data)
        v = (struct value){.kind = VALUE_STRING, .s = keep_text(f, j)};
    if (v.kind == VALUE_STRING && !v.s.data) return fail_memory(f->e, f->where);
    return put_value(f, &v);
}

// The one type that holds all items of a list; GGUF_ARRAY if there is none.
static enum gguf_type common_type(const json_t *list) {
    size_t n = json_array_size(list), integers = 0, reals = 0, negatives = 0, bools = 0, strings = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(list, i);
        integers += json_is_integer(j);
        negatives += json_is_integer(j) && json_integer_value(j) < 0;
        reals += is_real(j);
        bools += json_is_boolean(j);
        strings += json_text(j).data != NULL;
    }
    if (strings == n) return GGUF_STRING;
    if (bools == n) return GGUF_BOOL;
    if (integers == n) return negatives ? GGUF_INT64 : GGUF_UINT64;
    return integers + reals == n ? GGUF_FLOAT64 : GGUF_ARRAY;
}

static bool put_list(struct flattener *f, const json_t *list, enum gguf_type type) {
    size_t n = json_array_size(list), size = gguf_type_size(type);
    struct text *strings = size ? NULL : arena_alloc(&f->keys->arena, n, sizeof *strings);
    uint8_t *numbers = size ? arena_alloc(&f->keys->arena, n, size) : NULL;
    if (!strings && !numbers) return fail_memory(f->e, f->where);
    for (size_t i = 0; i < n; i++) {
        const json_t *j = json_array_get(list, i);
        json_int_t integer = json_integer_value(j);
        double real = real_of(j);
        uint8_t bit = json_is_true(j);
        if (!size)
            strings[i] = keep_text(f, j);
        else
            memcpy(numbers + i * size,
                   type == GGUF_BOOL      ? (void *)&bit
                   : type == GGUF_FLOAT64 ? (void *)&real
                                          : &integer,
                   size);
        if (!size && !strings[i].data) return fail_memory(f->e, f->where);
    }
    struct value v = value_array(f->keys, type, n, numbers, strings);
    return v.kind == VALUE_ARRAY ? put_value(f, &v) : fail_memory(f->e, f->where);
}

static bool flatten(struct flattener *f, const json_t *j);

static bool flatten_member(struct flattener *f, const char *name, const json_t *j) {
    size_t size = f->name.size;
    if (size) buf_putc(&f->name, '.');
    buf_puts(&f->name, name);
    if (f->name.failed) return fail_memory(f->e, f->where);
    if (f->name.size > MAX_KEY)
        return fail(f->e, GYR_MALFORMED, "%s: a key of %zu bytes; get the file again", f->where, f->name.size);
    bool ok = flatten(f, j);
    f->name.size = size;
    return ok;
}

static bool flatten(struct flattener *f, const json_t *j) {
    bool ok = true;
    if (json_is_array(j)) {
        enum gguf_type type = common_type(j);
        if (type != GGUF_ARRAY) return put_list(f, j, type);
        for (size_t i = 0; ok && i < json_array_size(j); i++) {
            char name[24];
            snprintf(name, sizeof name, "%zu", i);
            ok = flatten_member(f, name, json_array_get(j, i));
        }
        return ok;
    }
    if (!json_is_object(j) || tag_of(j)) return put_scalar(f, j);
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)(uintptr_t)j, name, member) { ok = ok && flatten_member(f, name, member); }
    return ok;
}

bool hf_config(const json_t *root, struct keys *keys, const char *where, gyr_error *e) {
    struct flattener f = {.keys = keys, .where = where, .e = e};
    bool ok = flatten(&f, root);
    buf_free(&f.name);
    return ok;
}
