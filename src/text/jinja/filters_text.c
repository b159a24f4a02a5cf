// Filters that make strings.
#include "base/utf8.h"
#include "text/jinja/case.h"
#include "text/jinja/methods.h"
#include "text/jinja/wrap.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static bool subject(struct vm *vm, struct args *a, struct str **s) {
    struct value v;
    if (!j_to_str(vm, a->self, &v)) return false;
    *s = v.s;
    return true;
}

#define CASE(name, how)                                                                                                \
    static bool name(struct vm *vm, struct args *a, struct value *out) {                                               \
        struct str *s;                                                                                                 \
        return subject(vm, a, &s) && j_change_case(vm, s, how, out);                                                   \
    }
CASE(f_upper, CASE_UPPER)
CASE(f_lower, CASE_LOWER)
CASE(f_title, CASE_WORDS)
CASE(f_capitalize, CASE_CAPITALIZE)

static bool f_string(struct vm *vm, struct args *a, struct value *out) { return j_to_str(vm, a->self, out); }

static bool f_trim(struct vm *vm, struct args *a, struct value *out) {
    struct value v;
    return j_to_str(vm, a->self, &v) && j_trim(vm, v, a->v[0], true, true, out);
}

static bool f_replace(struct vm *vm, struct args *a, struct value *out) {
    struct value v[3];
    int64_t count = -1;
    if (!j_to_str(vm, a->self, &v[0]) || !j_to_str(vm, a->v[0], &v[1]) || !j_to_str(vm, a->v[1], &v[2])) return false;
    if (a->v[2].kind > V_NONE && !j_want_int(vm, a->v[2], "replace", &count)) return false;
    if (!j_replace(vm, v[0].s, v[1].s, v[2].s, count, out)) return false;
    out->s->markup = false;
    return true;
}

static bool f_join(struct vm *vm, struct args *a, struct value *out) {
    struct value between, items;
    struct list *l;
    if (a->v[0].kind == V_UNSET) a->v[0] = (struct value){.kind = V_UNDEFINED};
    if (!j_to_str(vm, a->v[0], &between) || !j_items(vm, a->self, &l)) return false;
    if (a->v[1].kind > V_NONE) {
        if (!j_list(vm, V_LIST, l->n, &items)) return false;
        for (size_t i = 0; i < l->n; i++)
            if (!j_attribute(vm, l->items[i], a->v[1], v_none(), &items.l->items[i])) return false;
        l = items.l;
    }
    return j_join_safely(vm, between.s, l, out);
}

static bool f_indent(struct vm *vm, struct args *a, struct value *out) {
    struct str *s, *by;
    struct value lines, pad;
    int64_t width = 4;
    bool first = v_true(a->v[1]), blank = v_true(a->v[2]);
    if (!j_want_str(vm, a->self, "indent", &s)) return false;
    if (a->v[0].kind == V_STR) {
        by = a->v[0].s;
    } else {
        static const struct str none = {.data = ""}, space = {.data = " ", .size = 1};
        if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "indent", &width)) return false;
        if (width > 1000) return j_fail(vm, "indent goes at most 1000 wide");
        if (!j_pad(vm, &none, width, &space, 1, &pad)) return false;
        by = pad.s;
    }
    if (!j_splitlines(vm, s, false, &lines)) return false;
    struct list *l = lines.l;
    // Jinja adds a newline before it splits: a text that ends with one keeps an empty last line.
    bool last = !s->size || !l->n || l->items[l->n - 1].s->data + l->items[l->n - 1].s->size != s->data + s->size;
    struct build b = {.vm = vm};
    if (first) b_str(&b, by);
    for (size_t i = 0; i < l->n; i++) {
        if (i) b_puts(&b, "\n");
        if (i && (blank || l->items[i].s->size)) b_str(&b, by);
        b_str(&b, l->items[i].s);
    }
    if (last && l->n) b_puts(&b, "\n");
    if (last && l->n && blank) b_str(&b, by);
    return b_done(&b, out);
}

static bool f_center(struct vm *vm, struct args *a, struct value *out) {
    static const struct str space = {.data = " ", .size = 1};
    struct str *s;
    int64_t width = 80;
    if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "center", &width)) return false;
    return subject(vm, a, &s) && j_pad(vm, s, width, &space, 0, out);
}

