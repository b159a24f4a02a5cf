#include "text/grammar/schema_parts.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_INDENT = 40, MAX_TABS = 12, MAX_WANTED = 1 << 15 };
// Looking for keywords in a part of a rule that is made; what a rule takes beside that.
enum { STEPS_OF_EMITTED = 200, STEPS_OF_RULE = 32 };

// ------------------------------------------------------------------------------------------ common rules

static void text(struct compiler *c, uint32_t from, const char *s, uint32_t to) {
    nfa_text(&c->rules->nfa, from, s, strlen(s), to);
}

// Nothing, a blank, or a new line with an indentation: as people and programs write JSON. Without an end to it, a
// model could write white space for ever.
static void build_space(struct compiler *c, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    nfa_empty(a, from, to);
    text(c, from, " ", to);
    uint32_t line = nfa_state(a), at;
    text(c, from, "\n", line);
    text(c, from, "\r\n", line);
    nfa_empty(a, line, to);
    static const struct {
        uint8_t byte;
        int most;
    } indents[] = {{' ', MAX_INDENT}, {'\t', MAX_TABS}};
    for (size_t k = 0; k < 2; k++) {
        at = line;
        for (int i = 0; i < indents[k].most; i++) {
            uint32_t next = nfa_state(a);
            nfa_bytes(a, at, indents[k].byte, indents[k].byte, next);
            nfa_empty(a, next, to);
            at = next;
        }
    }
}

static void build_colon(struct compiler *c, uint32_t from, uint32_t to) {
    nfa_empty(&c->rules->nfa, from, to);
    text(c, from, " ", to);
}

static uint32_t regex_rule(struct compiler *c, const char *pattern) {
    struct fsm f = {0};
    const char *what = c->rules->what;
    if (pattern_compile(&f, pattern, strlen(pattern), PATTERN_WHOLE, SPELL_UTF8, what, &c->rules->budget, c->e))
        return rules_add_made(c->rules, &f, NULL);
    fsm_free(&f);
    c->failed = true;
    return 0;
}

uint32_t schema_common(struct compiler *c, enum common which) {
    static const char *const patterns[N_COMMON] = {
        [COMMON_NUMBER] = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][+-]?[0-9]+)?",
        [COMMON_INTEGER] = "-?(0|[1-9][0-9]*)",
        [COMMON_BOOLEAN] = "true|false",
    };
    if (c->made[which] || c->failed) return c->common[which];
    c->made[which] = true;
    uint32_t rule = c->common[which] = patterns[which] ? regex_rule(c, patterns[which]) : rules_add(c->rules);
    if (patterns[which] || c->rules->nfa.status) return rule;
    struct rule r = c->rules->items[rule];
    if (which == COMMON_SPACE)
        build_space(c, r.start, r.end);
    else
        build_colon(c, r.start, r.end);
    return rule;
}

// ---------------------------------------------------------------------------------------- rules by their parts

static uint64_t hash_parts(const struct parts *p) {
    uint64_t h = p->never;
    for (size_t i = 0; i < p->n; i++) {
        h = (h ^ (uintptr_t)p->items[i].schema) * 0x9e3779b97f4a7c15u;
        h = (h ^ h >> 32 ^ p->items[i].done) * 0xff51afd7ed558ccdu;
    }
    return h ^ h >> 29;
}

static bool same_parts(const struct parts *a, const struct parts *b) {
    if (a->n != b->n || a->never != b->never) return false;
    for (size_t i = 0; i < a->n; i++)
        if (a->items[i].schema != b->items[i].schema || a->items[i].done != b->items[i].done) return false;
    return true;
}

static size_t find_slot(const struct compiler *c, const struct parts *p) {
    size_t i = (size_t)hash_parts(p) & (c->n_slots - 1);
    while (c->slots[i] && !same_parts(&c->wanted[c->slots[i] - 1].parts, p)) i = (i + 1) & (c->n_slots - 1);
    return i;
}

static bool grow(struct compiler *c) {
    if (!ARRAY_GROW(c->wanted, c->n_wanted, c->wanted_room)) return false;
    if (c->n_wanted * 2 < c->n_slots) return true;
    size_t n = c->n_slots ? c->n_slots * 4 : 256;
    uint32_t *slots = calloc(n, sizeof *slots);
    if (!slots) return false;
    free(c->slots);
    c->slots = slots, c->n_slots = n;
    for (size_t i = 0; i < c->n_wanted; i++) c->slots[find_slot(c, &c->wanted[i].parts)] = (uint32_t)i + 1;
    return true;
}

uint32_t schema_rule(struct compiler *c, struct parts *p) {
    if (!c->failed) parts_expand(c, p);
    if (!c->failed && !grow(c)) schema_no_memory(c);
    if (!c->failed && c->n_wanted >= MAX_WANTED)
        schema_fail(c, c->root, GYR_UNSUPPORTED, "too large: more than %d different schemas", MAX_WANTED);
    if (c->failed || c->rules->nfa.status) {
        parts_free(p);
        return 0;
    }
    size_t slot = find_slot(c, p);
    schema_spend(c, STEPS_OF_RULE + 4 * p->n);
    if (c->slots[slot]) {
        parts_free(p);
        return c->wanted[c->slots[slot] - 1].rule;
    }
    c->wanted[c->n_wanted] = (struct wanted){rules_add(c->rules), *p};
    c->slots[slot] = (uint32_t)++c->n_wanted;
    *p = (struct parts){0};
    return c->wanted[c->n_wanted - 1].rule;
}

