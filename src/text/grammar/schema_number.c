// Numbers: bounds and multiples, on the digits as they are written.
#include "text/grammar/schema_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// A constant in plain digits: "." is left out, and zeros that mean nothing.
struct decimal {
    bool minus;
    char whole[420], part[1100];
    size_t n_whole, n_part; // at least one digit before the point
};

enum { LESS = 1, EQUAL = 2, GREATER = 4 };
enum { MAX_REMAINDERS = 1 << 13 };

static bool parse(const json_t *j, struct decimal *d) {
    char text[400], digits[420];
    double real;
    size_t n = 0, point;
    long exponent = 0;
    *d = (struct decimal){0};
    if (!json_real_of(j, &real)) return false;
    json_number_text(j, text);
    const char *s = text;
    if (*s == '-') d->minus = true, s++;
    for (; *s >= '0' && *s <= '9' && n < 400; s++) digits[n++] = *s;
    point = n;
    if (*s == '.')
        for (s++; *s >= '0' && *s <= '9' && n < 400; s++) digits[n++] = *s;
    if (*s == 'e' || *s == 'E') exponent = strtol(s + 1, NULL, 10);
    if (!n || exponent > 400 || exponent < -700) return false;
    for (long i = 0, whole = (long)point + exponent; i < whole; i++)
        if (d->n_whole < sizeof d->whole && (d->n_whole || (size_t)i >= n || digits[i] != '0'))
            d->whole[d->n_whole++] = (size_t)i < n ? digits[i] : '0';
    if (!d->n_whole) d->whole[d->n_whole++] = '0';
    for (long i = (long)point + exponent; i < (long)n; i++)
        if (d->n_part < sizeof d->part) d->part[d->n_part++] = i < 0 ? '0' : digits[i];
    while (d->n_part && d->part[d->n_part - 1] == '0') d->n_part--;
    if (d->n_whole == 1 && d->whole[0] == '0' && !d->n_part) d->minus = false;
    return true;
}

// ------------------------------------------------------------------------------------------------- bounds

// Digits being compared with a constant's, as they come.
struct compare {
    struct nfa *a;
    const struct decimal *d;
    unsigned good;  // outcomes that are taken
    bool fractions; // a "." may come
    uint32_t end;
    uint32_t after[3]; // behind the point, when it is decided: LESS, EQUAL (unused), GREATER
};

static int slot(unsigned outcome) { return outcome == LESS ? 0 : outcome == EQUAL ? 1 : 2; }

static void accept(struct compare *c, uint32_t state, unsigned outcome) {
    if (outcome & c->good) nfa_empty(c->a, state, c->end);
}

static uint32_t decided(struct compare *c, unsigned outcome) {
    uint32_t *s = &c->after[slot(outcome)];
    if (*s != NFA_NONE) return *s;
    *s = nfa_state(c->a);
    nfa_bytes(c->a, *s, '0', '9', *s);
    accept(c, *s, outcome);
    return *s;
}

// The digits behind the point, as long as all before were equal.
static void equal_part(struct compare *c, uint32_t from) {
    for (size_t i = 0;; i++) {
        char want = i < c->d->n_part ? c->d->part[i] : '0';
        if (want > '0') nfa_bytes(c->a, from, '0', (uint8_t)(want - 1), decided(c, LESS));
        if (want < '9') nfa_bytes(c->a, from, (uint8_t)(want + 1), '9', decided(c, GREATER));
        uint32_t next = i < c->d->n_part || !i ? nfa_state(c->a) : from;
        nfa_bytes(c->a, from, (uint8_t)want, (uint8_t)want, next);
        if (i >= c->d->n_part) {
            if (next != from)
                nfa_bytes(c->a, next, '0', '0', next), nfa_bytes(c->a, next, '1', '9', decided(c, GREATER));
            accept(c, next, EQUAL);
            return;
        }
        accept(c, next, i + 1 < c->d->n_part ? LESS : EQUAL);
        from = next;
    }
}

