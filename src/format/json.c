#include "format/json.h"

#include "base/map.h"
#include "format/json_read.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A container costs jansson about 200 bytes, so a text that is mostly brackets would grow a hundredfold. In real
// files one comes every ten bytes at most (merges written as pairs).
enum { MAX_DEPTH = 64, TALK_DEPTH = 400, BYTES_PER_CONTAINER = 8, FREE_CONTAINERS = 1000 };

static bool check_shape(const char *data, size_t size, const char *where, gyr_error *e) {
    size_t depth = 0, containers = 0;
    bool string = false;
    for (size_t i = 0; i < size; i++) {
        char c = data[i];
        if (string && c == '\\')
            i++;
        else if (c == '"')
            string = !string;
        else if (!string && (c == '{' || c == '['))
            depth++, containers++;
        else if (!string && (c == '}' || c == ']') && depth)
            depth--;
        if (depth > MAX_DEPTH)
            return fail(e, GYR_MALFORMED, "%s: JSON nested more than %d deep; get the file again", where, MAX_DEPTH);
    }
    if (containers <= size / BYTES_PER_CONTAINER + FREE_CONTAINERS) return true;
    return fail(e, GYR_MALFORMED, "%s: JSON with %zu lists and objects in %zu bytes; get the file again", where,
                containers, size);
}

static json_t *parse(const char *data, size_t size, size_t flags, json_type type, const char *where, gyr_error *e) {
    if (!check_shape(data, size, where, e)) return NULL;
    struct json_trouble t;
    json_t *j = json_read(data, size, &(struct json_rules){MAX_DEPTH, flags & JSON_REJECT_DUPLICATES}, &t);
    if (j && json_typeof(j) == type) return j;
    if (j) {
        json_decref(j);
        return fail_null(e, GYR_MALFORMED, "%s: bad JSON: not %s; get the file again", where,
                         type == JSON_OBJECT ? "an object" : "a list");
    }
    if (!t.why) return fail_memory(e, where), NULL;
    return fail_null(e, GYR_MALFORMED, "%s: bad JSON in line %zu: %s; get the file again", where, t.line, t.why);
}

json_t *json_parse(const char *data, size_t size, size_t flags, const char *where, gyr_error *e) {
    return parse(data, size, flags, JSON_OBJECT, where, e);
}

json_t *json_parse_list(const char *data, size_t size, size_t flags, const char *where, gyr_error *e) {
    return parse(data, size, flags, JSON_ARRAY, where, e);
}

json_t *json_parse_talk(const char *data, size_t size, gyr_error *e) {
    struct json_trouble t;
    json_t *j = json_read(data, size, &(struct json_rules){.depth = TALK_DEPTH}, &t);
    if (j) return j;
    if (!t.why) return fail_memory(e, "messages"), NULL;
    return fail_null(e, GYR_USAGE, "messages:%zu:%zu: not JSON: %s", t.line, t.column, t.why);
}

json_t *json_parse_any(const char *data, size_t size, size_t depth, const char *where, gyr_error *e) {
    struct json_trouble t;
    json_t *j = json_read(data, size, &(struct json_rules){.depth = depth}, &t);
    if (j) return j;
    if (!t.why) return fail_memory(e, where), NULL;
    return fail_null(e, GYR_MALFORMED, "%s:%zu:%zu: not JSON: %s", where, t.line, t.column, t.why);
}

json_t *json_open(const char *path, size_t limit, size_t flags, gyr_error *e) {
    size_t size;
    char *data = read_file(path, limit, &size, e);
    json_t *j = data ? json_parse(data, size, flags, path, e) : NULL;
    free(data);
    return j;
}

struct text json_text(const json_t *j) {
    if (!json_is_string(j) || json_strange(j)) return (struct text){0};
    return (struct text){json_string_value(j), json_string_length(j)};
}

const char *json_c_string(const json_t *j) {
    struct text s = json_text(j);
    return s.data && !memchr(s.data, 0, s.size) ? s.data : NULL;
}

bool json_is(const json_t *j, const char *text) {
    struct text s = json_text(j);
    return s.data && s.size == strlen(text) && !memcmp(s.data, text, s.size);
}

const char *json_strange(const json_t *j) {
    const char *s = json_string_value(j);
    return s && *s == JSON_STRANGE ? s + 1 : NULL;
}

bool json_real_of(const json_t *j, double *out) {
    const char *s = json_strange(j);
    *out = json_number_value(j);
    if (!s) return json_is_number(j);
    bool minus = *s == '-';
    if (!strcmp(s, "NaN"))
        *out = NAN;
    else if (!strcmp(s + minus, "Infinity"))
        *out = minus ? -INFINITY : INFINITY;
    else // digits alone, which are read alike in every locale
        *out = strtod(s, NULL);
    return true;
}

struct text json_key(const char *key, struct buf *room) {
    struct text s = {key, strlen(key)};
    const char *at = strstr(key, JSON_KEY_NUL);
    if (!at) return s;
    buf_clear(room);
    for (; at; at = strstr(key, JSON_KEY_NUL)) {
        buf_append(room, key, (size_t)(at - key));
        buf_putc(room, 0);
        key = at + strlen(JSON_KEY_NUL);
    }
    buf_puts(room, key);
    return (struct text){room->data, room->size};
}
