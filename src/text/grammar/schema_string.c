// Strings: lengths, patterns and formats.
#include "text/grammar/pattern.h"
#include "text/grammar/schema_parts.h"

#include <string.h>

// Longest string whose characters are counted by states in a row; beyond that, blocks of so many are counted.
enum { BLOCK = 1024 };

// A character of a string whose content is free: in UTF-8, or escaped in any way that JSON has. Halves of surrogate
// pairs come in pairs only.
static void any_char(struct nfa *a, uint32_t from, uint32_t to) {
    struct charset plain = {0};
    charset_add(&plain, 0x20, 0x21);
    charset_add(&plain, 0x23, 0x5b);
    charset_add(&plain, 0x5d, 0xd7ff);
    charset_add(&plain, 0xe000, LAST_CHAR);
    if (plain.failed) a->status = GYR_NO_MEMORY;
    nfa_class(a, from, &plain, SPELL_UTF8, to);
    charset_free(&plain);
    uint32_t escape = nfa_state(a), u = nfa_state(a), x[4], y[6];
    nfa_bytes(a, from, '\\', '\\', escape);
    for (const char *s = "\"\\/bfnrt"; *s; s++) nfa_bytes(a, escape, (uint8_t)*s, (uint8_t)*s, to);
    nfa_bytes(a, escape, 'u', 'u', u);
    for (int i = 0; i < 3; i++) x[i] = nfa_state(a);
    for (int i = 0; i < 6; i++) y[i] = nfa_state(a);
    static const struct {
        char lo, hi;
    } digits[] = {{'0', '9'}, {'a', 'f'}, {'A', 'F'}},
      not_d[] = {{'0', '9'}, {'a', 'c'}, {'A', 'C'}, {'e', 'f'}, {'E', 'F'}};
#define EACH(table, from, to)                                                                                          \
    for (size_t k_ = 0; k_ < sizeof table / sizeof *table; k_++)                                                       \
    nfa_bytes(a, from, (uint8_t)table[k_].lo, (uint8_t)table[k_].hi, to)
    EACH(not_d, u, x[0]);
    EACH(digits, x[0], x[1]);
    EACH(digits, x[1], x[2]);
    EACH(digits, x[2], to);
    // D000 to D7FF, and D800 to DBFF with its other half.
    uint32_t d = nfa_state(a);
    nfa_bytes(a, u, 'd', 'd', d);
    nfa_bytes(a, u, 'D', 'D', d);
    nfa_bytes(a, d, '0', '7', x[1]);
    x[3] = nfa_state(a);
    nfa_bytes(a, d, '8', '9', x[3]);
    nfa_bytes(a, d, 'a', 'b', x[3]);
    nfa_bytes(a, d, 'A', 'B', x[3]);
    EACH(digits, x[3], y[0]);
    EACH(digits, y[0], y[1]);
    nfa_text(a, y[1], "\\u", 2, y[2]);
    nfa_bytes(a, y[2], 'd', 'd', y[3]);
    nfa_bytes(a, y[2], 'D', 'D', y[3]);
    nfa_bytes(a, y[3], 'c', 'f', y[4]);
    nfa_bytes(a, y[3], 'C', 'F', y[4]);
    EACH(digits, y[4], x[2]);
#undef EACH
}

// From `least` to `most` characters in a row; without an end if most is SIZE_MAX.
static void build_row(struct nfa *a, uint32_t from, size_t least, size_t most, uint32_t to) {
    for (size_t i = 0; i < (most == SIZE_MAX ? least : most) && !a->status; i++) {
        uint32_t next = nfa_state(a);
        if (i >= least) nfa_empty(a, from, to);
        any_char(a, from, next);
        from = next;
    }
    if (most == SIZE_MAX) any_char(a, from, from);
    nfa_empty(a, from, to);
}

static uint32_t row_rule(struct compiler *c, size_t least, size_t most) {
    uint32_t rule = rules_add(c->rules);
    if (c->rules->nfa.status) return 0;
    struct rule r = c->rules->items[rule];
    build_row(&c->rules->nfa, r.start, least, most, r.end);
    return rule;
}

