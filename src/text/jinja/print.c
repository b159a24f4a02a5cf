// str() and repr() as Python prints them.
#include "base/utf8.h"
#include "text/jinja/big.h"
#include "text/jinja/case.h"
#include "text/jinja/eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

// The shortest digits that read back as the same number, in Python's notation: an exponent below 1e-4 and from 1e16.
void j_float_repr(double f, char out[32]) {
    if (isnan(f) || isinf(f)) {
        snprintf(out, 32, "%s", isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    char e[40];
    int digits = 0;
    do snprintf(e, sizeof e, "%.*e", digits, f);
    while (strtod(e, NULL) != f && ++digits < 17);
    int exponent = (int)strtol(strchr(e, 'e') + 1, NULL, 10);
    if (f == 0 || (exponent >= -4 && exponent < 16)) {
        int places = digits > exponent ? digits - exponent : 0;
        snprintf(out, 32, "%.*f%s", places, f, places ? "" : ".0");
    } else {
        *strchr(e, 'e') = 0;
        snprintf(out, 32, "%.26se%+03d", e, exponent);
    }
}

bool j_is_printable(uint32_t c) {
    if (c < 0x7f) return c >= 0x20;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
    }
}

static void repr_char(struct build *b, uint32_t c, const char *bytes, int n, char quote, bool user) {
    static const char *const names[128] = {['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['\\'] = "\\\\"};
    char text[16];
    if (c < 128 && names[c])
        snprintf(text, sizeof text, "%s", names[c]);
    else if (c == (uint32_t)quote)
        snprintf(text, sizeof text, "\\%c", quote);
    else if (j_is_printable(c))
        snprintf(text, sizeof text, "%.*s", n, bytes);
    else
        snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    b_add(b, text, strlen(text), user);
}

static void repr_str(struct build *b, const struct str *s) {
    bool single = s->size && memchr(s->data, '\'', s->size), twice = s->size && memchr(s->data, '"', s->size);
    char quote = single && !twice ? '"' : '\'';
    b_puts(b, s->markup ? "Markup(" : "");
    b_add(b, &quote, 1, false);
    uint32_t c;
    for (size_t i = 0; i < s->size;) {
        int n = utf8_decode(s->data + i, s->size - i, &c);
        if (!n) break;
        repr_char(b, c, s->data + i, n, quote, s->user && s->user[i]);
        i += (size_t)n;
    }
    b_add(b, &quote, 1, false);
    b_puts(b, s->markup ? ")" : "");
}

static void repr_items(struct build *b, const char *open, const struct list *l, const char *close) {
    b_puts(b, open);
    for (size_t i = 0; i < l->n && !b->vm->failed; i++) {
        if (i) b_puts(b, ", ");
        b_repr(b, l->items[i]);
    }
    b_puts(b, close);
}

static void repr_dict(struct build *b, const struct dict *d) {
    b_puts(b, "{");
    for (size_t i = 0; i < d->n && !b->vm->failed; i++) {
        if (i) b_puts(b, ", ");
        b_repr(b, d->items[i].key);
        b_puts(b, ": ");
        b_repr(b, d->items[i].value);
    }
    b_puts(b, "}");
}

static void repr_list(struct build *b, struct value v) {
    switch (v.kind) {
    case V_TUPLE: repr_items(b, "(", v.l, v.l->n == 1 ? ",)" : ")"); break;
    case V_RANGE: b_puts(b, v.l->label); break;
    case V_VIEW:
        b_puts(b, v.l->label);
        repr_items(b, "([", v.l, "])");
        break;
    case V_ITER:
        b_puts(b, "<generator object ");
        b_puts(b, v.l->label);
        b_puts(b, ">");
        break;
    default: repr_items(b, "[", v.l, "]");
    }
}

// The same with what is not ASCII escaped: Python's ascii().
void b_ascii(struct build *b, struct value v) {
    struct build t = {.vm = b->vm};
    struct value s;
    char text[16];
    uint32_t c;
    b_repr(&t, v);
    if (!b_done(&t, &s)) return;
    for (size_t i = 0, n; i < s.s->size; i += n) {
        n = (size_t)utf8_decode(s.s->data + i, s.s->size - i, &c);
        if (!n) return;
        snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
        if (c < 128)
            b_part(b, s.s, i, i + n);
        else
            b_add(b, text, strlen(text), s.s->user && s.s->user[i]);
    }
}

static void repr_object(struct build *b, struct value v) {
    char text[128];
    switch (v.kind) {
    case V_NATIVE: snprintf(text, sizeof text, "<function %s>", v.native->name); break;
    case V_METHOD: snprintf(text, sizeof text, "<built-in method %s>", v.method->native->name); break;
    case V_MACRO: {
        struct text name = j_macro_name(v.macro);
        snprintf(text, sizeof text, "<Macro '%.*s'>", name.size < 64 ? (int)name.size : 64, name.data);
        break;
    }
    case V_LOOP: j_loop_repr(v.loop, text, sizeof text); break;
    default: snprintf(text, sizeof text, "<%s>", v_type(v));
    }
    b_puts(b, text);
}

void b_whole(struct build *b, struct value v) {
    char text[MAX_DIGITS + 1];
    if (!j_step(b->vm, v.kind == V_BIG ? 1000 : 1)) return;
    if (!j_whole_digits(v, 10, text, sizeof text)) {
        j_fail(b->vm, "an integer of more than %d digits cannot be printed", MAX_DIGITS);
        return;
    }
    if (j_whole_minus(v)) b_puts(b, "-");
    b_puts(b, text);
}

void b_repr(struct build *b, struct value v) {
    char text[32];
    if (b->vm->nesting >= MAX_NESTING) j_fail(b->vm, "a value is nested more than %d deep", MAX_NESTING);
    if (!j_step(b->vm, 1)) return;
    b->vm->nesting++;
    switch (v.kind) {
    case V_UNSET:
    case V_UNDEFINED: b_puts(b, "Undefined"); break;
    case V_NONE: b_puts(b, "None"); break;
    case V_BOOL: b_puts(b, v.b ? "True" : "False"); break;
    case V_INT:
    case V_BIG: b_whole(b, v); break;
    case V_FLOAT:
        j_float_repr(v.f, text);
        b_puts(b, text);
        break;
    case V_STR: repr_str(b, v.s); break;
    case V_DICT: repr_dict(b, v.d); break;
    case V_SPACE:
        b_puts(b, "<Namespace ");
        repr_dict(b, v.d);
        b_puts(b, ">");
        break;
    default:
        if (v_is_list(v))
            repr_list(b, v);
        else
            repr_object(b, v);
    }
    b->vm->nesting--;
}

void b_value(struct build *b, struct value v) {
    if (v.kind == V_STR)
        b_str(b, v.s);
    else if (v.kind != V_UNDEFINED)
        b_repr(b, v);
}

bool j_to_str(struct vm *vm, struct value v, struct value *out) {
    if (v.kind == V_STR) return *out = v, true;
    struct build b = {.vm = vm};
    b_value(&b, v);
    return b_done(&b, out);
}

const char *j_c_str(struct vm *vm, struct value v) {
    struct build b = {.vm = vm};
    b_repr(&b, v);
    if (b.size > 100) b.size = utf8_whole(b.data, 100);
    b_add(&b, "", 1, false);
    return vm->failed ? "?" : b.data;
}
