// Whether a given value obeys a schema: which of an enum's values are left, and which schemas have none in common.
#include "base/utf8.h"
#include "text/grammar/schema_parts.h"

#include <math.h>
#include <string.h>

// Most schemas that a value is held against. 16 comparisons with values of an enum count as one.
enum { MAX_CHECK_DEPTH = 64, MAX_CHECKS = 100000, STEPS_OF_CHECK = 100, STEPS_OF_VALUE = 4 };

static enum verdict both(enum verdict a, enum verdict b) {
    if (a == VERDICT_NO || b == VERDICT_NO) return VERDICT_NO;
    return a == VERDICT_YES && b == VERDICT_YES ? VERDICT_YES : VERDICT_UNSURE;
}

static enum verdict turned(enum verdict a) {
    return a == VERDICT_YES ? VERDICT_NO : a == VERDICT_NO ? VERDICT_YES : VERDICT_UNSURE;
}

static enum verdict is(bool yes) { return yes ? VERDICT_YES : VERDICT_NO; }

bool json_same(const json_t *a, const json_t *b, struct budget *budget) {
    double x, y;
    if (!spend(budget, STEPS_OF_VALUE)) return false;
    if (json_is_integer(a) && json_is_integer(b)) return json_integer_value(a) == json_integer_value(b);
    if (json_real_of(a, &x) && json_real_of(b, &y)) {
        const char *s = json_strange(a), *t = json_strange(b);
        return s && t ? !strcmp(s, t) : x == y;
    }
    if (json_typeof(a) != json_typeof(b)) return false;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b)) return false;
        for (size_t i = 0; i < json_array_size(a); i++)
            if (!json_same(json_array_get(a, i), json_array_get(b, i), budget)) return false;
        return true;
    }
    if (json_is_object(a)) {
        const char *key;
        json_t *value;
        if (json_object_size(a) != json_object_size(b)) return false;
        json_object_foreach((json_t *)(uintptr_t)a, key, value) {
            const json_t *other = json_object_get(b, key);
            if (!other || !json_same(value, other, budget)) return false;
        }
        return true;
    }
    return json_equal((json_t *)(uintptr_t)a, (json_t *)(uintptr_t)b);
}

unsigned json_type_of(const json_t *j) {
    double x;
    if (json_is_null(j)) return TYPE_NULL;
    if (json_is_boolean(j)) return TYPE_BOOLEAN;
    if (json_is_array(j)) return TYPE_ARRAY;
    if (json_is_object(j)) return TYPE_OBJECT;
    if (!json_real_of(j, &x)) return TYPE_STRING;
    return x == floor(x) ? TYPE_INTEGER : TYPE_FRACTION;
}

static enum verdict check_number(const json_t *s, const json_t *value) {
    double x, bound;
    enum verdict v = VERDICT_YES;
    if (!json_real_of(value, &x)) return VERDICT_YES;
    const json_t *least = json_object_get(s, "minimum"), *most = json_object_get(s, "maximum");
    const json_t *above = json_object_get(s, "exclusiveMinimum"), *below = json_object_get(s, "exclusiveMaximum");
    if (least && json_real_of(least, &bound)) v = both(v, is(json_is_true(above) ? x > bound : x >= bound));
    if (most && json_real_of(most, &bound)) v = both(v, is(json_is_true(below) ? x < bound : x <= bound));
    if (above && json_real_of(above, &bound)) v = both(v, is(x > bound));
    if (below && json_real_of(below, &bound)) v = both(v, is(x < bound));
    const json_t *step = json_object_get(s, "multipleOf");
    if (!step || !json_real_of(step, &bound)) return v;
    if (bound == floor(bound) && x == floor(x) && fabs(x) < 1e15) return both(v, is(fmod(x, bound) == 0));
    return both(v, VERDICT_UNSURE);
}

static enum verdict check_pattern(struct compiler *c, struct text s, struct text pattern, enum pattern_match match) {
    gyr_error why;
    struct buf b = {0};
    enum verdict v = VERDICT_UNSURE;
    json_spell(&b, s);
    const struct fsm *f = b.failed ? NULL : schema_pattern(c, pattern, match, &why);
    if (f && spend(&c->rules->budget, b.size)) v = is(fsm_matches(f, b.data ? b.data : "", b.size));
    buf_free(&b);
    return v;
}