// A number without sign may end in `state`, or go on with a point.
static void end_whole(struct compare *c, uint32_t state, unsigned outcome) {
    accept(c, state, outcome == EQUAL && c->d->n_part ? LESS : outcome);
    if (!c->fractions) return;
    uint32_t point = nfa_state(c->a);
    nfa_bytes(c->a, state, '.', '.', point);
    if (outcome == EQUAL)
        equal_part(c, point);
    else
        nfa_bytes(c->a, point, '0', '9', decided(c, outcome));
}

// Numbers without sign that compare with the constant's digits in one of the ways of `good`.
static void magnitude(struct nfa *a, uint32_t from, const struct decimal *d, unsigned good, bool fractions,
                      uint32_t to) {
    struct compare c = {a, d, good, fractions, to, {NFA_NONE, NFA_NONE, NFA_NONE}};
    size_t n = d->n_whole;
    uint32_t zero = nfa_state(a);
    nfa_bytes(a, from, '0', '0', zero);
    end_whole(&c, zero, d->whole[0] == '0' ? EQUAL : LESS);
    // at[k]: so many digits are read, and compare so.
    uint32_t at[3] = {NFA_NONE, from, NFA_NONE};
    for (size_t i = 0; i < n; i++) {
        char want = d->whole[i], least = i ? '0' : '1';
        uint32_t next[3] = {nfa_state(a), nfa_state(a), nfa_state(a)};
        for (int k = 0; k < 3; k += 2)
            if (at[k] != NFA_NONE) nfa_bytes(a, at[k], '0', '9', next[k]);
        if (at[1] != NFA_NONE) {
            if (want > least) nfa_bytes(a, at[1], (uint8_t)least, (uint8_t)(want - 1), next[0]);
            if (want >= least) nfa_bytes(a, at[1], (uint8_t)want, (uint8_t)want, next[1]);
            if (want < '9') nfa_bytes(a, at[1], (uint8_t)(want < least ? least : want + 1), '9', next[2]);
        }
        for (int k = 0; k < 3; k++) {
            at[k] = next[k];
            end_whole(&c, next[k], i + 1 < n ? LESS : k == 0 ? LESS : k == 1 ? EQUAL : GREATER);
        }
    }
    uint32_t longer = nfa_state(a);
    for (int k = 0; k < 3; k++) nfa_bytes(a, at[k], '0', '9', longer);
    nfa_bytes(a, longer, '0', '9', longer);
    end_whole(&c, longer, GREATER);
}

// Numbers that compare with the constant in one of the ways of `good`. There is no "-0".
static bool bound(struct fsm *f, const struct decimal *d, unsigned good, bool fractions, struct budget *budget) {
    static const struct decimal zero = {.whole = "0", .n_whole = 1};
    struct nfa a = {.limit = 1 << 16, .budget = budget};
    uint32_t from = nfa_state(&a), minus = nfa_state(&a), to = nfa_state(&a);
    nfa_bytes(&a, from, '-', '-', minus);
    unsigned turned = (good & EQUAL) | (good & LESS ? GREATER : 0) | (good & GREATER ? LESS : 0);
    if (d->minus) {
        magnitude(&a, minus, d, turned, fractions, to);
        if (good & GREATER) magnitude(&a, from, &zero, EQUAL | GREATER, fractions, to);
    } else {
        magnitude(&a, from, d, good, fractions, to);
        if (good & LESS) magnitude(&a, minus, &zero, GREATER, fractions, to);
    }
    f->status = a.status;
    bool ok = !a.status && fsm_determinize(f, &a, from, to, 1 << 14, NULL, a.budget);
    nfa_free(&a);
    return ok;
}

// ---------------------------------------------------------------------------------------------- multiples

