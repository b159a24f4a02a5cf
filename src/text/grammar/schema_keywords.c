// Schemas that have to hold together: which keywords there are, and what they say of all.
#include "text/grammar/schema_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_OF_PART = 16 };

enum keyword_kind { KEYWORD_HONOURED, KEYWORD_NOTE, KEYWORD_REFUSED };

// In the order of their names. Others are not JSON Schema's, and mean nothing to it.
static const struct keyword {
    const char *name;
    enum keyword_kind kind;
} keywords[] = {
    {"$dynamicRef", KEYWORD_REFUSED},
    {"$recursiveRef", KEYWORD_REFUSED},
    {"$ref", KEYWORD_HONOURED},
    {"additionalItems", KEYWORD_HONOURED},
    {"additionalProperties", KEYWORD_HONOURED},
    {"allOf", KEYWORD_HONOURED},
    {"anyOf", KEYWORD_HONOURED},
    {"const", KEYWORD_HONOURED},
    {"contains", KEYWORD_REFUSED},
    {"dependencies", KEYWORD_HONOURED},
    {"dependentRequired", KEYWORD_HONOURED},
    {"dependentSchemas", KEYWORD_HONOURED},
    {"else", KEYWORD_HONOURED},
    {"enum", KEYWORD_HONOURED},
    {"exclusiveMaximum", KEYWORD_HONOURED},
    {"exclusiveMinimum", KEYWORD_HONOURED},
    {"format", KEYWORD_HONOURED},
    {"if", KEYWORD_HONOURED},
    {"items", KEYWORD_HONOURED},
    {"maxItems", KEYWORD_HONOURED},
    {"maxLength", KEYWORD_HONOURED},
    {"maxProperties", KEYWORD_HONOURED},
    {"maximum", KEYWORD_HONOURED},
    {"minItems", KEYWORD_HONOURED},
    {"minLength", KEYWORD_HONOURED},
    {"minProperties", KEYWORD_HONOURED},
    {"minimum", KEYWORD_HONOURED},
    {"multipleOf", KEYWORD_HONOURED},
    {"not", KEYWORD_HONOURED},
    {"oneOf", KEYWORD_HONOURED},
    {"pattern", KEYWORD_HONOURED},
    {"patternProperties", KEYWORD_HONOURED},
    {"prefixItems", KEYWORD_HONOURED},
    {"properties", KEYWORD_HONOURED},
    {"propertyNames", KEYWORD_HONOURED},
    {"required", KEYWORD_HONOURED},
    {"then", KEYWORD_HONOURED},
    {"type", KEYWORD_HONOURED},
    {"unevaluatedItems", KEYWORD_REFUSED},
    {"unevaluatedProperties", KEYWORD_REFUSED},
    {"uniqueItems", KEYWORD_HONOURED},
    {SCHEMA_NOT_FORMAT, KEYWORD_HONOURED},
    {SCHEMA_NOT_PATTERN, KEYWORD_HONOURED},
    {SCHEMA_TYPES, KEYWORD_HONOURED},
    {SCHEMA_NOT_VALUES, KEYWORD_HONOURED},
};

static int by_name(const void *name, const void *row) { return strcmp(name, ((const struct keyword *)row)->name); }

static const struct keyword *keyword(const char *name) {
    return bsearch(name, keywords, sizeof keywords / sizeof *keywords, sizeof *keywords, by_name);
}

// Whether a schema says anything; false also on failure.
static bool says_something(struct compiler *c, const json_t *schema) {
    const char *key;
    json_t *value;
    bool some = false;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value) {
        const struct keyword *k = keyword(key);
        bool idle = json_is_true(value) && !strncmp(key, "unevaluated", 11);
        if (k && k->kind == KEYWORD_REFUSED && !idle)
            return schema_fail(c, schema, GYR_UNSUPPORTED, "%s is not supported", key);
        some = some || (k && !idle);
    }
    return some;
}

static bool comes_from(const struct parts *p, size_t at, const json_t *schema) {
    for (; at != SIZE_MAX; at = p->items[at].parent)
        if (p->items[at].schema == schema) return true;
    return false;
}