static enum verdict check_count(const json_t *s, size_t n, const char *least, const char *most) {
    double bound;
    const json_t *j = json_object_get(s, least);
    enum verdict v = is(!j || !json_real_of(j, &bound) || (double)n >= bound);
    j = json_object_get(s, most);
    return both(v, is(!j || !json_real_of(j, &bound) || (double)n <= bound));
}

static enum verdict check_string(struct compiler *c, const json_t *s, const json_t *value) {
    struct text t = json_text(value), pattern = json_text(json_object_get(s, "pattern"));
    size_t n = 0;
    uint32_t ch;
    if (!t.data) return VERDICT_YES;
    for (size_t i = 0; i < t.size; n++) {
        int size = utf8_decode(t.data + i, t.size - i, &ch);
        i += size ? (size_t)size : 1;
    }
    enum verdict v = check_count(s, n, "minLength", "maxLength");
    if (v == VERDICT_YES && pattern.data) v = check_pattern(c, t, pattern, PATTERN_FIND);
    const json_t *format = json_object_get(s, "format");
    const char *known = json_c_string(format) ? format_pattern(json_c_string(format)) : NULL;
    const json_t *not_pattern = json_object_get(s, SCHEMA_NOT_PATTERN);
    if (v == VERDICT_YES && not_pattern) v = turned(check_pattern(c, t, json_text(not_pattern), PATTERN_FIND));
    if (json_object_get(s, SCHEMA_NOT_FORMAT)) v = both(v, VERDICT_UNSURE);
    if (v == VERDICT_YES && format)
        v = known ? check_pattern(c, t, (struct text){known, strlen(known)}, PATTERN_WHOLE) : VERDICT_UNSURE;
    return v;
}

static enum verdict check(struct compiler *c, const json_t *s, const json_t *value, int depth);

static enum verdict check_array(struct compiler *c, const json_t *s, const json_t *value, int depth) {
    const json_t *items = json_object_get(s, "items"), *prefix = json_object_get(s, "prefixItems"), *rest = items;
    if (!json_is_array(value)) return VERDICT_YES;
    if (json_is_array(items)) prefix = items, rest = json_object_get(s, "additionalItems");
    enum verdict v = check_count(s, json_array_size(value), "minItems", "maxItems");
    for (size_t i = 0; i < json_array_size(value) && v != VERDICT_NO; i++) {
        const json_t *one = i < json_array_size(prefix) ? json_array_get(prefix, i) : rest;
        if (one) v = both(v, check(c, one, json_array_get(value, i), depth + 1));
    }
    if (json_is_true(json_object_get(s, "uniqueItems")))
        for (size_t i = 0; i < json_array_size(value); i++)
            for (size_t k = 0; k < i; k++)
                if (json_same(json_array_get(value, i), json_array_get(value, k), &c->rules->budget)) v = VERDICT_NO;
    if (json_object_get(s, "contains") || json_object_get(s, "unevaluatedItems")) v = both(v, VERDICT_UNSURE);
    return v;
}

static enum verdict check_member(struct compiler *c, const json_t *s, const char *name, const json_t *value,
                                 int depth) {
    const json_t *own = json_object_get(json_object_get(s, "properties"), name);
    const json_t *more = json_object_get(s, "additionalProperties");
    enum verdict v = own ? check(c, own, value, depth) : VERDICT_YES;
    bool matched = own;
    const char *pattern;
    json_t *schema;
    json_object_foreach(json_object_get(s, "patternProperties"), pattern, schema) {
        enum verdict fits =
            check_pattern(c, (struct text){name, strlen(name)}, (struct text){pattern, strlen(pattern)}, PATTERN_FIND);
        if (fits == VERDICT_NO) continue;
        matched = true;
        v = both(v, fits == VERDICT_YES ? check(c, schema, value, depth) : VERDICT_UNSURE);
    }
    return matched || !more ? v : both(v, check(c, more, value, depth));
}

static enum verdict check_object(struct compiler *c, const json_t *s, const json_t *value, int depth) {
    const char *key;
    json_t *one;
    size_t i;
    static const char *const unsure[] = {"propertyNames", "dependentRequired", "dependentSchemas", "dependencies",
                                         "unevaluatedProperties"};
    if (!json_is_object(value)) return VERDICT_YES;
    enum verdict v = check_count(s, json_object_size(value), "minProperties", "maxProperties");
    json_array_foreach(json_object_get(s, "required"), i, one) {
        if (!json_is_string(one) || !json_object_get(value, json_string_value(one))) v = VERDICT_NO;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, one) v = both(v, check_member(c, s, key, one, depth + 1));
    for (i = 0; i < sizeof unsure / sizeof *unsure; i++)
        if (json_object_get(s, unsure[i])) v = both(v, VERDICT_UNSURE);
    return v;
}

