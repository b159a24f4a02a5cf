// What does not obey a schema: alternatives, of which each breaks one of its keywords.
#include "text/grammar/schema_parts.h"

#include <string.h>

enum { MAX_NEGATIONS = 512 };

// A list being made, and what is negated.
struct negation {
    struct compiler *c;
    const json_t *schema, *value; // the schema, and the value of the keyword
    const char *key;
    json_t *out;
};

static bool add(struct negation *n, json_t *alternative) {
    return !json_array_append_new(n->out, alternative) || schema_no_memory(n->c);
}

// A schema of one of our own keywords.
static json_t *own(const char *key, json_t *value) {
    json_t *made = json_object();
    if (made && !json_object_set_new_nocheck(made, key, value)) return made;
    json_decref(made);
    return NULL;
}

static bool negate_type(struct negation *n) {
    struct part part = {.schema = n->schema};
    unsigned others = TYPE_ANY & ~parts_types(n->c, &(struct parts){.items = &part, .n = 1});
    return add(n, own(SCHEMA_TYPES, json_integer(others)));
}

static bool negate_values(struct negation *n) {
    json_t *list = strcmp(n->key, "const") ? json_incref((json_t *)(uintptr_t)n->value) : json_pack("[O]", n->value);
    return add(n, own(SCHEMA_NOT_VALUES, list));
}

static bool negate_bound(struct negation *n) {
    static const char *const turned[][2] = {{"minimum", "exclusiveMaximum"},
                                            {"maximum", "exclusiveMinimum"},
                                            {"exclusiveMinimum", "maximum"},
                                            {"exclusiveMaximum", "minimum"}};
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(turned[i][0], n->key) && !json_is_boolean(n->value))
            return add(n, json_pack("{s:s,s:O}", "type", "number", turned[i][1], n->value));
    return schema_fail(n->c, n->schema, GYR_UNSUPPORTED, "\"not\" of %s: true is not supported", n->key);
}

static bool negate_count(struct negation *n) {
    static const struct {
        const char *least, *most, *type;
    } counts[] = {{"minLength", "maxLength", "string"},
                  {"minItems", "maxItems", "array"},
                  {"minProperties", "maxProperties", "object"}};
    double value = json_number_value(n->value);
    for (size_t i = 0; i < 3; i++) {
        if (!strcmp(counts[i].least, n->key))
            return value < 1 || add(n, json_pack("{s:s,s:f}", "type", counts[i].type, counts[i].most, value - 1));
        if (!strcmp(counts[i].most, n->key))
            return add(n, json_pack("{s:s,s:f}", "type", counts[i].type, counts[i].least, value + 1));
    }
    return false;
}

static bool negate_text(struct negation *n) {
    const char *key = strcmp(n->key, "pattern") ? SCHEMA_NOT_FORMAT : SCHEMA_NOT_PATTERN;
    json_t *made = own(key, json_incref((json_t *)(uintptr_t)n->value));
    return add(n, json_object_set_new(made, "type", json_string("string")) ? NULL : made);
}

static bool negate_required(struct negation *n) {
    json_t *name;
    size_t i;
    json_array_foreach(n->value, i, name) {
        const char *s = json_c_string(name);
        if (s && !add(n, json_pack("{s:s,s:{s:b}}", "type", "object", "properties", s, 0))) return false;
    }
    return true;
}

static bool negate_properties(struct negation *n) {
    const char *key;
    json_t *schema;
    json_object_foreach((json_t *)(uintptr_t)n->value, key, schema) {
        if (!add(n, json_pack("{s:s,s:[s],s:{s:{s:O}}}", "type", "object", "required", key, "properties", key, "not",
                              schema)))
            return false;
    }
    return true;
}

static bool negate_prefix(struct negation *n) {
    json_t *schema;
    size_t i;
    json_array_foreach(n->value, i, schema) {
        json_t *prefix = json_array();
        schema_spend(n->c, 8 * i);
        for (size_t k = 0; k < i && !n->c->failed; k++) json_array_append_new(prefix, json_true());
        json_array_append_new(prefix, json_pack("{s:O}", "not", schema));
        if (json_array_size(prefix) != i + 1) {
            json_decref(prefix);
            return schema_no_memory(n->c);
        }
        if (!add(n, json_pack("{s:s,s:i,s:o}", "type", "array", "minItems", (int)i + 1, "prefixItems", prefix)))
            return false;
    }
    return true;
}

static bool negate_all(struct negation *n) {
    json_t *schema;
    size_t i;
    json_array_foreach(n->value, i, schema) {
        if (!add(n, json_pack("{s:O}", "not", schema))) return false;
    }
    return true;
}

static bool negate_any(struct negation *n) {
    json_t *schema, *all = json_array();
    size_t i;
    json_array_foreach(n->value, i, schema) json_array_append_new(all, json_pack("{s:O}", "not", schema));
    if (json_array_size(all) != json_array_size(n->value)) {
        json_decref(all);
        return schema_no_memory(n->c);
    }
    return add(n, json_pack("{s:o}", "allOf", all));
}

static bool negate_not(struct negation *n) { return add(n, json_incref((json_t *)(uintptr_t)n->value)); }

