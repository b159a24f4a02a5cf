#include "text/grammar/regex_parse.h"

#include "base/utf8.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MAX_REPEAT = 1 << 16 };

enum { MAX_PROPERTIES = 16 }; // different ones in an expression

struct parser {
    struct exprs *x;
    const char *s, *what;
    size_t size, at, depth;
    gyr_error *e;
    bool failed;
    struct property { // of \p{...} so far: finding the characters of one takes a look at all of Unicode
        char name[3];
        bool others;
        struct charset set;
    } properties[MAX_PROPERTIES];
    size_t n_properties;
};

__attribute__((format(printf, 3, 4))) static uint32_t bad(struct parser *p, gyr_status status, const char *format,
                                                          ...) {
    char why[160];
    va_list args;
    if (p->failed) return EXPR_NONE;
    p->failed = true;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    fail(p->e, status, "%s: regular expression, byte %zu: %s", p->what, p->at, why);
    return EXPR_NONE;
}

static bool more(const struct parser *p) { return p->at < p->size && !p->failed; }

static bool take(struct parser *p, const char *s) {
    size_t n = strlen(s);
    if (p->size - p->at < n || memcmp(p->s + p->at, s, n)) return false;
    p->at += n;
    return true;
}

static char peek(const struct parser *p) { return more(p) ? p->s[p->at] : 0; }

static uint32_t next_char(struct parser *p) {
    uint32_t c = 0;
    p->at += (size_t)utf8_decode(p->s + p->at, p->size - p->at, &c);
    return c;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// `digits` of them, at most eight; -1 if there are not so many. More than LAST_CHAR is told as LAST_CHAR + 1.
static int32_t hex(struct parser *p, int digits) {
    uint32_t value = 0;
    for (int i = 0; i < digits; i++) {
        int d = p->at + (size_t)i < p->size ? hex_digit(p->s[p->at + (size_t)i]) : -1;
        if (d < 0) return -1;
        value = value * 16 + (uint32_t)d;
    }
    p->at += (size_t)digits;
    return value > LAST_CHAR ? LAST_CHAR + 1 : (int32_t)value;
}

// \u{...} and \uXXXX, of which two may be the halves of a pair.
static int32_t unicode_escape(struct parser *p) {
    if (take(p, "{")) {
        int32_t value = 0;
        size_t from = p->at;
        for (int d; (d = hex_digit(peek(p))) >= 0 && value <= LAST_CHAR; p->at++) value = value * 16 + d;
        return p->at > from && value <= LAST_CHAR && take(p, "}") ? value : -1;
    }
    int32_t high = hex(p, 4);
    size_t back = p->at;
    if (high < 0xd800 || high > 0xdbff || !take(p, "\\u")) return high;
    int32_t low = hex(p, 4);
    if (low >= 0xdc00 && low <= 0xdfff) return 0x10000 + (high - 0xd800) * 0x400 + (low - 0xdc00);
    p->at = back;
    return high;
}

// The character of an escape after the backslash; -1 if it failed.
static int32_t escaped_char(struct parser *p) {
    static const char names[] = "tnrfva", values[] = "\t\n\r\f\v\a";
    if (!more(p)) return bad(p, GYR_MALFORMED, "ends with a backslash"), -1;
    char c = p->s[p->at];
    const char *known = strchr(names, c);
    int32_t value = -1;
    if ((c >= '1' && c <= '9') || c == 'k') {
        bad(p, GYR_UNSUPPORTED, "backreferences are not supported");
    } else if (c == 'b' || c == 'B') {
        bad(p, GYR_UNSUPPORTED, "word boundaries (\\%c) are not supported", c);
    } else if (c == 'x' || c == 'u' || c == 'U') {
        p->at++;
        value = c == 'x' ? hex(p, 2) : c == 'u' ? unicode_escape(p) : hex(p, 8);
        if (value < 0 || value > LAST_CHAR) bad(p, GYR_MALFORMED, "\\%c without its hexadecimal digits", c);
    } else if (c == 'c') {
        p->at++;
        char letter = (char)(peek(p) | 0x20);
        value = letter & 31;
        if (letter < 'a' || letter > 'z')
            bad(p, GYR_MALFORMED, "\\c without a letter");
        else
            p->at++;
    } else if (known || c == '0') {
        p->at++;
        value = known ? values[known - names] : 0;
    } else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
        bad(p, GYR_UNSUPPORTED, "the escape \\%c is not known", c);
    } else {
        value = (int32_t)next_char(p);
    }
    return p->failed ? -1 : value;
}

