// Arrays: items one after the other, counted where the schema counts them.
#include "text/grammar/schema_parts.h"

#include <stdlib.h>

// The schemas of item `i`: of a prefix, or of the items that come after it.
static struct parts item_parts(struct compiler *c, const struct parts *p, size_t i) {
    struct parts q = {0};
    schema_spend(c, 8 * p->n);
    for (size_t k = 0; k < p->n; k++) {
        const json_t *s = p->items[k].schema, *prefix = json_object_get(s, "prefixItems");
        const json_t *items = json_object_get(s, "items"), *rest = items;
        // Before draft 2020-12 a list of items was what prefixItems is now.
        if (json_is_array(items)) prefix = items, rest = json_object_get(s, "additionalItems");
        if (prefix && !json_is_array(prefix)) schema_fail(c, s, GYR_MALFORMED, "prefixItems is not a list");
        const json_t *mine = i < json_array_size(prefix) ? json_array_get(prefix, i) : rest;
        if (mine) parts_add(c, &q, mine, 0, SIZE_MAX);
    }
    if (!c->failed) parts_expand(c, &q);
    return q;
}

static size_t longest_prefix(const struct parts *p) {
    size_t most = 0;
    for (size_t k = 0; k < p->n; k++) {
        const json_t *s = p->items[k].schema, *items = json_object_get(s, "items");
        size_t n = json_array_size(json_is_array(items) ? items : json_object_get(s, "prefixItems"));
        if (n > most) most = n;
    }
    return most;
}

static bool unique(const struct parts *p) {
    for (size_t k = 0; k < p->n; k++)
        if (json_is_true(json_object_get(p->items[k].schema, "uniqueItems"))) return true;
    return false;
}

// What follows item i - 1: a comma and the next item, or the end.
static void build(struct compiler *c, const struct parts *p, size_t least, size_t most, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    size_t prefix = longest_prefix(p), states = most;
    if (most == SIZE_MAX) states = least > prefix ? least : prefix;
    uint32_t space = schema_common(c, COMMON_SPACE), before = nfa_state(a), close = nfa_state(a), rule = 0;
    nfa_call(a, from, space, before);
    nfa_bytes(a, close, ']', ']', to);
    if (!least) nfa_call(a, from, space, close);
    for (size_t i = 0; !c->failed && !a->status && i <= states; i++) {
        bool loops = i == states;
        if (loops && most != SIZE_MAX) return;
        if (i <= prefix) {
            struct parts q = item_parts(c, p, i);
            rule = schema_rule(c, &q);
        }
        uint32_t after = nfa_state(a), comma = nfa_state(a), next = loops ? before : nfa_state(a);
        nfa_call(a, before, rule, after);
        if (i + 1 >= least) nfa_call(a, after, space, close);
        if (i + 1 < most) {
            nfa_bytes(a, after, ',', ',', comma);
            nfa_call(a, comma, space, next);
        }
        before = next;
    }
}

void emit_array(struct compiler *c, const struct parts *p, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    size_t least = 0, most = SIZE_MAX, prefix = longest_prefix(p);
    parts_count(c, p, "minItems", true, &least);
    parts_count(c, p, "maxItems", false, &most);
    // No item may be where its schema is false.
    for (size_t i = 0; i <= prefix && !c->failed; i++) {
        struct parts q = item_parts(c, p, i);
        if (q.never && i < most) most = i;
        parts_free(&q);
    }
    if (unique(p) && most > 1) {
        schema_fail(c, p->items[0].schema, GYR_UNSUPPORTED, "uniqueItems of more than one item is not supported");
        return;
    }
    if (c->failed || least > most) return;
    uint32_t open = nfa_state(a);
    nfa_bytes(a, from, '[', '[', open);
    build(c, p, least, most, open, to);
}
