// Strings: patterns, formats, and lengths where there are some.
#include "text/grammar/schema_parts.h"

#include <string.h>

// ------------------------------------------------------------------------------------- patterns and formats

// Keeps of `f` what is in `other` too. *free: there is nothing in `f` yet.
static bool keep(struct compiler *c, struct fsm *f, const struct fsm *other, bool *free) {
    struct fsm both = {0};
    if (*free) {
        *free = false;
        return fsm_clone(f, other) || schema_no_memory(c);
    }
    bool ok = fsm_combine(&both, f, other, FSM_BOTH, MAX_PATTERN * 4, &c->rules->budget);
    fsm_free(f);
    *f = both;
    if (!ok && both.status == GYR_NO_MEMORY) return schema_no_memory(c);
    return ok || schema_fail(c, c->root, GYR_UNSUPPORTED, "patterns and lengths of a string: too large together");
}

static bool keep_pattern(struct compiler *c, const json_t *schema, struct text s, enum pattern_match match,
                         struct fsm *f, bool *free) {
    gyr_error why;
    const struct fsm *one = schema_pattern(c, s, match, &why);
    return one ? keep(c, f, one, free) : schema_bad_pattern(c, schema, "", &why);
}

// Keeps of `f` what is not in `other`.
static bool drop(struct compiler *c, struct fsm *f, const struct fsm *other, bool *free) {
    struct fsm rest = {0};
    gyr_error why;
    const struct fsm *from = *free ? schema_any_text(c, &why) : f;
    *free = false;
    bool ok = from && fsm_combine(&rest, from, other, FSM_WITHOUT, MAX_PATTERN * 4, &c->rules->budget);
    fsm_free(f);
    *f = rest;
    if (!ok && rest.status != GYR_UNSUPPORTED) return schema_no_memory(c);
    return ok || schema_fail(c, c->root, GYR_UNSUPPORTED, "patterns of a string: too large together");
}

static bool drop_pattern(struct compiler *c, const json_t *schema, const json_t *text, enum pattern_match match,
                         struct fsm *f, bool *free) {
    gyr_error why;
    struct text s = json_text(text);
    const char *known = match == PATTERN_WHOLE ? format_pattern(json_c_string(text) ? json_c_string(text) : "") : NULL;
    if (known) s = (struct text){known, strlen(known)};
    if (!s.data || (match == PATTERN_WHOLE && !known))
        return schema_fail(c, schema, GYR_UNSUPPORTED, "\"not\" of this format or pattern is not supported");
    const struct fsm *one = schema_pattern(c, s, match, &why);
    return one ? drop(c, f, one, free) : schema_bad_pattern(c, schema, "", &why);
}

// Texts of a list's strings.
static bool strings_of(struct compiler *c, const json_t *list, struct fsm *f) {
    struct nfa a = {.limit = MAX_NFA, .budget = &c->rules->budget};
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
    bool ok = !a.status && fsm_determinize(f, &a, from, to, MAX_NFA / 4, NULL, a.budget);
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
    struct fsm counted = {0};
    gyr_error why;
    const struct fsm *unit = schema_pattern(c, (struct text){"[^]", 3}, PATTERN_WHOLE, &why);
    bool ok = unit && fsm_count(&counted, f, unit, least, most, MAX_PATTERN * 4, &c->rules->budget);
    fsm_free(f);
    *f = counted;
    if (ok) return true;
    if (!unit || counted.status == GYR_NO_MEMORY) return schema_no_memory(c);
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
    struct fsm f = {0}, quoted = {0};
    bool free = true;
    size_t least = 0, most = SIZE_MAX;
    bool ok = string_content(c, p, &f, &free) && parts_count(c, p, "minLength", true, &least) &&
              parts_count(c, p, "maxLength", false, &most);
    if (ok && !free) {
        fsm_quote(&quoted, &f);
        nfa_call(a, from, rules_add_made(c->rules, &quoted, NULL), to);
    } else if (ok && least <= most) {
        emit_length(c, least, most, from, to);
    }
    fsm_free(&f);
}

bool schema_names(struct compiler *c, const struct parts *p, struct fsm *f) {
    bool free = true, listed = false;
    size_t least = 0, most = SIZE_MAX;
    const struct fsm *any;
    gyr_error why;
    if (p->never || !(parts_types(c, p) & TYPE_STRING)) return !c->failed;
    if (schema_has_choice(p))
        return schema_fail(c, p->items[0].schema, GYR_UNSUPPORTED, "propertyNames with choices is not supported");
    const json_t *values = schema_values(c, p, &listed);
    if (listed) return values && strings_of(c, values, f);
    if (!string_content(c, p, f, &free) || !free) return !c->failed;
    return parts_count(c, p, "minLength", true, &least) && parts_count(c, p, "maxLength", false, &most) &&
           ((any = schema_any_text(c, &why)) && fsm_clone(f, any) ? keep_length(c, least, most, f)
                                                                  : schema_no_memory(c));
}
