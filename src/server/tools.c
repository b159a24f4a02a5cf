#include "server/tools.h"

#include "server/literal.h"

#include <string.h>

#define STEPS 200 // schemas that are looked at for the types of one: references may go in circles

static const json_t *function_of(const json_t *tool) {
    const json_t *inner = json_object_get(tool, "function");
    return json_is_object(inner) ? inner : tool;
}

const char *tool_name(const json_t *tool) { return json_string_value(json_object_get(function_of(tool), "name")); }

const json_t *tool_schema(const json_t *tool) {
    const json_t *f = function_of(tool), *schema = json_object_get(f, "parameters");
    if (!json_is_object(schema)) schema = json_object_get(f, "input_schema");
    return json_is_object(schema) ? schema : NULL;
}

const json_t *tool_find(const json_t *tools, const char *name, size_t size) {
    for (size_t i = 0; i < json_array_size(tools); i++) {
        const json_t *tool = json_array_get(tools, i);
        const char *s = tool_name(tool);
        if (s && strlen(s) == size && !memcmp(s, name, size)) return tool;
    }
    return NULL;
}

static unsigned type_named(const json_t *name) {
    static const struct {
        const char *name;
        unsigned type;
    } names[] = {{"string", TYPE_STRING}, {"number", TYPE_NUMBER}, {"integer", TYPE_NUMBER}, {"boolean", TYPE_BOOLEAN},
                 {"null", TYPE_NULL},     {"object", TYPE_OBJECT}, {"array", TYPE_ARRAY}};
    const char *s = json_string_value(name);
    for (size_t i = 0; s && i < sizeof names / sizeof *names; i++)
        if (!strcmp(s, names[i].name)) return names[i].type;
    return 0;
}

static unsigned type_of(const json_t *value) {
    switch (json_typeof(value)) {
    case JSON_STRING: return TYPE_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return TYPE_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE: return TYPE_BOOLEAN;
    case JSON_NULL: return TYPE_NULL;
    case JSON_OBJECT: return TYPE_OBJECT;
    case JSON_ARRAY: return TYPE_ARRAY;
    }
    return 0;
}

// "#/$defs/NAME" and other paths of plain keys.
static const json_t *referred(const json_t *root, const char *path) {
    if (!path || path[0] != '#') return NULL;
    for (path++; root && *path == '/';) {
        size_t n = strcspn(++path, "/");
        char key[256];
        if (n >= sizeof key) return NULL;
        memcpy(key, path, n);
        key[n] = 0;
        root = json_object_get(root, key);
        path += n;
    }
    return root;
}

static unsigned schema_types(const json_t *schema, const json_t *root, int *steps);

// All that one of the alternatives may be; 0 if one of them may be anything.
static unsigned any_of(const json_t *list, const json_t *root, int *steps) {
    unsigned types = 0;
    for (size_t i = 0; i < json_array_size(list); i++) {
        unsigned t = schema_types(json_array_get(list, i), root, steps);
        if (!t) return 0;
        types |= t;
    }
    return types;
}

static unsigned schema_types(const json_t *schema, const json_t *root, int *steps) {
    unsigned types = 0;
    const json_t *type = json_object_get(schema, "type"), *list;
    if (!json_is_object(schema) || --*steps < 0) return 0;
    if (json_is_string(type)) types = type_named(type);
    for (size_t i = 0; i < json_array_size(type); i++) types |= type_named(json_array_get(type, i));
    if (json_is_true(json_object_get(schema, "nullable")) && types) types |= TYPE_NULL;
    if (types) return types;
    if ((list = json_object_get(schema, "const"))) return type_of(list);
    if (json_is_array(list = json_object_get(schema, "enum")))
        for (size_t i = 0; i < json_array_size(list); i++) types |= type_of(json_array_get(list, i));
    if (!types) types = any_of(json_object_get(schema, "anyOf"), root, steps);
    if (!types) types = any_of(json_object_get(schema, "oneOf"), root, steps);
    list = json_object_get(schema, "allOf");
    for (size_t i = 0; !types && i < json_array_size(list); i++)
        types = schema_types(json_array_get(list, i), root, steps);
    if (!types) types = schema_types(referred(root, json_string_value(json_object_get(schema, "$ref"))), root, steps);
    return types;
}

unsigned tool_schema_types(const json_t *schema, const json_t *root) {
    int steps = STEPS;
    return schema_types(schema, root, &steps);
}

unsigned tool_argument_types(const json_t *tool, const char *key) {
    const json_t *schema = tool_schema(tool);
    return tool_schema_types(json_object_get(json_object_get(schema, "properties"), key), schema);
}

static unsigned type_written(char first) {
    switch (first) {
    case '{': return TYPE_OBJECT;
    case '[': return TYPE_ARRAY;
    case '"': return TYPE_STRING;
    case 't':
    case 'f': return TYPE_BOOLEAN;
    case 'n': return TYPE_NULL;
    default: return TYPE_NUMBER;
    }
}

void tool_value(struct buf *out, const char *s, size_t size, unsigned types) {
    size_t before = out->size;
    if (types != TYPE_STRING)
        for (enum literal_dialect d = LITERAL_JSON; d <= LITERAL_PYTHON; d++) {
            if (!literal_whole(d, s, size, out)) continue;
            unsigned type = type_written(out->data ? out->data[before] : 0);
            if (types & TYPE_JSON) return;
            // A string in quotes is one only where a string is not what the text itself already is.
            if (types ? (types & type) && !(type == TYPE_STRING && (types & TYPE_STRING)) : type != TYPE_STRING) return;
            if (!out->failed) out->data[out->size = before] = 0;
        }
    buf_putc(out, '"');
    literal_quote(out, s, size);
    buf_putc(out, '"');
}
