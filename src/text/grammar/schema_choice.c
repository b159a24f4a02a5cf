// Keywords that let one of several schemas hold. Each becomes a list of them; what JSON Schema says by conditions and
// negations is said by alternatives.
#include "text/grammar/schema_parts.h"

#include <string.h>

enum { MAX_BRANCHES = 2048, MAX_EXCLUDED = 8 };

static json_t *shared(const json_t *j) { return json_incref((json_t *)(uintptr_t)j); }

// A list that the compiler keeps until it is done.
static json_t *kept(struct compiler *c, json_t *list) {
    if (!c->own) c->own = json_array();
    if (!list || !c->own || json_array_append_new(c->own, list)) {
        schema_no_memory(c);
        return NULL;
    }
    return list;
}

static bool is_list(struct compiler *c, const json_t *s, const char *key) {
    const json_t *list = json_object_get(s, key);
    if (json_is_array(list) && json_array_size(list) && json_array_size(list) <= MAX_BRANCHES) return true;
    return schema_fail(c, s, json_array_size(list) ? GYR_UNSUPPORTED : GYR_MALFORMED,
                       "%s is not a list of 1 to %d schemas", key, MAX_BRANCHES);
}

static const json_t *any_of(struct compiler *c, const struct parts *p, size_t at) {
    const json_t *s = p->items[at].schema;
    return is_list(c, s, "anyOf") ? json_object_get(s, "anyOf") : NULL;
}

// Branch `i` and none of the others.
static json_t *alone(const json_t *list, size_t i) {
    json_t *all = json_array();
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *one = json_array_get(list, k);
        json_array_append_new(all, k == i ? shared(one) : json_pack("{s:O}", "not", one));
    }
    if (json_array_size(all) == json_array_size(list)) return json_pack("{s:o}", "allOf", all);
    json_decref(all);
    return NULL;
}

static const json_t *one_of(struct compiler *c, const struct parts *p, size_t at) {
    const json_t *s = p->items[at].schema, *list = json_object_get(s, "oneOf");
    if (!is_list(c, s, "oneOf")) return NULL;
    size_t n = json_array_size(list), first = 0, second = 0;
    bool apart = true;
    for (size_t i = 0; i < n && apart; i++)
        for (size_t k = 0; k < i && apart; k++)
            if (!schema_apart(c, p, at, json_array_get(list, i), json_array_get(list, k)))
                apart = false, first = k, second = i;
    if (apart || c->failed) return list;
    if (n > MAX_EXCLUDED) {
        schema_fail(c, s, GYR_UNSUPPORTED, "oneOf: a value may obey both schema %zu and schema %zu; use anyOf", first,
                    second);
        return NULL;
    }
    json_t *made = kept(c, json_array());
    for (size_t i = 0; made && i < n; i++)
        if (json_array_append_new(made, alone(list, i))) schema_no_memory(c);
    return made;
}

static const json_t *if_then_else(struct compiler *c, const struct parts *p, size_t at) {
    const json_t *s = p->items[at].schema, *when = json_object_get(s, "if");
    const json_t *then = json_object_get(s, "then"), *otherwise = json_object_get(s, "else");
    if (!then && !otherwise) return kept(c, json_pack("[b]", 1));
    return kept(c, json_pack("[{s:[O,o]},{s:[{s:O},o]}]", "allOf", when, then ? shared(then) : json_true(), "allOf",
                             "not", when, otherwise ? shared(otherwise) : json_true()));
}

// Where an object has `key`, `with` has to hold too.
static json_t *depends(const char *key, json_t *with) {
    return json_pack("{s:[{s:{s:b}},{s:[{s:s,s:[s]},o]}]}", "anyOf", "properties", key, 0, "allOf", "type", "object",
                     "required", key, with);
}

static const json_t *dependents(struct compiler *c, const struct parts *p, size_t at) {
    static const char *const keywords[] = {"dependentRequired", "dependentSchemas", "dependencies"};
    const json_t *s = p->items[at].schema;
    json_t *all = json_array(), *with;
    const char *key;
    for (size_t i = 0; i < 3; i++) {
        const json_t *own = json_object_get(s, keywords[i]);
        if (own && !json_is_object(own)) schema_fail(c, s, GYR_MALFORMED, "%s is not an object", keywords[i]);
        json_object_foreach((json_t *)(uintptr_t)own, key, with) {
            json_t *then = json_is_array(with) ? json_pack("{s:O}", "required", with) : json_incref(with);
            if (json_array_append_new(all, depends(key, then))) schema_no_memory(c);
        }
    }
    return kept(c, json_pack("[{s:o}]", "allOf", all));
}

static const json_t * not(struct compiler * c, const struct parts *p, size_t at) {
    const json_t *s = p->items[at].schema;
    return schema_negate(c, s, json_object_get(s, "not"));
}

static const struct choice {
    const char *keyword;
    unsigned done;
    const json_t *(*list)(struct compiler *c, const struct parts *p, size_t at);
} choices[] = {
    {"not", DONE_NOT, not },
    {"if", DONE_IF, if_then_else},
    {"dependentRequired", DONE_DEPENDENT, dependents},
    {"dependentSchemas", DONE_DEPENDENT, dependents},
    {"dependencies", DONE_DEPENDENT, dependents},
    {"oneOf", DONE_ONE, one_of},
    {"anyOf", DONE_ANY, any_of},
};

static const struct choice *choice_of(const struct parts *p, size_t *at) {
    for (*at = 0; *at < p->n; ++*at)
        for (size_t k = 0; k < sizeof choices / sizeof *choices; k++)
            if (!(p->items[*at].done & choices[k].done) && json_object_get(p->items[*at].schema, choices[k].keyword))
                return &choices[k];
    return NULL;
}

bool schema_has_choice(const struct parts *p) {
    size_t at;
    return choice_of(p, &at);
}

const json_t *schema_choice(struct compiler *c, const struct parts *p, size_t *at, unsigned *done) {
    const struct choice *choice = choice_of(p, at);
    *done = choice->done;
    return choice->list(c, p, *at);
}

bool parts_with(struct compiler *c, struct parts *q, const struct parts *p, size_t at, unsigned done,
                const json_t *more) {
    *q = (struct parts){.never = p->never};
    schema_spend(c, 2 * p->n);
    for (size_t k = 0; k < p->n && !c->failed; k++) {
        if (!ARRAY_GROW(q->items, q->n, q->room)) return schema_no_memory(c);
        q->items[q->n] = p->items[k];
        q->items[q->n++].done |= k == at ? done : 0;
    }
    return parts_add(c, q, more, 0, at);
}
