// Methods that few templates call: of strings, numbers and views.
#include "base/utf8.h"
#include "text/jinja/big.h"
#include "text/jinja/case.h"
#include "text/jinja/methods.h"

#include <string.h>

// ---- strings

static bool m_expandtabs(struct vm *vm, struct args *a, struct value *out) {
    const struct str *s = a->self.s;
    struct build b = {.vm = vm};
    int64_t width = 8, column = 0;
    if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "expandtabs()", &width)) return false;
    if (width > 1000) return j_fail(vm, "expandtabs() goes at most 1000 wide");
    for (size_t i = 0; i < s->size && j_step(vm, 1); i++) {
        char c = s->data[i];
        if (c == '\t') {
            int64_t n = width > 0 ? width - column % width : 0;
            column += n;
            for (; n > 0; n--) b_add(&b, " ", 1, s->user && s->user[i]);
            continue;
        }
        b_part(&b, s, i, i + 1);
        column = c == '\n' || c == '\r' ? 0 : column + ((c & 0xc0) != 0x80);
    }
    return b_done(&b, out);
}

static bool m_format_map(struct vm *vm, struct args *a, struct value *out) {
    if (a->v[0].kind != V_DICT) return j_fail(vm, "format_map() wants a dict, not '%s'", v_type(a->v[0]));
    const struct dict *d = a->v[0].d;
    struct args named = {.self = a->self, .kw = j_alloc_array(vm, d->n, sizeof *named.kw)};
    if (!named.kw) return false;
    for (size_t i = 0; i < d->n; i++) {
        struct value key = d->items[i].key;
        if (key.kind != V_STR) continue;
        named.kw[named.nkw++] = (struct keyword){{key.s->data, key.s->size}, key.s->user, d->items[i].value};
    }
    return j_format(vm, a->self.s, &named, out);
}

// A character's number, of an integer or a string of one.
static bool code_of(struct vm *vm, struct value v, struct value *out) {
    uint32_t c;
    if (v_is_int(v)) return *out = v, true;
    if (v.kind != V_STR || j_chars(v.s) != 1 || !utf8_decode(v.s->data, v.s->size, &c))
        return j_fail(vm, "maketrans() wants numbers or strings of one character");
    *out = v_int(c);
    return true;
}

static bool pairs_of_strings(struct vm *vm, struct args *a, struct dict *d) {
    struct str *s[3] = {0};
    struct list *from, *to = NULL;
    for (int i = 0; i < 3; i++)
        if (a->v[i].kind != V_UNSET && !j_want_str(vm, a->v[i], "maketrans()", &s[i])) return false;
    if (j_chars(s[0]) != j_chars(s[1])) return j_fail(vm, "maketrans() wants two strings of one length");
    for (int i = 0; i < 3; i += 2) {
        struct value key, value = v_none();
        if (!s[i]) continue;
        if (!j_items(vm, a->v[i], &from) || (!i && !j_items(vm, a->v[1], &to))) return false;
        for (size_t k = 0; k < from->n; k++)
            if (!code_of(vm, from->items[k], &key) || (!i && !code_of(vm, to->items[k], &value)) ||
                !j_put(vm, d, key, value))
                return false;
    }
    return true;
}

static bool m_maketrans(struct vm *vm, struct args *a, struct value *out) {
    if (!j_dict(vm, 0, out)) return false;
    if (a->v[1].kind != V_UNSET) return pairs_of_strings(vm, a, out->d);
    if (a->v[0].kind != V_DICT) return j_fail(vm, "maketrans() wants a dict, or two strings");
    const struct dict *d = a->v[0].d;
    for (size_t i = 0; i < d->n; i++) {
        struct value key;
        if (!code_of(vm, d->items[i].key, &key) || !j_put(vm, out->d, key, d->items[i].value)) return false;
    }
    return true;
}

// What a table says of a character; V_UNSET: nothing.
static bool translated(struct vm *vm, struct value table, uint32_t c, struct value *out) {
    *out = (struct value){.kind = V_UNSET};
    if (table.kind == V_DICT) {
        const struct pair *p = j_get(vm, table.d, v_int(c));
        if (p) *out = p->value;
    } else if (v_is_list(table) && table.kind != V_ITER) {
        if (c < table.l->n) *out = table.l->items[c];
    } else {
        return j_fail(vm, "translate() wants a dict or a list, not '%s'", v_type(table));
    }
    return !vm->failed;
}

