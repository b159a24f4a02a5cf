// Integers beyond 64 bits, as Python has them, up to 4300 digits. Private to jinja/.
#ifndef TEXT_JINJA_BIG_H
#define TEXT_JINJA_BIG_H

#include "text/jinja/vm.h"

// Python prints no more digits than MAX_DIGITS (sys.int_info.default_max_str_digits); they fit in that many words.
enum { MAX_DIGITS = 4300, BIG_WORDS = 448 };

// The value is the sum of word[i] * 2^(32 i); never one that fits in 64 bits.
struct big {
    bool minus;
    size_t n; // of words; the last is not 0
    uint32_t word[];
};

// An integer of any size.
static inline bool v_is_whole(struct value v) { return v_is_int(v) || v.kind == V_BIG; }

// Digits of `base` without a sign, all of them valid.
bool j_whole_text(struct vm *vm, const char *digits, size_t n, unsigned base, bool minus, struct value *out);
// The whole part of a finite number.
bool j_whole_float(struct vm *vm, double f, struct value *out);
// + - * / // % ** of two integers.
bool j_whole_op(struct vm *vm, int op, struct value a, struct value b, struct value *out);
// Less than, equal to or greater than 0, as a is; no rounding. `f` is no NaN.
int j_whole_compare(struct value a, struct value b);
int j_whole_compare_float(struct value a, double f);
// Writes the digits without a sign, and a zero byte; 0 if they are more than `room` - 1. Otherwise how many.
size_t j_whole_digits(struct value v, unsigned base, char *out, size_t room);
bool j_whole_minus(struct value v);

#endif
