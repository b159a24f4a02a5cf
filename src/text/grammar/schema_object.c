// Objects: properties in the schema's order, those that it does not require may be left out; others come after them.
#include "text/grammar/schema_parts.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PATTERNS = 5, KEEP_FROM = 8, MAX_COUNTED = 1 << 13, STEPS_OF_NAME = 16 };

// A name that the schema says something of.
struct property {
    struct text name;
    bool required;
    uint32_t rule; // of its value
};

// Names that it does not list: those of one automaton have one schema.
struct other {
    struct fsm names;
    bool any; // any string at all
    uint32_t rule;
};

struct object {
    struct compiler *c;
    const struct parts *p;
    struct property *items;
    size_t n, room;
    struct index names;
    const struct fsm *patterns[MAX_PATTERNS]; // of patternProperties, each once
    const char *sources[MAX_PATTERNS];
    size_t n_patterns;
    struct other others[1 << MAX_PATTERNS];
    size_t n_others;
};

static struct property *property(struct object *o, struct text name) {
    size_t i = index_find(&o->names, o->items, sizeof *o->items, name);
    if (!schema_spend(o->c, STEPS_OF_NAME)) return NULL;
    if (i != SIZE_MAX) return &o->items[i];
    if (memchr(name.data, 0, name.size) || memmem(name.data, name.size, "\xc0\x80", 2)) {
        schema_fail(o->c, o->p->items[0].schema, GYR_UNSUPPORTED, "a property's name with a zero byte");
        return NULL;
    }
    if (o->n >= MAX_COUNTED) {
        schema_fail(o->c, o->p->items[0].schema, GYR_UNSUPPORTED, "more than %d properties", MAX_COUNTED);
        return NULL;
    }
    if (!ARRAY_GROW(o->items, o->n, o->room)) return schema_no_memory(o->c), NULL;
    o->items[o->n] = (struct property){.name = name};
    if (index_add(&o->names, o->items, sizeof *o->items, o->n) != INDEX_ADDED) return schema_no_memory(o->c), NULL;
    return &o->items[o->n++];
}

static void list_properties(struct object *o) {
    const char *key;
    json_t *value;
    size_t k;
    for (size_t i = 0; i < o->p->n && !o->c->failed; i++) {
        const json_t *s = o->p->items[i].schema, *own = json_object_get(s, "properties");
        if (own && !json_is_object(own)) schema_fail(o->c, s, GYR_MALFORMED, "properties is not an object");
        json_object_foreach((json_t *)(uintptr_t)own, key, value) property(o, (struct text){key, strlen(key)});
    }
    for (size_t i = 0; i < o->p->n && !o->c->failed; i++) {
        const json_t *s = o->p->items[i].schema, *required = json_object_get(s, "required");
        if (json_is_boolean(required)) continue; // draft 3
        if (required && !json_is_array(required)) schema_fail(o->c, s, GYR_MALFORMED, "required is not a list");
        json_array_foreach(required, k, value) {
            if (!json_text(value).data) schema_fail(o->c, s, GYR_MALFORMED, "required has something that is no name");
            struct property *found = o->c->failed ? NULL : property(o, json_text(value));
            if (found) found->required = true;
        }
    }
}

static size_t pattern_number(const struct object *o, const char *source) {
    size_t i = 0;
    while (i < o->n_patterns && strcmp(o->sources[i], source)) i++;
    return i;
}

static void list_patterns(struct object *o) {
    const char *key;
    json_t *value;
    for (size_t i = 0; i < o->p->n && !o->c->failed; i++) {
        const json_t *s = o->p->items[i].schema, *own = json_object_get(s, "patternProperties");
        if (own && !json_is_object(own)) schema_fail(o->c, s, GYR_MALFORMED, "patternProperties is not an object");
        json_object_foreach((json_t *)(uintptr_t)own, key, value) {
            gyr_error why;
            if (pattern_number(o, key) < o->n_patterns || o->c->failed) continue;
            if (o->n_patterns == MAX_PATTERNS) {
                schema_fail(o->c, s, GYR_UNSUPPORTED, "more than %d different patternProperties", MAX_PATTERNS);
                return;
            }
            const struct fsm *f = schema_pattern(o->c, (struct text){key, strlen(key)}, PATTERN_FIND, &why);
            if (!f) schema_bad_pattern(o->c, s, "patternProperties: ", &why);
            o->patterns[o->n_patterns] = f;
            o->sources[o->n_patterns++] = key;
        }
    }
}

