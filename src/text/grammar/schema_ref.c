// Where a schema's parts are: what $ref names, and what to call a place in messages.
#include "text/grammar/schema_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_OF_LOOK = 8, STEPS_OF_TARGET = 64 };

// Appends the pointer of `at` in the tree; false: it is not there.
static bool find(const json_t *in, const json_t *at, struct buf *path) {
    size_t size = path->size, i;
    const char *key;
    json_t *value;
    if (in == at) return true;
    if (json_is_object(in)) {
        json_object_foreach((json_t *)(uintptr_t)in, key, value) {
            buf_printf(path, "/%s", key);
            if (find(value, at, path)) return true;
            path->size = size;
        }
    }
    json_array_foreach(in, i, value) {
        buf_printf(path, "/%zu", i);
        if (find(value, at, path)) return true;
        path->size = size;
    }
    return false;
}

bool schema_fail(struct compiler *c, const json_t *at, gyr_status status, const char *why, ...) {
    char text[256];
    struct buf path = {0};
    va_list args;
    if (c->failed) return false;
    c->failed = true;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    bool there = find(c->root, at, &path) && !path.failed && path.size < 200;
    if (path.data) path.data[path.size] = 0;
    fail(c->e, status, "%s: #%s: %s", c->rules->what, there && path.size ? path.data : "", text);
    buf_free(&path);
    return false;
}

bool schema_no_memory(struct compiler *c) {
    if (!c->failed) fail_memory(c->e, c->rules->what);
    c->failed = true;
    return false;
}

bool schema_spend(struct compiler *c, size_t steps) {
    c->failed = !spend(&c->rules->budget, steps) || c->failed;
    return !c->failed;
}

// One step of a JSON pointer (RFC 6901), of which "%XX" was resolved before.
static const json_t *step(const json_t *j, const char *s, size_t size) {
    char name[512];
    size_t n = 0;
    for (size_t i = 0; i < size && n < sizeof name - 1; i++) {
        bool tilde = s[i] == '~' && i + 1 < size && (s[i + 1] == '0' || s[i + 1] == '1');
        name[n++] = tilde ? (s[++i] == '0' ? '~' : '/') : s[i];
    }
    name[n] = 0;
    if (json_is_object(j)) return json_object_get(j, name);
    if (!json_is_array(j) || !n || strspn(name, "0123456789") != n || n > 9) return NULL;
    return json_array_get(j, strtoul(name, NULL, 10));
}

static const json_t *follow(const json_t *j, const char *pointer) {
    while (j && *pointer == '/') {
        size_t n = strcspn(++pointer, "/");
        j = step(j, pointer, n);
        pointer += n;
    }
    return *pointer ? NULL : j;
}

// A member whose value is that string, of any schema in the tree.
static const json_t *named(struct compiler *c, const json_t *in, const char *key, const char *name) {
    const char *k;
    json_t *value, *mine = json_object_get(in, key);
    size_t i;
    const json_t *found = NULL;
    if (!schema_spend(c, STEPS_OF_LOOK)) return NULL;
    if (json_is_string(mine) && !strcmp(json_string_value(mine), name)) return in;
    if (json_is_object(in)) {
        json_object_foreach((json_t *)(uintptr_t)in, k, value) {
            if (strcmp(k, "const") && strcmp(k, "enum") && (found = named(c, value, key, name))) return found;
        }
    }
    json_array_foreach(in, i, value) {
        if ((found = named(c, value, key, name))) return found;
    }
    return NULL;
}

static bool inner_id(const json_t *in, bool top) {
    const char *k;
    json_t *value;
    size_t i;
    if (!top && json_is_string(json_object_get(in, "$id"))) return true;
    if (json_is_object(in)) {
        json_object_foreach((json_t *)(uintptr_t)in, k, value) {
            if (strcmp(k, "const") && strcmp(k, "enum") && strcmp(k, "default") && strcmp(k, "examples") &&
                inner_id(value, false))
                return true;
        }
    }
    json_array_foreach(in, i, value) {
        if (inner_id(value, false)) return true;
    }
    return false;
}

bool schema_find_ids(struct compiler *c) {
    c->inner_ids = inner_id(c->root, true);
    return true;
}

static void unescape(const char *s, char *out, size_t room) {
    size_t n = 0;
    for (; *s && n + 1 < room; s++) {
        unsigned byte;
        if (*s == '%' && sscanf(s + 1, "%2x", &byte) == 1 && s[1] && s[2])
            out[n++] = (char)byte, s += 2;
        else
            out[n++] = *s;
    }
    out[n] = 0;
}

const json_t *schema_target(struct compiler *c, const json_t *at, const char *ref) {
    char fragment[1024];
    const char *id = json_c_string(json_object_get(c->root, "$id")), *hash = strchr(ref, '#');
    size_t base = hash ? (size_t)(hash - ref) : strlen(ref);
    const json_t *document = c->root, *found = NULL;
    if (!schema_spend(c, STEPS_OF_TARGET)) return NULL;
    if (base && (!id || strncmp(id, ref, base) || (id[base] && strcmp(id + base, "#")))) {
        char name[1024];
        snprintf(name, sizeof name, "%.*s", (int)(base < sizeof name ? base : sizeof name - 1), ref);
        document = named(c, c->root, "$id", name);
    } else if (c->inner_ids) {
        document = NULL;
    }
    if (!document) {
        if (c->inner_ids && !base)
            schema_fail(c, at, GYR_UNSUPPORTED, "$ref in a document with several $id is not supported");
        else
            schema_fail(c, at, GYR_UNSUPPORTED, "$ref \"%.100s\" names another document, which is not supported", ref);
        return NULL;
    }
    unescape(hash ? hash + 1 : "", fragment, sizeof fragment);
    if (c->inner_ids && *fragment && *fragment != '/') {
        schema_fail(c, at, GYR_UNSUPPORTED, "$ref by $anchor in a document with several $id is not supported");
        return NULL;
    }
    if (!*fragment || *fragment == '/')
        found = follow(document, fragment);
    else
        found = named(c, document, "$anchor", fragment);
    if (!found) schema_fail(c, at, GYR_MALFORMED, "$ref \"%.100s\" leads nowhere", ref);
    return found;
}