static const struct property *property_of(struct parser *p, const char *name, size_t size, bool others) {
    struct property *q;
    for (size_t i = 0; i < p->n_properties; i++) {
        q = &p->properties[i];
        if (strlen(q->name) == size && !memcmp(q->name, name, size) && q->others == others) return q;
    }
    if (p->n_properties == MAX_PROPERTIES) {
        bad(p, GYR_UNSUPPORTED, "more than %d different \\p{...}", MAX_PROPERTIES);
        return NULL;
    }
    q = &p->properties[p->n_properties];
    if (!charset_add_category(&q->set, name, size, others)) {
        bad(p, GYR_UNSUPPORTED, "\\p{%.*s}: only general categories are supported", (int)(size < 40 ? size : 40), name);
        return NULL;
    }
    memcpy(q->name, name, size);
    q->others = others;
    p->n_properties++;
    return q;
}

// \p{...} and \P{...}, after the p.
static void add_property(struct parser *p, struct charset *set, bool others) {
    const char *end = take(p, "{") ? memchr(p->s + p->at, '}', p->size - p->at) : NULL;
    if (!end) {
        bad(p, GYR_MALFORMED, "\\p without a name in braces");
        return;
    }
    static const struct {
        const char *name, *category;
    } longer[] = {{"Letter", "L"},
                  {"Uppercase_Letter", "Lu"},
                  {"Lowercase_Letter", "Ll"},
                  {"Number", "N"},
                  {"Decimal_Number", "Nd"},
                  {"Punctuation", "P"},
                  {"Symbol", "S"},
                  {"Separator", "Z"},
                  {"Mark", "M"},
                  {"Other", "C"},
                  {"digit", "Nd"}};
    const char *name = p->s + p->at;
    size_t size = (size_t)(end - name);
    for (const char *prefix = "gc="; size > 3 && !memcmp(name, prefix, 3); name += 3) size -= 3;
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++)
        if (strlen(longer[i].name) == size && !memcmp(longer[i].name, name, size))
            name = longer[i].category, size = strlen(name);
    const struct property *known = property_of(p, name, size, others);
    if (known && spend(p->x->budget, known->set.n))
        charset_add_set(set, &known->set);
    else
        set->failed = true;
    p->at = (size_t)(end - p->s) + 1;
}

// Adds what a backslash begins; true if it was a class and not a character, which goes to *c.
static bool escape(struct parser *p, struct charset *set, int32_t *c) {
    char name = peek(p);
    if (name && strchr("dDwWsS", name)) {
        p->at++;
        charset_add_class(set, name);
        return true;
    }
    if (name == 'p' || name == 'P') {
        p->at++;
        add_property(p, set, name == 'P');
        return true;
    }
    *c = escaped_char(p);
    return false;
}

// A member of [...]; true if it is a single character, which goes to *c.
static bool member(struct parser *p, struct charset *set, int32_t *c) {
    if (!take(p, "\\")) {
        *c = (int32_t)next_char(p);
        return true;
    }
    if (take(p, "b")) {
        *c = '\b';
        return true;
    }
    if (take(p, "-")) {
        *c = '-';
        return true;
    }
    return !escape(p, set, c) && !p->failed;
}

static uint32_t bracket(struct parser *p) {
    struct charset set = {0};
    size_t begin = p->at;
    bool others = take(p, "^");
    while (more(p) && peek(p) != ']') {
        int32_t lo = 0, hi = 0;
        if (!member(p, &set, &lo)) continue;
        hi = lo;
        if (p->at + 1 < p->size && p->s[p->at] == '-' && p->s[p->at + 1] != ']') {
            p->at++;
            struct charset end = {0};
            if (!member(p, &end, &hi)) bad(p, GYR_MALFORMED, "a range that ends with a class");
            charset_free(&end);
            if (!p->failed && hi < lo) bad(p, GYR_MALFORMED, "a range whose end comes before its beginning");
        }
        if (!p->failed) charset_add(&set, (uint32_t)lo, (uint32_t)hi);
    }
    if (!take(p, "]")) {
        p->at = begin;
        bad(p, GYR_MALFORMED, "[ without ]");
    }
    charset_sort(&set);
    if (others) charset_invert(&set);
    return expr_class(p->x, &set);
}

static uint32_t alternatives(struct parser *p);

static uint32_t group(struct parser *p) {
    static const struct {
        const char *begin, *name;
    } refused[] = {{"?=", "lookahead"},   {"?!", "lookahead"},     {"?<=", "lookbehind"},
                   {"?<!", "lookbehind"}, {"?>", "atomic groups"}, {"?P=", "backreferences"},
                   {"?P>", "recursion"},  {"?(", "conditions"},    {"?#", "comments"}};
    size_t begin = p->at;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
        if (take(p, refused[i].begin)) return bad(p, GYR_UNSUPPORTED, "%s is not supported", refused[i].name);
    if (take(p, "?P<") || take(p, "?<")) {
        while (more(p) && peek(p) != '>') p->at++;
        if (!take(p, ">")) return bad(p, GYR_MALFORMED, "a group's name without >");
    } else if (!take(p, "?:") && peek(p) == '?') {
        return bad(p, GYR_UNSUPPORTED, "flags within the expression are not supported");
    }
    if (++p->depth > MAX_EXPRESSION_DEPTH)
        return bad(p, GYR_UNSUPPORTED, "groups more than %d deep", MAX_EXPRESSION_DEPTH);
    uint32_t inside = alternatives(p);
    p->depth--;
    if (!p->failed && !take(p, ")")) {
        p->at = begin;
        return bad(p, GYR_MALFORMED, "( without )");
    }
    return inside;
}

