#include "text/jinja/big.h"
#include "text/jinja/ast.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// One that is being computed, of any value.
struct number {
    bool minus;
    size_t n;
    uint32_t word[2 * BIG_WORDS + 4];
};

static void trim(struct number *x) {
    while (x->n && !x->word[x->n - 1]) x->n--;
    if (!x->n) x->minus = false;
}

static void load(struct value v, struct number *x) {
    if (v.kind == V_BIG) {
        *x = (struct number){.minus = v.big->minus, .n = v.big->n};
        memcpy(x->word, v.big->word, v.big->n * sizeof *x->word);
        return;
    }
    int64_t i = v_as_int(v);
    uint64_t u = i < 0 ? -(uint64_t)i : (uint64_t)i;
    *x = (struct number){.minus = i < 0, .n = 2, .word = {(uint32_t)u, (uint32_t)(u >> 32)}};
    trim(x);
}

static bool too_large(struct vm *vm) { return j_fail(vm, "an integer grows past %d digits", MAX_DIGITS); }

static bool store(struct vm *vm, const struct number *x, struct value *out) {
    if (x->n > BIG_WORDS) return too_large(vm);
    uint64_t low = x->n ? x->word[0] : 0;
    if (x->n > 1) low |= (uint64_t)x->word[1] << 32;
    if (x->n <= 2 && low <= (uint64_t)INT64_MAX + x->minus) {
        *out = v_int(x->minus ? (int64_t)-low : (int64_t)low);
        return true;
    }
    struct big *b = j_alloc(vm, sizeof *b + x->n * sizeof *b->word);
    if (!b) return false;
    *b = (struct big){x->minus, x->n};
    memcpy(b->word, x->word, x->n * sizeof *b->word);
    *out = (struct value){.kind = V_BIG, .big = b};
    return true;
}

// ---- without signs

static int compare(const struct number *a, const struct number *b) {
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    for (size_t i = a->n; i-- > 0;)
        if (a->word[i] != b->word[i]) return a->word[i] < b->word[i] ? -1 : 1;
    return 0;
}

static void add(const struct number *a, const struct number *b, struct number *out) {
    uint64_t carry = 0;
    size_t n = a->n > b->n ? a->n : b->n;
    for (size_t i = 0; i < n; i++, carry >>= 32) {
        carry += (uint64_t)(i < a->n ? a->word[i] : 0) + (i < b->n ? b->word[i] : 0);
        out->word[i] = (uint32_t)carry;
    }
    out->word[n] = (uint32_t)carry;
    out->n = n + 1;
    trim(out);
}

// a is not less than b.
static void subtract(const struct number *a, const struct number *b, struct number *out) {
    uint64_t borrow = 0;
    size_t n = a->n;
    for (size_t i = 0; i < n; i++) {
        uint64_t d = (uint64_t)a->word[i] - (i < b->n ? b->word[i] : 0) - borrow;
        out->word[i] = (uint32_t)d;
        borrow = d >> 63;
    }
    out->n = n;
    trim(out);
}

static void multiply(const struct number *a, const struct number *b, struct number *out) {
    memset(out->word, 0, (a->n + b->n) * sizeof *out->word);
    for (size_t i = 0; i < a->n; i++) {
        uint64_t carry = 0;
        for (size_t k = 0; k < b->n; k++, carry >>= 32) {
            carry += (uint64_t)a->word[i] * b->word[k] + out->word[i + k];
            out->word[i + k] = (uint32_t)carry;
        }
        out->word[i + b->n] = (uint32_t)carry;
    }
    out->n = a->n + b->n;
    trim(out);
}