static bool f_truncate(struct vm *vm, struct args *a, struct value *out) {
    struct str *s, dots = {.data = "...", .size = 3}, *end = &dots;
    int64_t length = 255, leeway = 5;
    if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "truncate", &length)) return false;
    if (a->v[2].kind != V_UNSET && !j_want_str(vm, a->v[2], "truncate", &end)) return false;
    if (a->v[3].kind > V_NONE && !j_want_int(vm, a->v[3], "truncate", &leeway)) return false;
    int64_t tail = (int64_t)j_chars(end);
    if (length < tail || leeway < 0 || leeway > INT32_MAX || length > INT32_MAX)
        return j_fail(vm, "truncate wants a length of at least %lld", (long long)tail);
    size_t have;
    if (!j_length(vm, a->self, &have)) return false;
    if ((int64_t)have <= length + leeway) return *out = a->self, true;
    if (!j_want_str(vm, a->self, "truncate", &s)) return false;
    size_t cut = j_char_at(s, (size_t)(length - tail));
    static const struct str space = {.data = " ", .size = 1};
    if (!j_step(vm, cut / 16)) return false;
    size_t word = v_true(a->v[1]) ? SIZE_MAX : j_find_last(s, &space, cut);
    struct build b = {.vm = vm};
    b_part(&b, s, 0, word == SIZE_MAX ? cut : word);
    b_str(&b, end);
    return b_done(&b, out);
}

static bool f_wordcount(struct vm *vm, struct args *a, struct value *out) {
    struct str *s;
    int64_t n = 0;
    if (!subject(vm, a, &s) || !j_step(vm, s->size / 4)) return false;
    const struct native *alnum = j_find_native(j_str_tests, (struct text){"isalnum", 7});
    bool inside = false;
    for (size_t i = 0, size; i < s->size; i += size) {
        uint32_t c;
        size = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!size) break;
        struct str one = {.data = s->data + i, .size = size};
        struct args self = {.self = {.kind = V_STR, .s = &one}};
        struct value yes;
        if (!alnum->fn(vm, &self, &yes)) return false;
        bool word = yes.b || c == '_';
        n += word && !inside;
        inside = word;
    }
    *out = v_int(n);
    return true;
}

static bool f_escape(struct vm *vm, struct args *a, struct value *out) { return j_escape(vm, a->self, out); }

static bool f_forceescape(struct vm *vm, struct args *a, struct value *out) {
    struct value v;
    struct str plain;
    if (!j_to_str(vm, a->self, &v)) return false;
    plain = *v.s;
    plain.markup = false;
    return j_escape(vm, (struct value){.kind = V_STR, .s = &plain}, out);
}

static bool f_safe(struct vm *vm, struct args *a, struct value *out) {
    struct str *s;
    if (!subject(vm, a, &s) || !j_slice(vm, s, 0, s->size, out)) return false;
    out->s->markup = true;
    return true;
}

static bool f_format(struct vm *vm, struct args *a, struct value *out) {
    struct str *s;
    struct value v;
    const struct native *dict = j_find_native(j_globals, (struct text){"dict", 4});
    if (!subject(vm, a, &s)) return false;
    if (a->n && a->nkw) return j_fail(vm, "format takes values either by place or by name");
    if (a->nkw) return j_call_native(vm, dict, a, &v) && j_percent(vm, s, v, out);
    if (!j_list(vm, V_TUPLE, a->n, &v)) return false;
    if (a->n) memcpy(v.l->items, a->v, a->n * sizeof *a->v);
    return j_percent(vm, s, v, out);
}