// The schemas of a value: of a listed name, or (no name) of others; bit k of `matching`: pattern k matches its name.
static struct parts value_parts(struct object *o, struct text name, unsigned matching) {
    struct parts q = {0};
    const char *key;
    json_t *value;
    char *listed = name.data ? strndup(name.data, name.size) : NULL;
    if (name.data && !listed) schema_no_memory(o->c);
    schema_spend(o->c, o->p->n * STEPS_OF_NAME * (1 + o->n_patterns));
    for (size_t i = 0; i < o->p->n && !o->c->failed; i++) {
        const json_t *s = o->p->items[i].schema, *more = json_object_get(s, "additionalProperties");
        const json_t *own = listed ? json_object_get(json_object_get(s, "properties"), listed) : NULL;
        bool matched = own;
        if (own) parts_add(o->c, &q, own, 0, SIZE_MAX);
        json_object_foreach(json_object_get(s, "patternProperties"), key, value) {
            if (!(matching >> pattern_number(o, key) & 1)) continue;
            matched = true;
            parts_add(o->c, &q, value, 0, SIZE_MAX);
        }
        if (!matched && more) parts_add(o->c, &q, more, 0, SIZE_MAX);
    }
    free(listed);
    if (!o->c->failed) parts_expand(o->c, &q);
    return q;
}

static bool combine(struct object *o, struct fsm *f, const struct fsm *with, enum fsm_product how) {
    struct fsm made = {0};
    bool ok = fsm_combine(&made, f, with, how, MAX_PATTERN * 4, &o->c->rules->budget);
    fsm_free(f);
    *f = made;
    if (ok) return true;
    if (made.status == GYR_NO_MEMORY) return schema_no_memory(o->c);
    return schema_fail(o->c, o->c->root, GYR_UNSUPPORTED, "names of properties: too large together");
}

// What propertyNames allows; *any: everything.
static bool name_rules(struct object *o, struct fsm *f, bool *any) {
    struct parts q = {0};
    *any = true;
    for (size_t i = 0; i < o->p->n; i++) {
        const json_t *names = json_object_get(o->p->items[i].schema, "propertyNames");
        if (names) parts_add(o->c, &q, names, 0, SIZE_MAX);
    }
    if (!o->c->failed) parts_expand(o->c, &q);
    if (!o->c->failed && (q.n || q.never)) {
        *any = false;
        schema_names(o->c, &q, f);
    }
    parts_free(&q);
    return !o->c->failed;
}

// Any name, spelled in the one way that a listed name is: what differs as text differs as a name.
static bool plain_names(struct object *o, struct fsm *f) {
    gyr_error why;
    const struct fsm *any = schema_any_text(o->c, &why);
    return (any && fsm_clone(f, any)) || schema_no_memory(o->c);
}

// The names listed, as one automaton.
static bool listed_names(struct object *o, struct fsm *f) {
    struct nfa a = {.limit = MAX_NFA, .budget = &o->c->rules->budget};
    struct buf b = {0};
    uint32_t from = nfa_state(&a), to = nfa_state(&a);
    for (size_t i = 0; i < o->n; i++) {
        buf_clear(&b);
        json_spell(&b, o->items[i].name);
        if (b.failed) a.status = GYR_NO_MEMORY;
        nfa_text(&a, from, b.data ? b.data : "", b.size, to);
    }
    f->status = a.status;
    bool ok = !a.status && fsm_determinize(f, &a, from, to, MAX_NFA / 4, NULL, a.budget);
    buf_free(&b);
    nfa_free(&a);
    return ok || schema_fail(o->c, o->c->root, GYR_UNSUPPORTED, "properties: their names are too large together");
}

// The names of one choice of patterns, and the schema of their values.
static void add_other(struct object *o, unsigned matching, const struct fsm *names, const struct fsm *listed,
                      bool any_name) {
    struct other *x = &o->others[o->n_others];
    struct parts q = value_parts(o, (struct text){0}, matching);
    if (q.never || o->c->failed) {
        parts_free(&q);
        return;
    }
    *x = (struct other){.any = any_name && !o->n && !o->n_patterns};
    bool ok = x->any || plain_names(o, &x->names);
    if (ok && !any_name) ok = combine(o, &x->names, names, FSM_BOTH);
    if (ok && o->n) ok = combine(o, &x->names, listed, FSM_WITHOUT);
    for (size_t k = 0; ok && k < o->n_patterns; k++)
        ok = combine(o, &x->names, o->patterns[k], matching >> k & 1 ? FSM_BOTH : FSM_WITHOUT);
    if (!ok || (!x->any && fsm_is_empty(&x->names))) {
        fsm_free(&x->names);
        parts_free(&q);
        return;
    }
    x->rule = schema_rule(o->c, &q);
    o->n_others++;
}

