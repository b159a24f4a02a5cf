// Given values, as a schema's "const" and "enum" have them.
#include "text/grammar/schema_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_spell(struct buf *out, struct text s) {
    static const char plain[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        const char *at = c ? strchr(plain, c) : NULL;
        if (at)
            buf_printf(out, "\\%c", letters[at - plain]);
        else if ((unsigned char)c < 0x20)
            buf_printf(out, "\\u%04x", (unsigned)c);
        else
            buf_putc(out, c);
    }
}

void emit_string_value(struct compiler *c, struct text s, uint32_t from, uint32_t to) {
    struct buf b = {0};
    buf_putc(&b, '"');
    json_spell(&b, s);
    buf_putc(&b, '"');
    if (b.failed) schema_no_memory(c);
    if (!c->failed) nfa_text(&c->rules->nfa, from, b.data, b.size, to);
    buf_free(&b);
}

void json_number_text(const json_t *j, char out[400]) {
    const char *digits = json_strange(j);
    double x = json_number_value(j);
    if (digits)
        snprintf(out, 400, "%s", digits);
    else if (json_is_integer(j))
        snprintf(out, 400, "%lld", (long long)json_integer_value(j));
    else
        for (int precision = 15; precision <= 17; precision++) {
            snprintf(out, 400, "%.*g", precision, x);
            if (strtod(out, NULL) == x) break;
        }
    // The decimal point is what the locale has.
    for (char *s = out; *s; s++)
        if (*s == ',') *s = '.';
}

static void emit_members(struct compiler *c, const json_t *value, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    bool object = json_is_object(value), first = true;
    const char *key;
    json_t *one;
    struct buf room = {0};
    size_t i;
    uint32_t at = nfa_state(a), last = nfa_state(a);
    nfa_bytes(a, from, object ? '{' : '[', object ? '{' : '[', at);
    from = at;
#define NEXT(name) uint32_t name = nfa_state(a)
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        NEXT(spaced);
        NEXT(named);
        NEXT(colon);
        NEXT(before);
        NEXT(after);
        NEXT(comma);
        nfa_bytes(a, from, ',', ',', comma);
        nfa_call(a, first ? from : comma, schema_common(c, COMMON_SPACE), spaced);
        emit_string_value(c, json_key(key, &room), spaced, named);
        nfa_bytes(a, named, ':', ':', colon);
        nfa_call(a, colon, schema_common(c, COMMON_COLON), before);
        emit_value(c, one, before, after);
        from = after, first = false;
    }
    json_array_foreach(value, i, one) {
        NEXT(spaced);
        NEXT(after);
        NEXT(comma);
        nfa_bytes(a, from, ',', ',', comma);
        nfa_call(a, i ? comma : from, schema_common(c, COMMON_SPACE), spaced);
        emit_value(c, one, spaced, after);
        from = after;
    }
#undef NEXT
    nfa_call(a, from, schema_common(c, COMMON_SPACE), last);
    nfa_bytes(a, last, object ? '}' : ']', object ? '}' : ']', to);
    buf_free(&room);
}

void emit_value(struct compiler *c, const json_t *value, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    char number[400];
    double real;
    if (c->failed || a->status) return;
    if (json_is_object(value) || json_is_array(value)) {
        emit_members(c, value, from, to);
    } else if (json_text(value).data) {
        emit_string_value(c, json_text(value), from, to);
    } else if (json_real_of(value, &real)) {
        json_number_text(value, number);
        if (strspn(number, "-+0123456789.eE") != strlen(number))
            schema_fail(c, value, GYR_UNSUPPORTED, "%s is no number of JSON", number);
        nfa_text(a, from, number, strlen(number), to);
    } else {
        const char *word = json_is_null(value) ? "null" : json_is_true(value) ? "true" : "false";
        nfa_text(a, from, word, strlen(word), to);
    }
}