// Numbers whose digits, with the point moved by `places`, are a multiple of k. Built by remainders.
static bool multiple(struct fsm *f, uint32_t k, uint32_t places, struct budget *budget) {
    struct nfa a = {.limit = MAX_REMAINDERS * 4, .budget = budget};
    uint32_t from = nfa_state(&a), to = nfa_state(&a), first = nfa_state(&a), scale = 1, base = 0;
    nfa_empty(&a, from, first);
    nfa_bytes(&a, from, '-', '-', first);
    // base + r: the digits before the point leave r. For each place behind it k more, and k that need a digit.
    for (uint32_t i = 0; i < k * (places + 1); i++) {
        uint32_t s = nfa_state(&a);
        if (!i) base = s;
    }
    uint32_t zero = nfa_state(&a), point_zero = NFA_NONE;
    nfa_bytes(&a, first, '0', '0', zero);
    nfa_empty(&a, zero, to);
    for (uint32_t digit = 1; digit < 10; digit++)
        nfa_bytes(&a, first, (uint8_t)('0' + digit), (uint8_t)('0' + digit), base + digit % k);
    for (uint32_t place = 0; place <= places && !a.status; place++) {
        scale = 1 % k;
        for (uint32_t i = place; i < places; i++) scale = (uint32_t)((uint64_t)scale * 10 % k);
        for (uint32_t r = 0; r < k && !a.status; r++) {
            uint32_t here = base + place * k + r, on = place ? (place < places ? place + 1 : 0) : 0;
            if ((uint64_t)r * scale % k == 0) nfa_empty(&a, here, to);
            for (uint32_t digit = 0; digit < 10 && (!place || on); digit++)
                nfa_bytes(&a, here, (uint8_t)('0' + digit), (uint8_t)('0' + digit),
                          base + on * k + (r * 10 + digit) % k);
            if (place || !places) continue;
            uint32_t point = nfa_state(&a);
            nfa_bytes(&a, here, '.', '.', point);
            if (!r) point_zero = point;
            for (uint32_t digit = 0; digit < 10; digit++)
                nfa_bytes(&a, point, (uint8_t)('0' + digit), (uint8_t)('0' + digit), base + k + (r * 10 + digit) % k);
        }
    }
    if (point_zero != NFA_NONE) nfa_bytes(&a, zero, '.', '.', point_zero);
    f->status = a.status;
    bool ok = !a.status && fsm_determinize(f, &a, from, to, MAX_REMAINDERS * 2, NULL, a.budget);
    nfa_free(&a);
    return ok;
}

static bool multiple_of(struct compiler *c, const json_t *schema, const struct decimal *d, struct fsm *f) {
    uint64_t k = 0;
    if (d->minus || (d->n_whole == 1 && d->whole[0] == '0' && !d->n_part))
        return schema_fail(c, schema, GYR_MALFORMED, "multipleOf is not above 0");
    for (size_t i = 0; i < d->n_whole + d->n_part && k <= MAX_REMAINDERS; i++)
        k = k * 10 + (uint64_t)((i < d->n_whole ? d->whole[i] : d->part[i - d->n_whole]) - '0');
    if (k * (d->n_part + 1) > MAX_REMAINDERS || !multiple(f, (uint32_t)k, (uint32_t)d->n_part, &c->rules->budget))
        return f->status == GYR_NO_MEMORY
                   ? schema_no_memory(c)
                   : schema_fail(c, schema, GYR_UNSUPPORTED, "multipleOf: too large: at most %d", MAX_REMAINDERS);
    return true;
}

// ---------------------------------------------------------------------------------------------------- all

// What is in both; `one` is freed.
static bool keep(struct compiler *c, struct fsm *f, struct fsm *one, bool *some) {
    struct fsm both = {0};
    if (!*some) {
        *f = *one, *one = (struct fsm){0}, *some = true;
        return true;
    }
    bool ok = fsm_combine(&both, f, one, FSM_BOTH, 1 << 16, &c->rules->budget);
    fsm_free(f);
    fsm_free(one);
    *f = both;
    if (!ok && both.status == GYR_NO_MEMORY) return schema_no_memory(c);
    return ok || schema_fail(c, c->root, GYR_UNSUPPORTED, "bounds and multiples of a number: too large together");
}

// Draft 4 has the "exclusive" keywords as flags of the bounds.
static bool is_flag(const json_t *j) { return json_is_boolean(j); }