static enum verdict check_choices(struct compiler *c, const json_t *s, const json_t *value, int depth) {
    json_t *one;
    size_t i, yes = 0, unsure = 0;
    enum verdict v = VERDICT_YES;
    json_array_foreach(json_object_get(s, "allOf"), i, one) v = both(v, check(c, one, value, depth));
    json_array_foreach(json_object_get(s, "anyOf"), i, one) {
        enum verdict mine = check(c, one, value, depth);
        yes += mine == VERDICT_YES, unsure += mine == VERDICT_UNSURE;
    }
    if (json_object_get(s, "anyOf")) v = both(v, yes ? VERDICT_YES : unsure ? VERDICT_UNSURE : VERDICT_NO);
    yes = unsure = 0;
    json_array_foreach(json_object_get(s, "oneOf"), i, one) {
        enum verdict mine = check(c, one, value, depth);
        yes += mine == VERDICT_YES, unsure += mine == VERDICT_UNSURE;
    }
    if (json_object_get(s, "oneOf")) v = both(v, unsure && yes < 2 ? VERDICT_UNSURE : is(yes == 1));
    const json_t *other = json_object_get(s, "not");
    if (other) v = both(v, turned(check(c, other, value, depth)));
    const json_t *when = json_object_get(s, "if");
    if (!when) return v;
    enum verdict holds = check(c, when, value, depth);
    const json_t *then = json_object_get(s, holds == VERDICT_YES ? "then" : "else");
    if (holds == VERDICT_UNSURE) return both(v, VERDICT_UNSURE);
    return then ? both(v, check(c, then, value, depth)) : v;
}

static enum verdict check(struct compiler *c, const json_t *s, const json_t *value, int depth) {
    if (json_is_boolean(s)) return is(json_is_true(s));
    if (depth > MAX_CHECK_DEPTH || !json_is_object(s) || c->failed || !c->checks) return VERDICT_UNSURE;
    c->checks--;
    if (!spend(&c->rules->budget, STEPS_OF_CHECK)) return VERDICT_UNSURE;
    struct part part = {.schema = s};
    unsigned types = parts_types(c, &(struct parts){.items = &part, .n = 1});
    const json_t *constant = json_object_get(s, "const"), *list = json_object_get(s, "enum"), *ref;
    enum verdict v = is(types & json_type_of(value));
    if (constant) v = both(v, is(json_same(constant, value, &c->rules->budget)));
    const json_t *excluded = json_object_get(s, SCHEMA_NOT_VALUES);
    for (size_t i = 0; i < json_array_size(excluded); i++)
        if (json_same(json_array_get(excluded, i), value, &c->rules->budget)) v = VERDICT_NO;
    bool found = !list;
    if (!found && list == c->listed) found = depth == 0; // that is where the value is from
    for (size_t i = 0; i < json_array_size(list) && !found; i++) {
        if (i % 16 == 15 && c->checks) c->checks--;
        found = json_same(json_array_get(list, i), value, &c->rules->budget);
    }
    v = both(v, is(found));
    if (v == VERDICT_YES) v = both(check_number(s, value), check_string(c, s, value));
    if (v != VERDICT_NO) v = both(v, check_array(c, s, value, depth));
    if (v != VERDICT_NO) v = both(v, check_object(c, s, value, depth));
    if (v != VERDICT_NO) v = both(v, check_choices(c, s, value, depth + 1));
    if (v != VERDICT_NO && json_c_string(ref = json_object_get(s, "$ref"))) {
        const json_t *target = schema_target(c, s, json_c_string(ref));
        v = both(v, target ? check(c, target, value, depth + 1) : VERDICT_UNSURE);
    }
    if (json_object_get(s, "$dynamicRef") || json_object_get(s, "$recursiveRef")) v = both(v, VERDICT_UNSURE);
    return v;
}

enum verdict schema_check(struct compiler *c, const json_t *schema, const json_t *value, const json_t *from) {
    c->checks = MAX_CHECKS;
    c->listed = from;
    return check(c, schema, value, 0);
}
