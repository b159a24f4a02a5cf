// Whether two schemas have no value in common, as far as that can be seen: then "oneOf" is "anyOf".
#include "text/grammar/schema_parts.h"

#include <math.h>
#include <string.h>

enum { MAX_APART_DEPTH = 6, STEPS_OF_APART = 100 };

static bool apart(struct compiler *c, struct parts *a, struct parts *b, int depth);

// None of the values that a lists obey b.
static bool values_apart(struct compiler *c, const struct parts *a, const struct parts *b, bool *listed) {
    const json_t *values = schema_values(c, a, listed);
    for (size_t i = 0; i < json_array_size(values); i++) {
        bool out = false;
        for (size_t k = 0; k < b->n && !out; k++)
            out = schema_check(c, b->items[k].schema, json_array_get(values, i), NULL) == VERDICT_NO;
        if (!out) return false;
    }
    return *listed && values;
}

struct range {
    double least, most;
};

static struct range range(const struct parts *p, const char *least, const char *most) {
    struct range r = {-INFINITY, INFINITY};
    double x;
    for (size_t i = 0; i < p->n; i++) {
        const json_t *low = json_object_get(p->items[i].schema, least),
                     *high = json_object_get(p->items[i].schema, most);
        if (low && json_real_of(low, &x) && x > r.least) r.least = x;
        if (high && json_real_of(high, &x) && x < r.most) r.most = x;
    }
    return r;
}

static bool ranges_apart(const struct parts *a, const struct parts *b, const char *least, const char *most) {
    struct range x = range(a, least, most), y = range(b, least, most);
    return x.most < y.least || y.most < x.least;
}

static bool numbers_apart(const struct parts *a, const struct parts *b) {
    if (ranges_apart(a, b, "minimum", "maximum")) return true;
    struct range x = range(a, "exclusiveMinimum", "exclusiveMaximum"), y = range(b, "minimum", "maximum");
    if (x.most <= y.least || y.most <= x.least) return true;
    x = range(a, "minimum", "maximum"), y = range(b, "exclusiveMinimum", "exclusiveMaximum");
    return x.most <= y.least || y.most <= x.least;
}

static bool strings_apart(struct compiler *c, const struct parts *a, const struct parts *b) {
    struct fsm x = {0}, y = {0}, both = {0};
    bool free_x, free_y, result = false;
    if (ranges_apart(a, b, "minLength", "maxLength")) return true;
    if (string_content(c, a, &x, &free_x) && string_content(c, b, &y, &free_y) && !free_x && !free_y &&
        fsm_combine(&both, &x, &y, FSM_BOTH, 1 << 14, &c->rules->budget))
        result = fsm_is_empty(&both);
    fsm_free(&x);
    fsm_free(&y);
    fsm_free(&both);
    return result;
}

static bool requires(const struct parts *p, const char *name) {
    json_t *one;
    size_t k;
    for (size_t i = 0; i < p->n; i++) {
        json_array_foreach(json_object_get(p->items[i].schema, "required"), k, one) {
            if (json_is_string(one) && !strcmp(json_string_value(one), name)) return true;
        }
    }
    return false;
}

// The schemas of a property; without those that patterns might give it.
static struct parts member(struct compiler *c, const struct parts *p, const char *name) {
    struct parts q = {0};
    for (size_t i = 0; i < p->n && !c->failed; i++) {
        const json_t *s = p->items[i].schema, *own = json_object_get(json_object_get(s, "properties"), name);
        if (!own && !json_object_get(s, "patternProperties")) own = json_object_get(s, "additionalProperties");
        if (own) parts_add(c, &q, own, 0, SIZE_MAX);
    }
    if (!c->failed) parts_expand(c, &q);
    return q;
}