static void list_others(struct object *o, const struct fsm *names, bool any_name) {
    struct fsm listed = {0};
    if (!o->n || listed_names(o, &listed))
        for (unsigned matching = 0; matching < 1u << o->n_patterns && !o->c->failed; matching++)
            add_other(o, matching, names, &listed, any_name);
    fsm_free(&listed);
}

// Rules of the listed names' values. A name that may not be there is taken out.
static void make_rules(struct object *o, const struct fsm *names, bool any_name, bool *never) {
    size_t n = 0;
    struct buf b = {0};
    for (size_t i = 0; i < o->n && !o->c->failed; i++) {
        struct property x = o->items[i];
        unsigned matching = 0;
        buf_clear(&b);
        json_spell(&b, x.name);
        if (b.failed) schema_no_memory(o->c);
        const char *text = b.data ? b.data : "";
        for (size_t k = 0; k < o->n_patterns; k++)
            if (fsm_matches(o->patterns[k], text, b.size)) matching |= 1u << k;
        struct parts q = value_parts(o, x.name, matching);
        bool out = q.never || (!any_name && !fsm_matches(names, text, b.size));
        if (out && x.required) *never = true;
        if (!out) {
            x.rule = schema_rule(o->c, &q);
            o->items[n++] = x;
        }
        parts_free(&q);
    }
    if (!o->c->failed) o->n = n;
    buf_free(&b);
}

// ------------------------------------------------------------------------------------------------ building

// Places between members, for each count of members that matters.
struct places {
    uint32_t *wrote, *comma; // after a member; after the comma. [count * (n + 1) + next property]
    size_t layers, least, most;
};

// Colon and value, from the end of a name.
static void build_member(struct object *o, uint32_t name, uint32_t rule, uint32_t to) {
    struct nfa *a = &o->c->rules->nfa;
    uint32_t colon = nfa_state(a), value = nfa_state(a);
    nfa_bytes(a, name, ':', ':', colon);
    nfa_call(a, colon, schema_common(o->c, COMMON_COLON), value);
    nfa_call(a, value, rule, to);
}

static void build_others(struct object *o, uint32_t from, uint32_t to) {
    struct nfa *a = &o->c->rules->nfa;
    for (size_t i = 0; i < o->n_others; i++) {
        const struct other *x = &o->others[i];
        struct fsm quoted = {0};
        uint32_t name = nfa_state(a);
        if (!x->any) fsm_quote(&quoted, &x->names);
        nfa_call(a, from, x->any ? schema_any_string(o->c) : rules_add_made(o->c->rules, &quoted, NULL), name);
        build_member(o, name, x->rule, to);
    }
}

// One rule for all members by other names, so that its automaton is there once.
static uint32_t others_rule(struct object *o) {
    uint32_t rule = rules_add(o->c->rules);
    if (o->c->rules->nfa.status) return 0;
    struct rule r = o->c->rules->items[rule];
    build_others(o, r.start, r.end);
    return rule;
}

static uint32_t property_rule(struct object *o, size_t i) {
    struct nfa *a = &o->c->rules->nfa;
    uint32_t rule = rules_add(o->c->rules), name = nfa_state(a);
    if (a->status) return 0;
    struct rule r = o->c->rules->items[rule];
    emit_string_value(o->c, o->items[i].name, r.start, name);
    build_member(o, name, o->items[i].rule, r.end);
    return rule;
}