// Long strings: whole blocks, then a part of one.
static void build_length(struct compiler *c, uint32_t from, size_t least, size_t most, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    size_t count = most == SIZE_MAX ? least : most;
    if (count <= BLOCK) {
        build_row(a, from, least, most, to);
        return;
    }
    if (count / BLOCK > MAX_NFA / 4) {
        a->status = GYR_UNSUPPORTED;
        return;
    }
    uint32_t block = row_rule(c, BLOCK, BLOCK), rest = row_rule(c, 0, BLOCK - 1);
    size_t need = least / BLOCK;
    uint32_t at = nfa_state(a);
    build_row(a, from, least % BLOCK, least % BLOCK, at);
    for (size_t i = 0; i < need; i++) {
        uint32_t next = nfa_state(a);
        nfa_call(a, at, block, next);
        at = next;
    }
    if (most == SIZE_MAX) {
        build_row(a, at, 0, SIZE_MAX, to);
        return;
    }
    size_t more = most - least;
    for (size_t i = 0; i < more / BLOCK && !a->status; i++) {
        uint32_t next = nfa_state(a);
        nfa_call(a, at, rest, to);
        nfa_call(a, at, block, next);
        at = next;
    }
    build_row(a, at, 0, more % BLOCK, to);
}

// ------------------------------------------------------------------------------------- patterns and formats

// Keeps of `f` what is in `other` too, which is freed. *free: there is nothing in `f` yet.
static bool keep(struct compiler *c, struct fsm *f, struct fsm *other, bool *free) {
    struct fsm both = {0};
    if (*free) {
        *f = *other, *other = (struct fsm){0}, *free = false;
        return true;
    }
    bool ok = fsm_combine(&both, f, other, FSM_BOTH, MAX_PATTERN * 4);
    fsm_free(f);
    fsm_free(other);
    *f = both;
    if (!ok && both.status == GYR_NO_MEMORY) return schema_no_memory(c);
    return ok || schema_fail(c, c->root, GYR_UNSUPPORTED, "patterns and lengths of a string: too large together");
}

static bool keep_pattern(struct compiler *c, const json_t *schema, struct text s, enum pattern_match match,
                         struct fsm *f, bool *free) {
    struct fsm one = {0};
    gyr_error why;
    if (pattern_compile(&one, s.data, s.size, match, SPELL_JSON, "pattern", &why)) return keep(c, f, &one, free);
    fsm_free(&one);
    return why.status == GYR_NO_MEMORY ? schema_no_memory(c) : schema_fail(c, schema, why.status, "%s", why.message);
}

// Keeps of `f` what is not in `other`, which is freed.
static bool drop(struct compiler *c, struct fsm *f, struct fsm *other, bool *free) {
    struct fsm rest = {0};
    gyr_error why;
    bool ok = !*free || pattern_compile(f, "", 0, PATTERN_FIND, SPELL_JSON, "pattern", &why);
    *free = false;
    ok = ok && fsm_combine(&rest, f, other, FSM_WITHOUT, MAX_PATTERN * 4);
    fsm_free(f);
    fsm_free(other);
    *f = rest;
    if (!ok && rest.status != GYR_UNSUPPORTED) return schema_no_memory(c);
    return ok || schema_fail(c, c->root, GYR_UNSUPPORTED, "patterns of a string: too large together");
}

static bool drop_pattern(struct compiler *c, const json_t *schema, const json_t *text, enum pattern_match match,
                         struct fsm *f, bool *free) {
    struct fsm one = {0};
    gyr_error why;
    struct text s = json_text(text);
    const char *known = match == PATTERN_WHOLE ? format_pattern(json_c_string(text) ? json_c_string(text) : "") : NULL;
    if (known) s = (struct text){known, strlen(known)};
    if (!s.data || (match == PATTERN_WHOLE && !known))
        return schema_fail(c, schema, GYR_UNSUPPORTED, "\"not\" of this format or pattern is not supported");
    if (pattern_compile(&one, s.data, s.size, match, SPELL_JSON, "pattern", &why)) return drop(c, f, &one, free);
    fsm_free(&one);
    return why.status == GYR_NO_MEMORY ? schema_no_memory(c) : schema_fail(c, schema, why.status, "%s", why.message);
}

// Texts of a list's strings.
static bool strings_of(struct compiler *c, const json_t *list, struct fsm *f) {
    struct nfa a = {.limit = MAX_NFA};
    struct buf b = {0};
    uint32_t from = nfa_state(&a), to = nfa_state(&a);
    for (size_t i = 0; i < json_array_size(list); i++) {
        struct text s = json_text(json_array_get(list, i));
        if (!s.data) continue;
        buf_clear(&b);
        json_spell(&b, s);
        if (b.failed) a.status = GYR_NO_MEMORY;
        nfa_text(&a, from, b.data ? b.data : "", b.size, to);
    }
    f->status = a.status;
    bool ok = !a.status && fsm_determinize(f, &a, from, to, MAX_NFA / 4, NULL);
    nfa_free(&a);
    buf_free(&b);
    return ok || schema_fail(c, list, GYR_UNSUPPORTED, "a list of strings: too large");
}