static bool keep_bounds(struct compiler *c, const json_t *schema, bool fractions, struct fsm *f, bool *some) {
    static const struct {
        const char *key, *flag;
        unsigned good, strict;
    } bounds[] = {{"minimum", "exclusiveMinimum", EQUAL | GREATER, GREATER},
                  {"maximum", "exclusiveMaximum", LESS | EQUAL, LESS},
                  {"exclusiveMinimum", "", GREATER, GREATER},
                  {"exclusiveMaximum", "", LESS, LESS},
                  {"multipleOf", "", 0, 0}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds && !c->failed; i++) {
        const json_t *j = json_object_get(schema, bounds[i].key), *flag = json_object_get(schema, bounds[i].flag);
        struct decimal d;
        struct fsm one = {0};
        if (!j || is_flag(j)) continue;
        if (!parse(j, &d))
            return schema_fail(c, schema, GYR_MALFORMED, "%s is not a number that gyr can use", bounds[i].key);
        unsigned good = json_is_true(flag) ? bounds[i].strict : bounds[i].good;
        bool ok = good ? bound(&one, &d, good, fractions, &c->rules->budget) : multiple_of(c, schema, &d, &one);
        if (!ok && !c->failed) schema_no_memory(c);
        if (ok) keep(c, f, &one, some);
        fsm_free(&one);
    }
    return !c->failed;
}

// Numbers that no value of a list equals.
static bool drop_values(struct compiler *c, const json_t *list, bool fractions, struct fsm *f, bool *some) {
    for (size_t i = 0; i < json_array_size(list) && !c->failed; i++) {
        const json_t *j = json_array_get(list, i);
        double x;
        struct decimal d;
        struct fsm one = {0};
        if (!json_real_of(j, &x)) continue;
        if (!parse(j, &d)) return schema_fail(c, list, GYR_UNSUPPORTED, "a number that gyr cannot use");
        if (!bound(&one, &d, LESS | GREATER, fractions, &c->rules->budget)) schema_no_memory(c);
        if (!c->failed) keep(c, f, &one, some);
        fsm_free(&one);
    }
    return !c->failed;
}

// Numbers of one kind: integers, or those that are none.
static bool keep_kind(struct compiler *c, unsigned types, struct fsm *f, bool *some) {
    static const char fraction[] = "-?(0|[1-9]\\d*)\\.\\d*[1-9]\\d*";
    struct decimal zero = {.whole = "0", .n_whole = 1};
    struct fsm one = {0};
    gyr_error why;
    bool ok = types == TYPE_FRACTION ? pattern_compile(&one, fraction, sizeof fraction - 1, PATTERN_WHOLE, SPELL_UTF8,
                                                       "number", &c->rules->budget, &why)
                                     : bound(&one, &zero, LESS | EQUAL | GREATER, false, &c->rules->budget);
    if (ok)
        ok = keep(c, f, &one, some);
    else
        schema_no_memory(c);
    fsm_free(&one);
    return ok;
}

void emit_number(struct compiler *c, const struct parts *p, unsigned types, uint32_t from, uint32_t to) {
    struct nfa *a = &c->rules->nfa;
    struct fsm f = {0};
    bool some = false, fractions = types & TYPE_FRACTION;
    for (size_t i = 0; i < p->n && !c->failed; i++) {
        const json_t *s = p->items[i].schema;
        if (keep_bounds(c, s, fractions, &f, &some))
            drop_values(c, json_object_get(s, SCHEMA_NOT_VALUES), fractions, &f, &some);
    }
    if (c->failed) {
        fsm_free(&f);
        return;
    }
    // A multiple of 0.5 may have a fraction, an integer may not.
    if (types != TYPE_NUMBER && (some || types == TYPE_FRACTION)) keep_kind(c, types, &f, &some);
    if (!some)
        nfa_call(a, from, schema_common(c, fractions ? COMMON_NUMBER : COMMON_INTEGER), to);
    else if (!c->failed)
        nfa_call(a, from, rules_add_made(c->rules, &f, NULL), to);
    fsm_free(&f);
}