static uint32_t any_char(struct parser *p) {
    struct charset set = {0};
    charset_add(&set, '\n', '\n');
    charset_add(&set, '\r', '\r');
    charset_add(&set, 0x2028, 0x2029);
    charset_invert(&set);
    return expr_class(p->x, &set);
}

static uint32_t atom(struct parser *p) {
    struct charset set = {0};
    int32_t c = 0;
    if (take(p, "(")) return group(p);
    if (take(p, "[")) return bracket(p);
    if (take(p, ".")) return any_char(p);
    if (take(p, "^") || take(p, "\\A")) return expr_new(p->x, EXPR_BEGIN, 0, 0);
    if (take(p, "$") || take(p, "\\Z") || take(p, "\\z")) return expr_new(p->x, EXPR_END, 0, 0);
    if (peek(p) == '*' || peek(p) == '+' || peek(p) == '?') return bad(p, GYR_MALFORMED, "nothing to repeat");
    if (!take(p, "\\")) return expr_char(p->x, next_char(p));
    bool class = escape(p, &set, &c);
    if (!class && !p->failed) charset_add(&set, (uint32_t)c, (uint32_t)c);
    charset_sort(&set);
    return expr_class(p->x, &set);
}

static bool number(struct parser *p, uint32_t *n) {
    size_t from = p->at;
    for (*n = 0; peek(p) >= '0' && peek(p) <= '9'; p->at++)
        if (*n <= MAX_REPEAT) *n = *n * 10 + (uint32_t)(peek(p) - '0');
    return p->at > from;
}

// {m}, {m,}, {m,n}; anything else is plain text.
static bool braces(struct parser *p, uint32_t *least, uint32_t *most) {
    size_t from = p->at;
    bool is = take(p, "{") && number(p, least);
    *most = *least;
    if (is && take(p, ",") && !number(p, most)) *most = EXPR_EVER;
    if (!is || !take(p, "}")) {
        p->at = from;
        return false;
    }
    if (*least > MAX_REPEAT || (*most != EXPR_EVER && *most > MAX_REPEAT))
        bad(p, GYR_UNSUPPORTED, "more than %d repetitions", MAX_REPEAT);
    else if (*most < *least)
        bad(p, GYR_MALFORMED, "a repetition whose most is less than its least");
    return true;
}

static uint32_t piece(struct parser *p) {
    uint32_t made = atom(p), least = 0, most = 0;
    while (more(p)) {
        if (take(p, "*"))
            least = 0, most = EXPR_EVER;
        else if (take(p, "+"))
            least = 1, most = EXPR_EVER;
        else if (take(p, "?"))
            least = 0, most = 1;
        else if (!braces(p, &least, &most))
            break;
        uint32_t repeat = expr_new(p->x, EXPR_REPEAT, least, most);
        expr_add(p->x, repeat, made);
        made = repeat;
        if (take(p, "?")) break; // lazy: the same texts
        if (peek(p) == '+') return bad(p, GYR_UNSUPPORTED, "possessive repetition is not supported");
        if (peek(p) == '*') return bad(p, GYR_MALFORMED, "a repetition of a repetition");
        break;
    }
    return made;
}

static uint32_t alternatives(struct parser *p) {
    uint32_t alt = expr_new(p->x, EXPR_ALT, 0, 0);
    do {
        uint32_t cat = expr_new(p->x, EXPR_CAT, 0, 0);
        while (more(p) && peek(p) != '|' && peek(p) != ')') expr_add(p->x, cat, piece(p));
        expr_add(p->x, alt, cat);
    } while (more(p) && take(p, "|"));
    return alt;
}

uint32_t regex_parse(struct exprs *x, const char *s, size_t size, const char *what, gyr_error *e) {
    struct parser p = {.x = x, .s = s, .size = size, .what = what, .e = e};
    if (!utf8_valid(s, size)) return bad(&p, GYR_MALFORMED, "not UTF-8");
    uint32_t root = alternatives(&p);
    if (!p.failed && more(&p)) bad(&p, GYR_MALFORMED, ") without (");
    for (size_t i = 0; i < p.n_properties; i++) charset_free(&p.properties[i].set);
    if (!p.failed && x->failed) {
        fail_memory(e, what);
        return EXPR_NONE;
    }
    return p.failed ? EXPR_NONE : root;
}