static bool m_translate(struct vm *vm, struct args *a, struct value *out) {
    const struct str *s = a->self.s;
    struct build b = {.vm = vm};
    uint32_t c;
    for (size_t i = 0, n; i < s->size && j_step(vm, 1); i += n) {
        struct value v;
        char bytes[4];
        bool user = s->user && s->user[i];
        n = (size_t)utf8_decode(s->data + i, s->size - i, &c);
        if (!n || !translated(vm, a->v[0], c, &v)) return false;
        int size = 0;
        if (v.kind == V_UNSET)
            b_part(&b, s, i, i + n);
        else if (v.kind == V_STR)
            b_str(&b, v.s);
        else if (v_is_int(v) && v_as_int(v) >= 0 && v_as_int(v) < 0x110000)
            size = utf8_encode((uint32_t)v_as_int(v), bytes);
        else if (v.kind != V_NONE)
            return j_fail(vm, "translate() makes numbers, strings or nothing of a character, not '%s'", v_type(v));
        b_add(&b, bytes, (size_t)size, user);
    }
    return b_done(&b, out);
}

static bool m_casefold(struct vm *vm, struct args *a, struct value *out) {
    return j_change_case(vm, a->self.s, CASE_FOLD, out);
}

const struct native j_str_rare[] = {
    {"casefold", "", 0, m_casefold},
    {"expandtabs", "tabsize", 0, m_expandtabs},
    {"format_map", "mapping", 1, m_format_map},
    {"maketrans", "x,y,z", 1, m_maketrans},
    {"translate", "table", 1, m_translate},
    {NULL},
};

// ---- numbers

static bool count_bits(struct vm *vm, struct value v, bool ones, struct value *out) {
    char digits[BIG_WORDS * 32 + 1];
    int64_t n = 0;
    size_t size = j_whole_digits(v, 2, digits, sizeof digits);
    for (size_t i = 0; i < size; i++) n += ones ? digits[i] == '1' : true;
    *out = v_int(v_true(v) ? n : 0);
    return j_step(vm, size / 16);
}

static bool m_bit_length(struct vm *vm, struct args *a, struct value *out) {
    return count_bits(vm, a->self, false, out);
}
static bool m_bit_count(struct vm *vm, struct args *a, struct value *out) { return count_bits(vm, a->self, true, out); }

static bool m_conjugate(struct vm *vm, struct args *a, struct value *out) { return j_unary(vm, '+', a->self, out); }

static bool m_is_integer(struct vm *vm, struct args *a, struct value *out) {
    double f = a->self.f;
    *out = v_bool(a->self.kind != V_FLOAT || (f - f == 0 && __builtin_trunc(f) == f));
    return true;
}

const struct native j_int_methods[] = {{"bit_length", "", 0, m_bit_length},
                                       {"bit_count", "", 0, m_bit_count},
                                       {"conjugate", "", 0, m_conjugate},
                                       {"is_integer", "", 0, m_is_integer},
                                       {NULL}};
const struct native j_float_methods[] = {
    {"conjugate", "", 0, m_conjugate}, {"is_integer", "", 0, m_is_integer}, {NULL}};

bool j_number_attr(struct vm *vm, struct value v, struct text name, struct value *out) {
    bool whole = v.kind != V_FLOAT;
    if (text_is(name, "real") || (whole && text_is(name, "numerator"))) return j_unary(vm, '+', v, out);
    if (text_is(name, "imag")) *out = whole ? v_int(0) : v_float(0);
    if (whole && text_is(name, "denominator")) *out = v_int(1);
    return true;
}

// ---- views

static bool m_isdisjoint(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    bool in = false;
    if (!j_items(vm, a->v[0], &l)) return false;
    for (size_t i = 0; i < l->n && !in; i++)
        if (!j_contains(vm, l->items[i], a->self, &in)) return false;
    *out = v_bool(!in);
    return true;
}

const struct native j_view_methods[] = {{"isdisjoint", "other", 1, m_isdisjoint}, {NULL}};
