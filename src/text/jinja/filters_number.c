// Filters that make numbers.
#include "text/jinja/ast.h"
#include "text/jinja/big.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A string without white space at its ends, as C has it; false if it is too long to be a number.
static bool number_text(const struct str *s, char *out, size_t room) {
    size_t begin, end, n = 0;
    j_strip(s, NULL, true, true, &begin, &end);
    if (end - begin >= room) return false;
    for (size_t i = begin; i < end; i++) {
        bool between = i > begin && i + 1 < end && s->data[i - 1] != '_' && s->data[i + 1] != '_';
        if (s->data[i] == '_' && !between) return false;
        if (s->data[i] != '_') out[n++] = s->data[i];
    }
    out[n] = 0;
    return n && strlen(out) == n;
}

static bool parse_int(struct vm *vm, const struct str *s, int base, struct value *out) {
    char text[MAX_DIGITS + 64];
    if (!number_text(s, text, sizeof text)) return false;
    const char *p = text + (*text == '-' || *text == '+');
    bool minus = *text == '-';
    static const struct {
        char letter;
        int base;
    } prefixes[] = {{'x', 16}, {'o', 8}, {'b', 2}};
    for (size_t i = 0; i < 3; i++)
        if (*p == '0' && (p[1] | 32) == prefixes[i].letter && (base == prefixes[i].base || !base)) {
            base = prefixes[i].base;
            p += 2;
        }
    if (!base) base = 10;
    if (!*p || strspn(p, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") != strlen(p)) return false;
    for (const char *q = p; *q; q++)
        if ((*q > '9' ? (*q | 32) - 'a' + 10 : *q - '0') >= base) return false;
    return j_whole_text(vm, p, strlen(p), (unsigned)base, minus, out);
}

static bool parse_float(const struct str *s, double *out) {
    char text[512], *end;
    if (!number_text(s, text, sizeof text) || strpbrk(text, "xXpP(")) return false;
    *out = strtod(text, &end);
    return !*end;
}

static bool from_float(struct vm *vm, double f, struct value otherwise, struct value *out) {
    if (!isfinite(f)) return *out = otherwise, true;
    return j_whole_float(vm, f, out);
}

static bool f_int(struct vm *vm, struct args *a, struct value *out) {
    struct value v = a->self, otherwise = a->v[0].kind == V_UNSET ? v_int(0) : a->v[0];
    int64_t base = 10;
    double f;
    if (a->v[1].kind != V_UNSET && !j_want_int(vm, a->v[1], "int", &base)) return false;
    if (base < 0 || base == 1 || base > 36) return j_fail(vm, "int wants a base of 2 to 36");
    if (v.kind == V_UNDEFINED) return j_fail(vm, "%s", v.s ? v.s->data : "the value is undefined");
    if (v.kind == V_BIG) return *out = v, true;
    if (v_is_int(v)) return *out = v_int(v_as_int(v)), true;
    if (v.kind == V_FLOAT) return from_float(vm, v.f, otherwise, out);
    if (v.kind == V_STR && parse_int(vm, v.s, (int)base, out)) return true;
    if (vm->failed) return false;
    if (v.kind == V_STR && parse_float(v.s, &f)) return from_float(vm, f, otherwise, out);
    *out = otherwise;
    return true;
}

static bool f_float(struct vm *vm, struct args *a, struct value *out) {
    struct value v = a->self;
    double f;
    if (v.kind == V_UNDEFINED) return j_fail(vm, "%s", v.s ? v.s->data : "the value is undefined");
    if (v_is_number(v))
        *out = v_float(v_as_float(v));
    else if (v.kind == V_STR && parse_float(v.s, &f))
        *out = v_float(f);
    else
        *out = a->v[0].kind == V_UNSET ? v_float(0) : a->v[0];
    return true;
}

static bool f_abs(struct vm *vm, struct args *a, struct value *out) {
    if (a->self.kind == V_FLOAT) return *out = v_float(fabs(a->self.f)), true;
    if (!v_is_whole(a->self)) return j_fail(vm, "abs wants a number, not '%s'", v_type(a->self));
    return j_unary(vm, j_whole_minus(a->self) ? '-' : '+', a->self, out);
}

// Half to even, without a detour through floats.
static bool round_whole(struct vm *vm, struct value v, int64_t places, struct value *out) {
    struct value unit, rest, twice;
    if (places >= 0) return j_unary(vm, '+', v, out);
    if (!j_binary(vm, OP_POW, v_int(10), v_int(-places), &unit) || !j_binary(vm, '%', v, unit, &rest) ||
        !j_binary(vm, '-', v, rest, out) || !j_binary(vm, '*', rest, v_int(2), &twice))
        return false;
    int order = j_whole_compare(twice, unit);
    if (!order) {
        struct value tens, odd;
        if (!j_binary(vm, OP_FLOORDIV, *out, unit, &tens) || !j_binary(vm, '%', tens, v_int(2), &odd)) return false;
        order = v_true(odd) ? 1 : -1;
    }
    return order < 0 || j_binary(vm, '+', *out, unit, out);
}

static bool f_round(struct vm *vm, struct args *a, struct value *out) {
    int64_t places = 0;
    char text[400];
    if (!v_is_number(a->self)) return j_fail(vm, "round wants a number, not '%s'", v_type(a->self));
    if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "round", &places)) return false;
    if (places < -18 || places > 30) return j_fail(vm, "round wants -18 to 30 places");
    double f = v_as_float(a->self), scale = pow(10, (double)places);
    struct text method = {"common", 6};
    if (a->v[1].kind == V_STR) method = (struct text){a->v[1].s->data, a->v[1].s->size};
    if (text_is(method, "ceil"))
        *out = v_float(ceil(f * scale) / scale);
    else if (text_is(method, "floor"))
        *out = v_float(floor(f * scale) / scale);
    else if (!text_is(method, "common"))
        return j_fail(vm, "round knows the methods common, ceil and floor");
    else if (v_is_whole(a->self))
        return round_whole(vm, a->self, places, out);
    else if (places < 0) {
        *out = v_float(rint(f * scale) / scale);
    } else {
        // printf rounds the exact value, half to even, as Python does.
        snprintf(text, sizeof text, "%.*f", (int)places, f);
        *out = v_float(strtod(text, NULL));
    }
    return true;
}

const struct native j_filters_number[] = {
    {"int", "default,base", 0, f_int},
    {"float", "default", 0, f_float},
    {"abs", "", 0, f_abs},
    {"round", "precision,method", 0, f_round},
    {NULL},
};