// ------------------------------------------------------------------------------------------------------ values

const json_t *schema_values(struct compiler *c, const struct parts *p, bool *listed) {
    const json_t *from = NULL, *constant = NULL;
    json_t *one, *kept = json_array();
    size_t i;
    for (i = 0; i < p->n && !from && !constant; i++) {
        constant = json_object_get(p->items[i].schema, "const");
        from = json_object_get(p->items[i].schema, "enum");
        if (from && !json_is_array(from)) schema_fail(c, p->items[i].schema, GYR_MALFORMED, "enum is not a list");
    }
    *listed = from || constant;
    if (!*listed || c->failed || !kept) {
        json_decref(kept);
        return NULL;
    }
    if (constant) from = json_pack("[O]", constant);
    if (!c->own) c->own = json_array();
    if (!from || json_array_append_new(c->own, kept)) schema_no_memory(c);
    json_array_foreach(from, i, one) {
        enum verdict v = VERDICT_YES;
        for (size_t k = 0; k < p->n && v == VERDICT_YES && !c->failed; k++)
            v = schema_check(c, p->items[k].schema, one, from);
        if (v == VERDICT_UNSURE)
            schema_fail(c, p->items[0].schema, GYR_UNSUPPORTED, "enum or const beside keywords that gyr cannot check");
        if (v == VERDICT_YES && !c->failed && json_array_append(kept, one)) schema_no_memory(c);
    }
    if (constant) json_decref((json_t *)(uintptr_t)from);
    return kept;
}

// Whether one of the values that must not come is of that type: for null, true and false, which then do not come.
static bool excluded(struct compiler *c, const struct parts *p, json_t *value) {
    for (size_t i = 0; i < p->n; i++) {
        const json_t *list = json_object_get(p->items[i].schema, SCHEMA_NOT_VALUES);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (json_same(json_array_get(list, k), value, &c->rules->budget)) return true;
    }
    return false;
}

static void refuse_excluded(struct compiler *c, const struct parts *p, unsigned types) {
    for (size_t i = 0; i < p->n; i++) {
        const json_t *list = json_object_get(p->items[i].schema, SCHEMA_NOT_VALUES);
        for (size_t k = 0; k < json_array_size(list); k++)
            if (json_type_of(json_array_get(list, k)) & types & (TYPE_ARRAY | TYPE_OBJECT))
                schema_fail(c, c->root, GYR_UNSUPPORTED, "\"not\" of a list or an object is not supported");
    }
}

static void emit_types(struct compiler *c, const struct parts *p, uint32_t rule, struct rule r) {
    static const struct {
        const char *text;
        unsigned type;
        json_t *(*value)(void);
    } words[] = {
        {"null", TYPE_NULL, json_null}, {"true", TYPE_BOOLEAN, json_true}, {"false", TYPE_BOOLEAN, json_false}};
    unsigned types = parts_types(c, p);
    for (size_t i = 0; i < 3; i++)
        if (types & words[i].type && !excluded(c, p, words[i].value())) text(c, r.start, words[i].text, r.end);
    refuse_excluded(c, p, types);
    if (types & TYPE_NUMBER && !c->failed) emit_number(c, p, types & TYPE_NUMBER, r.start, r.end);
    if (types & TYPE_STRING && !c->failed) emit_string(c, p, r.start, r.end);
    if (types & TYPE_ARRAY && !c->failed) emit_array(c, p, r.start, r.end);
    if (types & TYPE_OBJECT && !c->failed) emit_object(c, p, rule, r.start, r.end);
}

static void emit_choice(struct compiler *c, const struct parts *p, struct rule r) {
    size_t at, i;
    unsigned done;
    json_t *one;
    const json_t *list = schema_choice(c, p, &at, &done);
    json_array_foreach(list, i, one) {
        struct parts q;
        parts_with(c, &q, p, at, done, one);
        nfa_call(&c->rules->nfa, r.start, schema_rule(c, &q), r.end);
        if (c->failed) return;
    }
}

static void emit(struct compiler *c, const struct parts *p, uint32_t rule) {
    struct rule r = c->rules->items[rule];
    bool listed;
    if (p->never || !schema_spend(c, STEPS_OF_EMITTED * p->n)) return;
    if (schema_has_choice(p)) {
        emit_choice(c, p, r);
        return;
    }
    const json_t *values = schema_values(c, p, &listed);
    for (size_t i = 0; i < json_array_size(values) && !c->failed; i++)
        emit_value(c, json_array_get(values, i), r.start, r.end);
    if (!listed && !c->failed) emit_types(c, p, rule, r);
}

bool schema_add(struct rules *r, const json_t *schema, uint32_t *rule, gyr_error *e) {
    struct compiler c = {.rules = r, .root = schema, .e = e};
    struct parts first = {0};
    schema_find_ids(&c);
    parts_add(&c, &first, schema, 0, SIZE_MAX);
    *rule = schema_rule(&c, &first);
    // What a rule needs comes into the list while it is made.
    for (size_t i = 0; i < c.n_wanted && !c.failed && !r->nfa.status; i++) {
        struct wanted w = c.wanted[i];
        emit(&c, &w.parts, w.rule);
    }
    for (size_t i = 0; i < c.n_wanted; i++) parts_free(&c.wanted[i].parts);
    free(c.wanted);
    free(c.slots);
    free(c.negations);
    free(c.rows);
    fsm_free(&c.any_char);
    schema_free_patterns(&c);
    json_decref(c.own);
    return !c.failed;
}
