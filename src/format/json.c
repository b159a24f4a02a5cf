#include "format/json.h"

#include "base/map.h"

#include <stdlib.h>
#include <string.h>

// A container costs jansson about 200 bytes, so a text that is mostly brackets would grow a hundredfold. In real
// files one comes every ten bytes at most (merges written as pairs).
enum { MAX_DEPTH = 64, BYTES_PER_CONTAINER = 8, FREE_CONTAINERS = 1000 };

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

static const char *why(enum json_error_code code) {
    switch (code) {
    case json_error_premature_end_of_input: return "ends too early";
    case json_error_invalid_utf8: return "not UTF-8";
    case json_error_duplicate_key: return "a key is there twice";
    case json_error_numeric_overflow: return "a number is too large";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "a string with a zero byte";
    case json_error_end_of_input_expected: return "text after its end";
    default: return "not JSON";
    }
}

static json_t *parse(const char *data, size_t size, size_t flags, json_type type, const char *where, gyr_error *e) {
    if (!check_shape(data, size, where, e)) return NULL;
    json_error_t je;
    json_t *j = json_loadb(data, size, JSON_REJECT_DUPLICATES | flags, &je);
    if (j && json_typeof(j) == type) return j;
    if (j) {
        json_decref(j);
        return fail_null(e, GYR_MALFORMED, "%s: bad JSON: not %s; get the file again", where,
                         type == JSON_OBJECT ? "an object" : "a list");
    }
    if (je.line < 0) return fail_memory(e, where), NULL; // jansson failed without having found anything wrong
    return fail_null(e, GYR_MALFORMED, "%s: bad JSON in line %d: %s; get the file again", where, je.line,
                     why(json_error_code(&je)));
}

json_t *json_parse(const char *data, size_t size, size_t flags, const char *where, gyr_error *e) {
    return parse(data, size, flags, JSON_OBJECT, where, e);
}

json_t *json_parse_list(const char *data, size_t size, size_t flags, const char *where, gyr_error *e) {
    return parse(data, size, flags, JSON_ARRAY, where, e);
}

json_t *json_open(const char *path, size_t limit, size_t flags, gyr_error *e) {
    size_t size;
    char *data = read_file(path, limit, &size, e);
    json_t *j = data ? json_parse(data, size, flags, path, e) : NULL;
    free(data);
    return j;
}

struct text json_text(const json_t *j) {
    if (!json_is_string(j)) return (struct text){0};
    return (struct text){json_string_value(j), json_string_length(j)};
}

bool json_is(const json_t *j, const char *text) { return json_is_string(j) && !strcmp(json_string_value(j), text); }
