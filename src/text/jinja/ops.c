// Arithmetic with Python's rules.
#include "text/jinja/ast.h"
#include "text/jinja/big.h"

#include <math.h>
#include <string.h>

// Most integers fit in 64 bits, and so do most results.
static bool int_op(struct vm *vm, int op, struct value v, struct value w, struct value *out) {
    int64_t r, a = v.kind == V_BIG ? 0 : v_as_int(v), b = w.kind == V_BIG ? 0 : v_as_int(w);
    bool done = v.kind != V_BIG && w.kind != V_BIG;
    switch (op) {
    case '+': done = done && !__builtin_add_overflow(a, b, &r); break;
    case '-': done = done && !__builtin_sub_overflow(a, b, &r); break;
    case '*': done = done && !__builtin_mul_overflow(a, b, &r); break;
    case OP_FLOORDIV:
    case '%':
        done = done && b && b != -1;
        if (!done) break;
        // Python rounds down, C toward zero.
        r = op == '%' ? a % b : a / b;
        if (a % b && (a < 0) != (b < 0)) r += op == '%' ? b : -1;
        break;
    default: done = false;
    }
    if (!done) return j_whole_op(vm, op, v, w, out);
    *out = v_int(r);
    return true;
}

static bool float_op(struct vm *vm, int op, double a, double b, struct value *out) {
    double r;
    switch (op) {
    case '+': r = a + b; break;
    case '-': r = a - b; break;
    case '*': r = a * b; break;
    case OP_POW:
        if (!a && b < 0) return j_fail(vm, "0 cannot be raised to a negative power");
        r = pow(a, b);
        if (isnan(r) && !isnan(a) && !isnan(b)) return j_fail(vm, "the power of a negative number is no real number");
        if (isinf(r) && !isinf(a) && !isinf(b)) return j_fail(vm, "a number grows too large");
        break;
    default:
        if (!b) return j_fail(vm, "division by zero");
        if (op == '/') {
            r = a / b;
            break;
        }
        // As CPython's float_divmod: the remainder has the sign of b.
        double mod = fmod(a, b), div = (a - mod) / b;
        if (mod && (b < 0) != (mod < 0)) mod += b, div -= 1;
        if (!mod) mod = copysign(0, b);
        double whole = div ? floor(div) : copysign(0, a / b);
        if (div && div - whole > 0.5) whole += 1;
        r = op == '%' ? mod : whole;
    }
    *out = v_float(r);
    return true;
}

static bool add_lists(struct vm *vm, const struct list *a, const struct list *b, enum kind kind, struct value *out) {
    if (!j_list(vm, kind, a->n + b->n, out)) return false;
    if (a->n) memcpy(out->l->items, a->items, a->n * sizeof *a->items);
    if (b->n) memcpy(out->l->items + a->n, b->items, b->n * sizeof *b->items);
    return true;
}

static bool add_strs(struct vm *vm, struct value a, struct value b, struct value *out) {
    bool markup = a.s->markup || b.s->markup;
    if (markup && (!j_escape(vm, a, &a) || !j_escape(vm, b, &b))) return false;
    struct build t = {.vm = vm};
    b_str(&t, a.s);
    b_str(&t, b.s);
    if (!b_done(&t, out)) return false;
    out->s->markup = markup;
    return true;
}

static bool repeat(struct vm *vm, struct value v, int64_t times, struct value *out) {
    if (times < 0) times = 0;
    if (v.kind == V_STR) {
        struct build b = {.vm = vm};
        for (; times > 0 && v.s->size && j_step(vm, 1); times--) b_str(&b, v.s);
        return b_done(&b, out);
    }
    size_t n;
    if (__builtin_mul_overflow(v.l->n, (size_t)times, &n)) return j_fail(vm, "a list grows too long");
    if (!j_list(vm, v.kind, n, out)) return false;
    for (size_t i = 0; i < n; i++) out->l->items[i] = v.l->items[i % v.l->n];
    return true;
}

static bool is_sequence(struct value v) { return v.kind == V_STR || v.kind == V_LIST || v.kind == V_TUPLE; }

static const char *op_name(int op, char text[3]) {
    if (op == OP_FLOORDIV) return "//";
    if (op == OP_POW) return "**";
    text[0] = (char)op;
    text[1] = 0;
    return text;
}

bool j_binary(struct vm *vm, int op, struct value a, struct value b, struct value *out) {
    char text[3];
    if (v_is_whole(a) && v_is_whole(b)) return int_op(vm, op, a, b, out);
    if (v_is_number(a) && v_is_number(b)) {
        double x = v_as_float(a), y = v_as_float(b);
        if ((a.kind == V_BIG && isinf(x)) || (b.kind == V_BIG && isinf(y)))
            return j_fail(vm, "an integer is too large for a float");
        return float_op(vm, op, x, y, out);
    }
    if (op == '%' && a.kind == V_STR) return j_percent(vm, a.s, b, out);
    if (op == '+' && a.kind == V_STR && b.kind == V_STR) return add_strs(vm, a, b, out);
    if (op == '+' && a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE))
        return add_lists(vm, a.l, b.l, a.kind, out);
    if (op == '*' && is_sequence(a) && v_is_int(b)) return repeat(vm, a, v_as_int(b), out);
    if (op == '*' && is_sequence(b) && v_is_int(a)) return repeat(vm, b, v_as_int(a), out);
    struct value u = a.kind == V_UNDEFINED ? a : b;
    if (u.kind == V_UNDEFINED) return j_fail(vm, "%s", u.s ? u.s->data : "a value is undefined");
    return j_fail(vm, "'%s' does not work with '%s' and '%s'", op_name(op, text), v_type(a), v_type(b));
}

bool j_unary(struct vm *vm, int op, struct value v, struct value *out) {
    if (v.kind == V_FLOAT) return *out = v_float(op == '-' ? -v.f : v.f), true;
    if (v.kind == V_UNDEFINED) return j_fail(vm, "%s", v.s ? v.s->data : "a value is undefined");
    if (!v_is_whole(v)) return j_fail(vm, "'%c' does not work with '%s'", op, v_type(v));
    return int_op(vm, op, v_int(0), v, out);
}