static void build_layer(struct object *o, const struct places *at, size_t count, const uint32_t *members,
                        uint32_t others, uint32_t close) {
    struct nfa *a = &o->c->rules->nfa;
    size_t row = count * (o->n + 1), next = (count + 1 < at->layers ? count + 1 : count) * (o->n + 1), last = 0;
    bool full = at->most != SIZE_MAX && count == at->most;
    for (size_t i = 0; i < o->n; i++)
        if (o->items[i].required) last = i + 1; // at least so far an object goes
    for (size_t i = 0; i <= o->n && !a->status; i++) {
        uint32_t wrote = at->wrote[row + i], comma = at->comma[row + i];
        if (i >= last && count >= at->least) nfa_empty(a, wrote, close);
        if (full) continue;
        if (count || at->layers == 1) {
            uint32_t spaced = nfa_state(a);
            nfa_bytes(a, wrote, ',', ',', spaced);
            nfa_call(a, spaced, schema_common(o->c, COMMON_SPACE), comma);
        }
        if (i == o->n) {
            if (o->n_others) nfa_call(a, comma, others, at->wrote[next + i]);
            continue;
        }
        nfa_call(a, comma, members[i], at->wrote[next + i + 1]);
        if (!o->items[i].required) nfa_empty(a, comma, at->comma[row + i + 1]);
    }
}

static void build(struct object *o, const struct places *at, uint32_t from, uint32_t to) {
    struct nfa *a = &o->c->rules->nfa;
    size_t n = at->layers * (o->n + 1);
    uint32_t open = nfa_state(a), close = nfa_state(a), end = nfa_state(a), others = 0;
    uint32_t *members = malloc((o->n + 1) * sizeof *members);
    if (!members) {
        schema_no_memory(o->c);
        return;
    }
    for (size_t i = 0; i < n; i++) at->wrote[i] = nfa_state(a), at->comma[i] = nfa_state(a);
    for (size_t i = 0; i < o->n; i++) members[i] = property_rule(o, i);
    if (o->n_others) others = others_rule(o);
    for (size_t count = 0; count < at->layers && !a->status && !o->c->failed; count++)
        build_layer(o, at, count, members, others, close);
    // The first member comes without a comma.
    bool empty = !at->least;
    for (size_t i = 0; i < o->n; i++) empty = empty && !o->items[i].required;
    nfa_bytes(a, from, '{', '{', open);
    if (empty) nfa_empty(a, open, close);
    if (at->most) nfa_call(a, open, schema_common(o->c, COMMON_SPACE), at->comma[0]);
    nfa_call(a, close, schema_common(o->c, COMMON_SPACE), end);
    nfa_bytes(a, end, '}', '}', to);
    free(members);
}

static void count_and_build(struct object *o, uint32_t rule, uint32_t from, uint32_t to) {
    struct places at = {.layers = 1, .most = SIZE_MAX};
    size_t required = 0;
    parts_count(o->c, o->p, "minProperties", true, &at.least);
    parts_count(o->c, o->p, "maxProperties", false, &at.most);
    for (size_t i = 0; i < o->n; i++) required += o->items[i].required;
    if (at.least <= required) at.least = 0;
    if (!o->n_others && at.most >= o->n) at.most = SIZE_MAX;
    if (at.most != SIZE_MAX)
        at.layers = at.most + 1;
    else if (at.least)
        at.layers = at.least + 1;
    if (at.layers > MAX_COUNTED || at.layers * (o->n + 1) > MAX_COUNTED) {
        schema_fail(o->c, o->p->items[0].schema, GYR_UNSUPPORTED, "minProperties or maxProperties: too large");
        return;
    }
    at.wrote = malloc(at.layers * (o->n + 1) * sizeof *at.wrote);
    at.comma = malloc(at.layers * (o->n + 1) * sizeof *at.comma);
    if (!at.wrote || !at.comma)
        schema_no_memory(o->c);
    else
        build(o, &at, from, to);
    if (at.layers * (o->n + 1) > KEEP_FROM) o->c->rules->items[rule].keep = true;
    free(at.wrote);
    free(at.comma);
}

void emit_object(struct compiler *c, const struct parts *p, uint32_t rule, uint32_t from, uint32_t to) {
    struct object *o = calloc(1, sizeof *o);
    struct fsm names = {0};
    bool any_name = true, never = false;
    if (!o) {
        schema_no_memory(c);
        return;
    }
    o->c = c, o->p = p;
    list_properties(o);
    list_patterns(o);
    if (!c->failed && name_rules(o, &names, &any_name)) {
        list_others(o, &names, any_name);
        make_rules(o, &names, any_name, &never);
    }
    if (!c->failed && !never) count_and_build(o, rule, from, to);
    for (size_t i = 0; i < o->n_others; i++) fsm_free(&o->others[i].names);
    fsm_free(&names);
    free(o->items);
    index_free(&o->names);
    free(o);
}
