// "x is NAME".
#include "text/jinja/big.h"
#include "text/jinja/case.h"

#include <string.h>

static bool yes(struct value *out, bool b) { return *out = v_bool(b), true; }

#define TEST(name, condition)                                                                                          \
    static bool name(struct vm *vm, struct args *a, struct value *out) {                                               \
        struct value v = a->self;                                                                                      \
        return yes(out, condition);                                                                                    \
    }
TEST(t_defined, v.kind != V_UNDEFINED)
TEST(t_undefined, v.kind == V_UNDEFINED)
TEST(t_none, v.kind == V_NONE)
TEST(t_boolean, v.kind == V_BOOL)
TEST(t_true, v.kind == V_BOOL && v.b)
TEST(t_false, v.kind == V_BOOL && !v.b)
TEST(t_integer, v.kind == V_INT || v.kind == V_BIG)
TEST(t_float, v.kind == V_FLOAT)
TEST(t_number, v_is_number(v))
TEST(t_string, v.kind == V_STR)
TEST(t_mapping, v.kind == V_DICT)
TEST(t_iterable, j_is_iterable(v))
TEST(t_sequence, v.kind == V_STR || v.kind == V_LIST || v.kind == V_TUPLE || v.kind == V_RANGE || v.kind == V_DICT ||
                     v.kind == V_UNDEFINED)
TEST(t_callable, (v.kind >= V_NATIVE && v.kind <= V_JOINER) || v.kind == V_UNDEFINED)
TEST(t_escaped, v.kind == V_STR && v.s->markup)
TEST(t_sameas, v.kind == a->v[0].kind && (v.kind <= V_NONE || (v.kind <= V_FLOAT ? j_equal(vm, v, a->v[0])
                                                               : v.kind == V_STR ? j_equal(vm, v, a->v[0])
                                                                                 : v.l == a->v[0].l)))

static bool remainder_is(struct vm *vm, struct value v, int64_t by, int64_t want, struct value *out) {
    struct value r;
    return j_binary(vm, '%', v, v_int(by), &r) && yes(out, v_is_number(r) && v_as_float(r) == (double)want);
}

static bool t_odd(struct vm *vm, struct args *a, struct value *out) { return remainder_is(vm, a->self, 2, 1, out); }
static bool t_even(struct vm *vm, struct args *a, struct value *out) { return remainder_is(vm, a->self, 2, 0, out); }

static bool t_divisibleby(struct vm *vm, struct args *a, struct value *out) {
    struct value r;
    return j_binary(vm, '%', a->self, a->v[0], &r) && yes(out, v_is_number(r) && v_as_float(r) == 0);
}

static bool is_case(struct vm *vm, struct args *a, const char *name, struct value *out) {
    struct value s;
    struct args none = {0};
    if (!j_to_str(vm, a->self, &s)) return false;
    none.self = s;
    return j_call_native(vm, j_find_native(j_str_tests, (struct text){name, strlen(name)}), &none, out);
}

static bool t_lower(struct vm *vm, struct args *a, struct value *out) { return is_case(vm, a, "islower", out); }
static bool t_upper(struct vm *vm, struct args *a, struct value *out) { return is_case(vm, a, "isupper", out); }

static bool t_eq(struct vm *vm, struct args *a, struct value *out) {
    return yes(out, j_equal(vm, a->self, a->v[0])) && !vm->failed;
}
static bool t_ne(struct vm *vm, struct args *a, struct value *out) {
    return yes(out, !j_equal(vm, a->self, a->v[0])) && !vm->failed;
}

static bool order(struct vm *vm, struct args *a, const char *op, int *o) {
    return j_compare(vm, a->self, a->v[0], op, o);
}

static bool t_lt(struct vm *vm, struct args *a, struct value *out) {
    int o;
    return order(vm, a, "<", &o) && yes(out, o < 0);
}
static bool t_le(struct vm *vm, struct args *a, struct value *out) {
    int o;
    return order(vm, a, "<=", &o) && yes(out, o <= 0);
}
static bool t_gt(struct vm *vm, struct args *a, struct value *out) {
    int o;
    return order(vm, a, ">", &o) && yes(out, o > 0);
}
static bool t_ge(struct vm *vm, struct args *a, struct value *out) {
    int o;
    return order(vm, a, ">=", &o) && yes(out, o >= 0);
}

static bool t_in(struct vm *vm, struct args *a, struct value *out) {
    bool is;
    return j_contains(vm, a->self, a->v[0], &is) && yes(out, is);
}

static bool t_filter(struct vm *vm, struct args *a, struct value *out) {
    if (a->self.kind != V_STR) return yes(out, false) && j_hashable(vm, a->self);
    struct text name = {a->self.s->data, a->self.s->size};
    return yes(out, j_find_native(j_filters_text, name) || j_find_native(j_filters_list, name) ||
                        j_find_native(j_filters_pick, name) || j_find_native(j_filters_number, name));
}

static bool t_test(struct vm *vm, struct args *a, struct value *out) {
    if (a->self.kind != V_STR) return yes(out, false) && j_hashable(vm, a->self);
    return yes(out, j_find_native(j_tests, (struct text){a->self.s->data, a->self.s->size}));
}

const struct native j_tests[] = {
    {"defined", "", 0, t_defined},
    {"undefined", "", 0, t_undefined},
    {"none", "", 0, t_none},
    {"boolean", "", 0, t_boolean},
    {"true", "", 0, t_true},
    {"false", "", 0, t_false},
    {"integer", "", 0, t_integer},
    {"float", "", 0, t_float},
    {"number", "", 0, t_number},
    {"string", "", 0, t_string},
    {"mapping", "", 0, t_mapping},
    {"iterable", "", 0, t_iterable},
    {"sequence", "", 0, t_sequence},
    {"callable", "", 0, t_callable},
    {"escaped", "", 0, t_escaped},
    {"sameas", "other", 1, t_sameas},
    {"odd", "", 0, t_odd},
    {"even", "", 0, t_even},
    {"divisibleby", "num", 1, t_divisibleby},
    {"lower", "", 0, t_lower},
    {"upper", "", 0, t_upper},
    {"eq", "other", 1, t_eq},
    {"equalto", "other", 1, t_eq},
    {"==", "other", 1, t_eq},
    {"ne", "other", 1, t_ne},
    {"!=", "other", 1, t_ne},
    {"lt", "other", 1, t_lt},
    {"lessthan", "other", 1, t_lt},
    {"<", "other", 1, t_lt},
    {"le", "other", 1, t_le},
    {"<=", "other", 1, t_le},
    {"gt", "other", 1, t_gt},
    {"greaterthan", "other", 1, t_gt},
    {">", "other", 1, t_gt},
    {"ge", "other", 1, t_ge},
    {">=", "other", 1, t_ge},
    {"in", "seq", 1, t_in},
    {"filter", "", 0, t_filter},
    {"test", "", 0, t_test},
    {NULL},
};