static void quote(struct build *b, const struct str *s, bool query) {
    for (size_t i = 0; i < s->size && !b->vm->failed; i++) {
        unsigned char c = (unsigned char)s->data[i];
        bool alnum = (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'), user = s->user && s->user[i];
        char text[4];
        if (alnum || (c && strchr("_.-~", c)) || (c == '/' && !query))
            b_part(b, s, i, i + 1);
        else if (c == ' ' && query)
            b_add(b, "+", 1, user);
        else
            b_add(b, text, (size_t)snprintf(text, sizeof text, "%%%02X", c), user);
    }
}

static bool f_urlencode(struct vm *vm, struct args *a, struct value *out) {
    struct build b = {.vm = vm};
    struct str *s;
    struct list *l, *pair;
    struct value v = a->self;
    if (v.kind == V_STR || !j_is_iterable(v)) {
        if (!subject(vm, a, &s)) return false;
        quote(&b, s, false);
        return b_done(&b, out);
    }
    struct args none = {.self = v};
    if (v.kind == V_DICT && !j_call_native(vm, j_find_native(j_dict_methods, (struct text){"items", 5}), &none, &v))
        return false;
    if (!j_items(vm, v, &l)) return false;
    for (size_t i = 0; i < l->n; i++) {
        struct value key, value;
        if (!j_items(vm, l->items[i], &pair)) return false;
        if (pair->n != 2) return j_fail(vm, "urlencode wants pairs");
        if (!j_to_str(vm, pair->items[0], &key) || !j_to_str(vm, pair->items[1], &value)) return false;
        if (i) b_puts(&b, "&");
        quote(&b, key.s, true);
        b_puts(&b, "=");
        quote(&b, value.s, true);
    }
    return b_done(&b, out);
}

static bool f_xmlattr(struct vm *vm, struct args *a, struct value *out) {
    struct build b = {.vm = vm};
    if (a->self.kind != V_DICT) return j_fail(vm, "xmlattr wants a dict");
    bool any = false, space = a->v[0].kind == V_UNSET || v_true(a->v[0]);
    for (size_t i = 0; i < a->self.d->n; i++) {
        struct pair p = a->self.d->items[i];
        struct value key, value;
        if (p.value.kind <= V_NONE) continue;
        if (p.key.kind != V_STR) return j_fail(vm, "xmlattr: %s is no name of an attribute", j_c_str(vm, p.key));
        if (!j_escape(vm, p.key, &key) || !j_escape(vm, p.value, &value)) return false;
        for (size_t k = 0; k < key.s->size; k++)
            if (key.s->data[k] && strchr(" \t\n\r\f\v/>=", key.s->data[k]))
                return j_fail(vm, "xmlattr: %s is no name of an attribute", j_c_str(vm, p.key));
        if (any || space) b_puts(&b, " ");
        any = true;
        b_str(&b, key.s);
        b_puts(&b, "=\"");
        b_str(&b, value.s);
        b_puts(&b, "\"");
    }
    return b_done(&b, out);
}

static bool f_filesizeformat(struct vm *vm, struct args *a, struct value *out) {
    static const char prefixes[] = "kMGTPEZY";
    char text[64];
    struct value v;
    struct value not = v_none();
    if (!j_filter(vm, (struct text){"float", 5}, &(struct args){.self = a->self, .v = &not, .n = 1}, &v)) return false;
    if (v.kind != V_FLOAT || isnan(v.f)) return j_fail(vm, "filesizeformat wants a number");
    bool binary = v_true(a->v[0]);
    double bytes = v.f, base = binary ? 1024 : 1000, unit = base;
    if (bytes == 1)
        snprintf(text, sizeof text, "1 Byte");
    else if (bytes < base)
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes) + 0.0);
    else {
        size_t i = 0;
        for (; i < 7 && bytes >= unit * base; i++) unit *= base;
        char prefix = binary && !i ? 'K' : prefixes[i];
        snprintf(text, sizeof text, "%.1f %c%sB", fmin(bytes / unit, 1e30), prefix, binary ? "i" : "");
    }
    return j_str(vm, text, strlen(text), false, out);
}

static bool f_pprint(struct vm *vm, struct args *a, struct value *out) {
    struct build b = {.vm = vm};
    b_repr(&b, a->self);
    return b_done(&b, out);
}

const struct native j_filters_text[] = {
    {"tojson", "ensure_ascii,indent,separators,sort_keys", 0, j_tojson},
    {"trim", "chars", 0, f_trim},
    {"join", "d,attribute", 0, f_join},
    {"upper", "", 0, f_upper},
    {"lower", "", 0, f_lower},
    {"title", "", 0, f_title},
    {"capitalize", "", 0, f_capitalize},
    {"string", "", 0, f_string},
    {"replace", "old,new,count", 2, f_replace},
    {"indent", "width,first,blank", 0, f_indent},
    {"center", "width", 0, f_center},
    {"truncate", "length,killwords,end,leeway", 0, f_truncate},
    {"wordcount", "", 0, f_wordcount},
    {"wordwrap", "width,break_long_words,wrapstring,break_on_hyphens", 0, j_wordwrap},
    {"striptags", "", 0, j_striptags},
    {"escape", "", 0, f_escape},
    {"e", "", 0, f_escape},
    {"forceescape", "", 0, f_forceescape},
    {"safe", "", 0, f_safe},
    {"format", NULL, 0, f_format},
    {"urlencode", "", 0, f_urlencode},
    {"xmlattr", "autospace", 0, f_xmlattr},
    {"filesizeformat", "binary", 0, f_filesizeformat},
    {"pprint", "", 0, f_pprint},
    {NULL},
};