static bool negate_if(struct negation *n) {
    const json_t *then = json_object_get(n->schema, "then"), *otherwise = json_object_get(n->schema, "else");
    return (!then || add(n, json_pack("{s:[O,{s:O}]}", "allOf", n->value, "not", then))) &&
           (!otherwise || add(n, json_pack("{s:[{s:O},{s:O}]}", "allOf", "not", n->value, "not", otherwise)));
}

static bool negate_dependents(struct negation *n) {
    const char *key;
    json_t *with;
    json_object_foreach((json_t *)(uintptr_t)n->value, key, with) {
        json_t *other = json_is_array(with) ? json_pack("{s:O}", "required", with) : json_incref(with);
        if (!add(n, json_pack("{s:[{s:s,s:[s]},{s:o}]}", "allOf", "type", "object", "required", key, "not", other)))
            return false;
    }
    return true;
}

static bool negate_ref(struct negation *n) {
    const char *ref = json_c_string(n->value);
    const json_t *target = ref ? schema_target(n->c, n->schema, ref) : NULL;
    return target && add(n, json_pack("{s:O}", "not", target));
}

static bool nothing(struct negation *n) { return n->out; }

static bool negate_unique(struct negation *n) {
    return json_is_false(n->value) ||
           schema_fail(n->c, n->schema, GYR_UNSUPPORTED, "\"not\" of a schema with %s is not supported", n->key);
}

static bool negate_more(struct negation *n) {
    return json_is_true(n->value) ||
           schema_fail(n->c, n->schema, GYR_UNSUPPORTED, "\"not\" of a schema with %s is not supported", n->key);
}

static bool negate_kept(struct negation *n) {
    return schema_fail(n->c, n->schema, GYR_UNSUPPORTED, "\"not\" of a \"not\" of values is not supported");
}

static const struct {
    const char *key;
    bool (*negate)(struct negation *n);
} negations[] = {
    {"$ref", negate_ref},
    {"allOf", negate_all},
    {"anyOf", negate_any},
    {"oneOf", negate_more},
    {"not", negate_not},
    {"if", negate_if},
    {"then", nothing},
    {"else", nothing},
    {"dependentRequired", negate_dependents},
    {"dependentSchemas", negate_dependents},
    {"dependencies", negate_dependents},
    {"type", negate_type},
    {"enum", negate_values},
    {"const", negate_values},
    {"minimum", negate_bound},
    {"maximum", negate_bound},
    {"exclusiveMinimum", negate_bound},
    {"exclusiveMaximum", negate_bound},
    {"multipleOf", negate_more},
    {"minLength", negate_count},
    {"maxLength", negate_count},
    {"pattern", negate_text},
    {"format", negate_text},
    {"items", negate_more},
    {"prefixItems", negate_prefix},
    {"additionalItems", negate_more},
    {"minItems", negate_count},
    {"maxItems", negate_count},
    {"uniqueItems", negate_unique},
    {"properties", negate_properties},
    {"required", negate_required},
    {"additionalProperties", negate_more},
    {"patternProperties", negate_more},
    {"propertyNames", negate_more},
    {"minProperties", negate_count},
    {"maxProperties", negate_count},
    {"contains", negate_more},
    {"unevaluatedItems", negate_more},
    {"unevaluatedProperties", negate_more},
    {"$dynamicRef", negate_more},
    {"$recursiveRef", negate_more},
    {SCHEMA_TYPES, negate_kept},
    {SCHEMA_NOT_VALUES, negate_kept},
    {SCHEMA_NOT_PATTERN, negate_kept},
    {SCHEMA_NOT_FORMAT, negate_kept},
};

static bool negate_object(struct negation *n) {
    for (size_t i = 0; i < sizeof negations / sizeof *negations; i++) {
        n->key = negations[i].key;
        n->value = json_object_get(n->schema, n->key);
        if (n->value && !negations[i].negate(n)) return false;
    }
    return true;
}

const json_t *schema_negate(struct compiler *c, const json_t *at, const json_t *schema) {
    for (size_t i = 0; i < c->n_negations; i++)
        if (c->negations[i].of == schema) return c->negations[i].list;
    if (c->n_negations == MAX_NEGATIONS) {
        schema_fail(c, at, GYR_UNSUPPORTED, "more than %d negations", MAX_NEGATIONS);
        return NULL;
    }
    struct negation n = {.c = c, .schema = schema, .out = json_array()};
    if (!c->own) c->own = json_array();
    if (!n.out || !c->own || json_array_append_new(c->own, n.out) ||
        !ARRAY_GROW(c->negations, c->n_negations, c->negation_room)) {
        schema_no_memory(c);
        return NULL;
    }
    c->negations[c->n_negations].of = schema;
    c->negations[c->n_negations++].list = n.out;
    if (json_is_false(schema)) add(&n, json_true());
    if (!json_is_boolean(schema) && !json_is_object(schema))
        schema_fail(c, at, GYR_MALFORMED, "a schema is an object, true or false");
    if (json_is_object(schema) && !negate_object(&n)) return NULL;
    return c->failed ? NULL : n.out;
}