// A property that one of them requires, and that is another, or not there, in the other.
static bool objects_apart(struct compiler *c, const struct parts *a, const struct parts *b, int depth) {
    json_t *one;
    size_t k;
    if (ranges_apart(a, b, "minProperties", "maxProperties")) return true;
    for (size_t i = 0; i < a->n; i++) json_array_foreach(json_object_get(a->items[i].schema, "required"), k, one) {
            const char *name = json_c_string(one);
            if (!name || c->failed || !c->checks) continue;
            struct parts x = member(c, a, name), y = member(c, b, name);
            bool out = y.never || (requires(b, name) && apart(c, &x, &y, depth + 1));
            parts_free(&x);
            parts_free(&y);
            if (out) return true;
        }
    return false;
}

static struct parts item(struct compiler *c, const struct parts *p, size_t i) {
    struct parts q = {0};
    for (size_t k = 0; k < p->n && !c->failed; k++) {
        const json_t *s = p->items[k].schema, *prefix = json_object_get(s, "prefixItems");
        const json_t *items = json_object_get(s, "items");
        const json_t *mine = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        if (mine && !json_is_array(items)) parts_add(c, &q, mine, 0, SIZE_MAX);
    }
    if (!c->failed) parts_expand(c, &q);
    return q;
}

static bool arrays_apart(struct compiler *c, const struct parts *a, const struct parts *b, int depth) {
    if (ranges_apart(a, b, "minItems", "maxItems")) return true;
    if (range(a, "minItems", "maxItems").least < 1 && range(b, "minItems", "maxItems").least < 1) return false;
    struct parts x = item(c, a, 0), y = item(c, b, 0);
    bool out = apart(c, &x, &y, depth + 1);
    parts_free(&x);
    parts_free(&y);
    return out;
}

// All of a's alternatives have nothing in common with b.
static bool choices_apart(struct compiler *c, const struct parts *a, struct parts *b, int depth) {
    size_t at, i;
    unsigned done;
    json_t *one;
    bool out = true;
    const json_t *list = schema_choice(c, a, &at, &done);
    if (!list) return false;
    json_array_foreach(list, i, one) {
        struct parts q;
        if (!out || c->failed) break;
        parts_with(c, &q, a, at, done, one);
        out = parts_expand(c, &q) && apart(c, &q, b, depth + 1);
        parts_free(&q);
    }
    return out;
}

static bool apart(struct compiler *c, struct parts *a, struct parts *b, int depth) {
    bool listed_a = false, listed_b = false;
    if (depth > MAX_APART_DEPTH || c->failed || !c->apart_left) return false;
    c->apart_left--;
    if (!schema_spend(c, STEPS_OF_APART * (a->n + b->n))) return false;
    if (a->never || b->never) return true;
    unsigned types = parts_types(c, a) & parts_types(c, b);
    if (!types) return true;
    if (schema_has_choice(a)) return choices_apart(c, a, b, depth);
    if (schema_has_choice(b)) return choices_apart(c, b, a, depth);
    if (values_apart(c, a, b, &listed_a) || values_apart(c, b, a, &listed_b)) return true;
    if (c->failed || listed_a || listed_b || types & (TYPE_NULL | TYPE_BOOLEAN)) return false;
    return (!(types & TYPE_NUMBER) || numbers_apart(a, b)) && (!(types & TYPE_STRING) || strings_apart(c, a, b)) &&
           (!(types & TYPE_ARRAY) || arrays_apart(c, a, b, depth)) &&
           (!(types & TYPE_OBJECT) || objects_apart(c, a, b, depth));
}

bool schema_apart(struct compiler *c, const struct parts *p, size_t at, const json_t *one, const json_t *other) {
    struct parts a, b;
    bool out = parts_with(c, &a, p, at, ~0u, one);
    out = parts_with(c, &b, p, at, ~0u, other) && out;
    c->apart_left = 1000;
    out = out && parts_expand(c, &a) && parts_expand(c, &b) && apart(c, &a, &b, 0);
    parts_free(&a);
    parts_free(&b);
    return out && !c->failed;
}