static bool drop_values(struct compiler *c, const json_t *list, struct fsm *f, bool *free) {
    struct fsm one = {0};
    bool some = false;
    for (size_t i = 0; i < json_array_size(list); i++) some = some || json_text(json_array_get(list, i)).data;
    if (!some) return true;
    bool ok = strings_of(c, list, &one) && drop(c, f, &one, free);
    fsm_free(&one);
    return ok;
}

static bool keep_length(struct compiler *c, size_t least, size_t most, struct fsm *f) {
    struct fsm unit = {0}, counted = {0};
    gyr_error why;
    bool ok = pattern_compile(&unit, "[^]", 3, PATTERN_WHOLE, SPELL_JSON, "pattern", &why);
    ok = ok && fsm_count(&counted, f, &unit, least, most, MAX_PATTERN * 4);
    fsm_free(&unit);
    fsm_free(f);
    *f = counted;
    if (ok) return true;
    if (counted.status == GYR_NO_MEMORY) return schema_no_memory(c);
    return schema_fail(c, c->root, GYR_UNSUPPORTED, "pattern and length of a string: too large together");
}

bool string_content(struct compiler *c, const struct parts *p, struct fsm *f, bool *free) {
    size_t least = 0, most = SIZE_MAX;
    *free = true;
    parts_count(c, p, "minLength", true, &least);
    parts_count(c, p, "maxLength", false, &most);
    for (size_t i = 0; i < p->n && !c->failed; i++) {
        const json_t *s = p->items[i].schema, *pattern = json_object_get(s, "pattern");
        const json_t *format = json_object_get(s, "format");
        if (pattern && !json_text(pattern).data) return schema_fail(c, s, GYR_MALFORMED, "pattern is not a string");
        if (pattern) keep_pattern(c, s, json_text(pattern), PATTERN_FIND, f, free);
        const char *known = format ? format_pattern(json_c_string(format) ? json_c_string(format) : "") : NULL;
        if (format && !known)
            return schema_fail(c, s, GYR_UNSUPPORTED, "format \"%.40s\" is not supported",
                               json_c_string(format) ? json_c_string(format) : "");
        if (known) keep_pattern(c, s, (struct text){known, strlen(known)}, PATTERN_WHOLE, f, free);
        const json_t *not = json_object_get(s, SCHEMA_NOT_PATTERN), *nor = json_object_get(s, SCHEMA_NOT_FORMAT);
        if (not &&!c->failed) drop_pattern(c, s, not, PATTERN_FIND, f, free);
        if (nor && !c->failed) drop_pattern(c, s, nor, PATTERN_WHOLE, f, free);
        if (!c->failed) drop_values(c, json_object_get(s, SCHEMA_NOT_VALUES), f, free);
    }
    if (*free || c->failed || (!least && most == SIZE_MAX)) return !c->failed;
    return keep_length(c, least, most, f);
}

void emit_string(struct compiler *c, const struct parts *p, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    struct fsm f = {0};
    bool free = true;
    size_t least = 0, most = SIZE_MAX;
    bool ok = string_content(c, p, &f, &free) && parts_count(c, p, "minLength", true, &least) &&
              parts_count(c, p, "maxLength", false, &most);
    if (!ok) {
        fsm_free(&f);
        return;
    }
    if (p->n && free && !least && most == SIZE_MAX) {
        nfa_call(a, from, schema_common(c, COMMON_STRING), to);
        return;
    }
    uint32_t begin = nfa_state(a), end = nfa_state(a);
    nfa_bytes(a, from, '"', '"', begin);
    if (!free)
        fsm_embed(&f, a, begin, end);
    else if (least <= most)
        build_length(c, begin, least, most, end);
    nfa_bytes(a, end, '"', '"', to);
    fsm_free(&f);
}

bool schema_names(struct compiler *c, const struct parts *p, struct fsm *f) {
    bool free = true, listed = false;
    size_t least = 0, most = SIZE_MAX;
    gyr_error why;
    if (p->never || !(parts_types(c, p) & TYPE_STRING)) return !c->failed;
    if (schema_has_choice(p))
        return schema_fail(c, p->items[0].schema, GYR_UNSUPPORTED, "propertyNames with choices is not supported");
    const json_t *values = schema_values(c, p, &listed);
    if (listed) return values && strings_of(c, values, f);
    if (!string_content(c, p, f, &free) || !free) return !c->failed;
    return parts_count(c, p, "minLength", true, &least) && parts_count(c, p, "maxLength", false, &most) &&
           (pattern_compile(f, "", 0, PATTERN_FIND, SPELL_JSON, "pattern", &why) || schema_no_memory(c)) &&
           keep_length(c, least, most, f);
}