bool parts_add(struct compiler *c, struct parts *p, const json_t *schema, unsigned done, size_t parent) {
    if (c->failed) return false;
    if (json_is_false(schema)) p->never = true;
    if (json_is_boolean(schema)) return true;
    if (!json_is_object(schema)) return schema_fail(c, schema, GYR_MALFORMED, "a schema is an object, true or false");
    if (comes_from(p, parent, schema))
        return schema_fail(c, schema, GYR_UNSUPPORTED, "a schema that is defined by itself and nothing else");
    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].schema == schema) return true;
    if (!schema_spend(c, STEPS_OF_PART + p->n / 4 + 8 * json_object_size(schema))) return false;
    if (!says_something(c, schema)) return !c->failed;
    if (p->n >= 256) return schema_fail(c, schema, GYR_UNSUPPORTED, "more than 256 schemas that all have to hold");
    if (!ARRAY_GROW(p->items, p->n, p->room)) return schema_no_memory(c);
    p->items[p->n++] = (struct part){schema, done, parent};
    return true;
}

void parts_free(struct parts *p) {
    free(p->items);
    *p = (struct parts){0};
}

bool parts_expand(struct compiler *c, struct parts *p) {
    for (size_t i = 0, k; i < p->n && !c->failed; i++) {
        const json_t *s = p->items[i].schema, *ref = json_object_get(s, "$ref"), *all = json_object_get(s, "allOf");
        json_t *one;
        if (p->items[i].done & DONE_REFS) continue;
        p->items[i].done |= DONE_REFS;
        if (ref && !json_c_string(ref)) return schema_fail(c, s, GYR_MALFORMED, "$ref is not a string");
        const json_t *target = ref ? schema_target(c, s, json_c_string(ref)) : NULL;
        if (target) parts_add(c, p, target, 0, i);
        if (all && !json_is_array(all)) return schema_fail(c, s, GYR_MALFORMED, "allOf is not a list");
        json_array_foreach(all, k, one) parts_add(c, p, one, 0, i);
    }
    return !c->failed;
}

bool parts_count(struct compiler *c, const struct parts *p, const char *key, bool largest, size_t *count) {
    for (size_t i = 0; i < p->n; i++) {
        const json_t *j = json_object_get(p->items[i].schema, key);
        double value;
        if (!j) continue;
        if (!json_real_of(j, &value) || value < 0 || value != floor(value))
            return schema_fail(c, p->items[i].schema, GYR_MALFORMED, "%s is not a number of things", key);
        size_t n = value < 1e15 ? (size_t)value : (size_t)1e15;
        if (largest ? n > *count : n < *count) *count = n;
    }
    return true;
}

static unsigned type_named(const json_t *j) {
    static const struct {
        const char *name;
        unsigned type;
    } types[] = {{"null", TYPE_NULL},     {"boolean", TYPE_BOOLEAN}, {"string", TYPE_STRING}, {"integer", TYPE_INTEGER},
                 {"number", TYPE_NUMBER}, {"array", TYPE_ARRAY},     {"object", TYPE_OBJECT}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (json_is(j, types[i].name)) return types[i].type;
    return 0;
}

unsigned parts_types(struct compiler *c, const struct parts *p) {
    unsigned types = TYPE_ANY;
    for (size_t i = 0, k; i < p->n; i++) {
        const json_t *j = json_object_get(p->items[i].schema, "type");
        json_t *one, *own = json_object_get(p->items[i].schema, SCHEMA_TYPES);
        if (own) types &= (unsigned)json_integer_value(own);
        if (!j) continue;
        unsigned mine = type_named(j);
        bool ok = mine || json_is_array(j);
        json_array_foreach(j, k, one) {
            ok = ok && type_named(one);
            mine |= type_named(one);
        }
        if (!ok) schema_fail(c, p->items[i].schema, GYR_MALFORMED, "type is not one, or a list, of the seven types");
        types &= mine;
    }
    return c->failed ? 0 : types;
}