// x becomes x / by; the remainder is returned.
static uint32_t divide_small(struct number *x, uint32_t by) {
    uint64_t rest = 0;
    for (size_t i = x->n; i-- > 0;) {
        rest = rest << 32 | x->word[i];
        x->word[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    trim(x);
    return (uint32_t)rest;
}

static void add_small(struct number *x, uint32_t times, uint32_t more) {
    uint64_t carry = more;
    for (size_t i = 0; i < x->n; i++, carry >>= 32) {
        carry += (uint64_t)x->word[i] * times;
        x->word[i] = (uint32_t)carry;
    }
    if (carry) x->word[x->n++] = (uint32_t)carry;
}

static size_t bits(const struct number *x) { return x->n ? x->n * 32 - (size_t)__builtin_clz(x->word[x->n - 1]) : 0; }

static bool bit(const struct number *x, size_t i) { return x->word[i / 32] >> (i % 32) & 1; }

// Bit by bit: numbers of that size are rare, and their divisions rarer.
static void divide(const struct number *a, const struct number *b, struct number *quotient, struct number *rest) {
    *quotient = (struct number){.n = a->n};
    *rest = (struct number){0};
    for (size_t i = bits(a); i-- > 0;) {
        add_small(rest, 2, bit(a, i));
        if (compare(rest, b) < 0) continue;
        subtract(rest, b, rest);
        quotient->word[i / 32] |= (uint32_t)1 << (i % 32);
    }
    trim(quotient);
}

static void shift_left(struct number *x, size_t by) {
    size_t words = by / 32;
    memmove(x->word + words, x->word, x->n * sizeof *x->word);
    memset(x->word, 0, words * sizeof *x->word);
    x->n += x->n ? words : 0;
    if (by % 32) add_small(x, (uint32_t)1 << (by % 32), 0);
}

// Rounded once, half to even, with `sticky` for what lies below. Infinite where it is too large.
static double to_float(const struct number *x, bool sticky, int exponent) {
    size_t n = bits(x), low = n > 64 ? n - 64 : 0;
    uint64_t top = 0;
    for (size_t i = 0; i < low && !sticky; i++) sticky = bit(x, i);
    for (size_t i = n; i-- > low;) top = top << 1 | bit(x, i);
    if (sticky) top |= 1; // far below the last bit of a double
    double f = ldexp((double)top, (int)low + exponent);
    return x->minus ? -f : f;
}

// ---- with signs

static void plus(const struct number *a, const struct number *b, struct number *out) {
    bool minus = a->minus;
    if (a->minus == b->minus)
        add(a, b, out);
    else if (compare(a, b) >= 0)
        subtract(a, b, out);
    else
        minus = b->minus, subtract(b, a, out);
    out->minus = minus && out->n;
}

static bool true_divide(struct vm *vm, struct number *a, struct number *b, struct value *out) {
    struct number q, r;
    long shift = 66 - (long)bits(a) + (long)bits(b);
    bool minus = a->minus != b->minus;
    if (labs(shift) / 32 > BIG_WORDS) return *out = v_float(shift > 0 ? 0 : INFINITY), true;
    shift_left(shift > 0 ? a : b, (size_t)labs(shift));
    divide(a, b, &q, &r);
    double f = to_float(&q, r.n, (int)-shift);
    if (isinf(f)) return j_fail(vm, "the result of '/' is too large for a float");
    *out = v_float(minus ? -f : f);
    return true;
}

// Rounded down: the remainder has the sign of b.
static bool floor_divide(struct vm *vm, int op, struct number *a, struct number *b, struct value *out) {
    static const struct number one = {.n = 1, .word = {1}};
    struct number q, r;
    bool minus = a->minus != b->minus;
    divide(a, b, &q, &r);
    if (minus && r.n) add(&q, &one, &q), subtract(b, &r, &r);
    q.minus = minus && q.n;
    r.minus = b->minus && r.n;
    return store(vm, op == '%' ? &r : &q, out);
}

static bool power(struct vm *vm, const struct number *a, struct value b, struct value *out) {
    struct number r = {.n = 1, .word = {1}}, base = *a, next;
    bool small = !a->n || (a->n == 1 && a->word[0] == 1);
    if (b.kind == V_BIG && !small) return too_large(vm);
    uint64_t exponent = b.kind == V_BIG ? b.big->word[0] : (uint64_t)v_as_int(b);
    if (small && exponent > 2) exponent = 2 + exponent % 2;
    for (; exponent; exponent >>= 1) {
        if (r.n > BIG_WORDS || base.n > BIG_WORDS) return too_large(vm);
        if (!j_step(vm, (r.n + base.n) * base.n / 16)) return false;
        if (exponent & 1) {
            multiply(&r, &base, &next);
            next.minus = next.n && r.minus != base.minus;
            r = next;
        }
        if (exponent == 1) break;
        multiply(&base, &base, &next);
        next.minus = false;
        base = next;
    }
    return store(vm, &r, out);
}

bool j_whole_op(struct vm *vm, int op, struct value v, struct value w, struct value *out) {
    struct number a, b, r = {0};
    load(v, &a);
    load(w, &b);
    if (op == OP_POW && b.minus) {
        if (!a.n) return j_fail(vm, "0 cannot be raised to a negative power");
        return *out = v_float(pow(to_float(&a, false, 0), to_float(&b, false, 0))), true;
    }
    if (op == OP_POW) return power(vm, &a, w, out);
    bool divides = op == '/' || op == OP_FLOORDIV || op == '%';
    if (divides && !b.n) return j_fail(vm, "division by zero");
    if (!j_step(vm, divides ? (a.n + 4) * (a.n + b.n) * 2 : op == '*' ? a.n * b.n / 16 : 1)) return false;
    switch (op) {
    case '/': return true_divide(vm, &a, &b, out);
    case OP_FLOORDIV:
    case '%': return floor_divide(vm, op, &a, &b, out);
    case '*':
        multiply(&a, &b, &r);
        r.minus = r.n && a.minus != b.minus;
        break;
    case '-': b.minus = b.n && !b.minus; __attribute__((fallthrough));
    default: plus(&a, &b, &r);
    }
    return store(vm, &r, out);
}

// ---- in and out

bool j_whole_text(struct vm *vm, const char *digits, size_t n, unsigned base, bool minus, struct value *out) {
    struct number x = {0};
    while (n > 1 && *digits == '0') digits++, n--;
    if (n > MAX_DIGITS) return too_large(vm);
    for (size_t i = 0; i < n; i++) {
        char c = (char)(digits[i] | 32);
        add_small(&x, base, (uint32_t)(c >= 'a' ? c - 'a' + 10 : digits[i] - '0'));
        if (x.n > BIG_WORDS || !j_step(vm, x.n / 16)) return too_large(vm);
    }
    x.minus = minus && x.n;
    return store(vm, &x, out);
}

static void from_float(double f, struct number *x) {
    int exponent;
    double part = frexp(fabs(trunc(f)), &exponent);
    uint64_t top = (uint64_t)ldexp(part, 53);
    *x = (struct number){.n = 2, .word = {(uint32_t)top, (uint32_t)(top >> 32)}};
    trim(x);
    if (exponent > 53)
        shift_left(x, (size_t)(exponent - 53));
    else if (x->n)
        *x = (struct number){.n = 2,
                             .word = {(uint32_t)(top >> (53 - exponent)), (uint32_t)(top >> (53 - exponent) >> 32)}};
    trim(x);
    x->minus = f < 0 && x->n;
}

bool j_whole_float(struct vm *vm, double f, struct value *out) {
    struct number x;
    from_float(f, &x);
    return store(vm, &x, out);
}

static int compare_signed(const struct number *a, const struct number *b) {
    if (a->minus != b->minus) return a->minus ? -1 : 1;
    return a->minus ? compare(b, a) : compare(a, b);
}

int j_whole_compare(struct value v, struct value w) {
    struct number a, b;
    load(v, &a);
    load(w, &b);
    return compare_signed(&a, &b);
}

int j_whole_compare_float(struct value v, double f) {
    struct number a, b;
    if (isinf(f)) return f < 0 ? 1 : -1;
    load(v, &a);
    from_float(f, &b);
    int order = compare_signed(&a, &b);
    if (order || f == trunc(f)) return order;
    return f < 0 ? 1 : -1;
}

size_t j_whole_digits(struct value v, unsigned base, char *out, size_t room) {
    struct number x;
    size_t n = 0;
    load(v, &x);
    do {
        if (n + 1 >= room) return 0;
        out[n++] = "0123456789abcdefghijklmnopqrstuvwxyz"[divide_small(&x, base)];
    } while (x.n);
    for (size_t i = 0; i < n / 2; i++) {
        char c = out[i];
        out[i] = out[n - 1 - i];
        out[n - 1 - i] = c;
    }
    out[n] = 0;
    return n;
}

bool j_whole_minus(struct value v) { return v.kind == V_BIG ? v.big->minus : v_as_int(v) < 0; }

double j_big_float(const struct big *b) {
    struct number x;
    load((struct value){.kind = V_BIG, .big = (struct big *)(uintptr_t)b}, &x);
    return to_float(&x, false, 0);
}
