#include "base/utf8.h"
#include "text/jinja/big.h"
#include "text/jinja/lexer.h"

#include <stdlib.h>
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The end of digits that single "_" may part, from `at`.
static size_t digits_end(struct text t, size_t at) {
    while (at < t.size && (is_digit(t.data[at]) || (t.data[at] == '_' && at + 1 < t.size && is_digit(t.data[at + 1]))))
        at++;
    return at;
}

// The end of the fraction and exponent at `at`, or `at` if there are none.
static size_t float_end(struct text t, size_t at) {
    size_t end = at;
    if (end + 1 < t.size && t.data[end] == '.' && is_digit(t.data[end + 1])) end = digits_end(t, end + 1);
    if (end < t.size && (t.data[end] | 32) == 'e') {
        size_t e = end + 1;
        e += e < t.size && (t.data[e] == '+' || t.data[e] == '-');
        if (e < t.size && is_digit(t.data[e])) end = digits_end(t, e);
    }
    return end;
}

static int base_of(struct text t, size_t at) {
    if (at + 2 >= t.size || t.data[at] != '0') return 10;
    int base = 0;
    switch (t.data[at + 1] | 32) {
    case 'x': base = 16; break;
    case 'o': base = 8; break;
    case 'b': base = 2; break;
    default: return 10;
    }
    size_t digit = at + 2 + (t.data[at + 2] == '_');
    char c = digit < t.size ? (char)(t.data[digit] | 32) : 0;
    int v = is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
    return v < base ? base : 10;
}

// The end of the digits of `base` from `at`, and those digits.
static size_t read_digits(struct text t, size_t at, int base, struct buf *digits) {
    for (; at < t.size; at++) {
        char c = t.data[at], low = (char)(c | 32);
        if (c == '_' && at + 1 < t.size && t.data[at + 1] != '_') continue;
        int digit = is_digit(c) ? c - '0' : low >= 'a' && low <= 'f' ? low - 'a' + 10 : 99;
        if (digit >= base) break;
        buf_putc(digits, c);
    }
    return at;
}

static bool read_int(struct source *s, size_t *at, int base, struct value *out) {
    // Constants live as long as the template: their memory is its own.
    struct node here = {.at = *at};
    struct vm vm = {.heap = *s->heap, .source = s->text, .where = s->where, .e = s->e, .at = &here};
    struct buf digits = {0};
    *at = read_digits(s->text, base == 10 ? *at : *at + 2, base, &digits);
    bool ok = digits.failed
                  ? fail_memory(s->e, s->where)
                  : j_whole_text(&vm, digits.data ? digits.data : "", digits.size, (unsigned)base, false, out);
    *s->heap = vm.heap;
    buf_free(&digits);
    return ok;
}

bool lex_number(struct source *s, size_t *at, struct value *out) {
    struct text t = s->text;
    size_t begin = *at, end = digits_end(t, begin), whole = end;
    int base = base_of(t, begin);
    bool after_dot = begin && t.data[begin - 1] == '.';
    if (base == 10 && !after_dot) end = float_end(t, end);
    if (end > whole) {
        char text[128];
        size_t n = 0;
        for (size_t i = begin; i < end && n + 1 < sizeof text; i++)
            if (t.data[i] != '_') text[n++] = t.data[i];
        text[n] = 0;
        *out = v_float(strtod(text, NULL));
        *at = end;
        return true;
    }
    return read_int(s, at, base, out);
}

static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// \xHH, \uHHHH, \UHHHHHHHH and up to three octal digits: the character and how many bytes of digits it took.
static size_t read_code(const char *p, size_t left, char kind, uint32_t *c) {
    size_t want = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3, i = 0;
    *c = 0;
    for (; i < want && i < left; i++) {
        int d = hex_digit(p[i]);
        if (d < 0 || (want == 3 && d > 7)) break;
        *c = *c * (want == 3 ? 8 : 16) + (uint32_t)d;
    }
    return i == want || (want == 3 && i) ? i : 0;
}

// Writes what the escape at p (behind the backslash) stands for; returns the bytes read, 0 if it is wrong.
static size_t unescape(const char *p, size_t left, char *out, size_t *n) {
    static const char plain[] = "n\nt\tr\ra\ab\bf\fv\v\\\\''\"\"";
    for (const char *q = plain; *q; q += 2)
        if (*q == *p) return out[(*n)++] = q[1], 1;
    if (*p == '\n') return 1;
    uint32_t c;
    bool octal = *p >= '0' && *p <= '7';
    if (octal || *p == 'x' || *p == 'u' || *p == 'U') {
        size_t used = read_code(p + !octal, left - !octal, octal ? 0 : *p, &c);
        int size = used ? utf8_encode(c, out + *n) : 0;
        *n += (size_t)size;
        return size ? used + !octal : 0;
    }
    if (*p == 'N') {
        const char *close = left > 1 && p[1] == '{' ? memchr(p, '}', left) : NULL;
        if (!close || !lex_character((struct text){p + 2, (size_t)(close - p) - 2}, &c)) return 0;
        *n += (size_t)utf8_encode(c, out + *n);
        return (size_t)(close - p) + 1;
    }
    out[(*n)++] = '\\'; // as in Python, an unknown escape stands for itself
    out[(*n)++] = *p;
    return 1;
}

bool lex_string(struct source *s, size_t *at, struct value *out) {
    const char *p = s->text.data;
    size_t begin = *at, end = begin + 1, n = 0;
    while (end < s->text.size && p[end] != p[begin]) end += p[end] == '\\' ? 2 : 1;
    if (end >= s->text.size) return source_fail(s->text, s->where, begin, s->e, "the string is never closed");
    struct str *str = heap_alloc(s->heap, sizeof *str);
    // An escape is never longer than what it is written with, but for the bytes of "\0" to "\377".
    char *data = heap_alloc(s->heap, (end - begin) * 2);
    if (!str || !data) return fail_memory(s->e, s->where);
    for (size_t i = begin + 1; i < end;) {
        if (p[i] != '\\') {
            data[n++] = p[i++];
            continue;
        }
        size_t used = unescape(p + i + 1, end - i - 1, data, &n);
        if (!used) return source_fail(s->text, s->where, i, s->e, "the escape is wrong or names no character");
        i += used + 1;
    }
    *str = (struct str){.data = data, .size = n};
    *out = (struct value){.kind = V_STR, .s = str};
    *at = end + 1;
    return true;
}
