// JSON text to a tree, by the rules of Python's json module: that is what wrote the files that people have.
#include "format/json_read.h"
#include "base/utf8.h"
#include "format/json.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Python refuses to make integers of more digits from text (sys.int_info.default_max_str_digits).
enum { MAX_DIGITS = 4300 };

struct reader {
    const char *p, *end;
    size_t depth;
    const struct json_rules *rules;
    struct buf text; // the string or number being read
    locale_t c;      // in which a number has a point
    const char *why; // what is wrong at p; NULL where memory is short
};

static json_t *wrong(struct reader *r, const char *why) {
    r->why = r->p == r->end ? "ends too early" : why;
    return NULL;
}

static void skip_space(struct reader *r) {
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) r->p++;
}

static bool sees(const struct reader *r, const char *word) {
    size_t n = strlen(word);
    return (size_t)(r->end - r->p) >= n && !memcmp(r->p, word, n);
}

// ---- strings

static int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// The four digits behind "\u", which p stands in front of; false if they are not there.
static bool read_unit(const char *p, const char *end, uint32_t *unit) {
    *unit = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u') return false;
    for (int i = 2; i < 6; i++) {
        int digit = hex(p[i]);
        if (digit < 0) return false;
        *unit = *unit << 4 | (uint32_t)digit;
    }
    return true;
}

// Half of a pair of surrogates is no character: U+FFFD stands for it.
static bool read_code(struct reader *r, bool key) {
    uint32_t c, low;
    char bytes[4];
    if (!read_unit(r->p, r->end, &c)) return wrong(r, "a wrong escape in a string"), false;
    r->p += 6;
    if (c >= 0xd800 && c < 0xdc00 && read_unit(r->p, r->end, &low) && low >= 0xdc00 && low < 0xe000) {
        r->p += 6;
        c = 0x10000 + ((c & 0x3ff) << 10 | (low & 0x3ff));
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    if (!c && key)
        buf_puts(&r->text, JSON_KEY_NUL);
    else
        buf_append(&r->text, bytes, (size_t)utf8_encode(c, bytes));
    return true;
}

static bool read_escape(struct reader *r, bool key) {
    static const char names[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (r->end - r->p < 2) return r->p = r->end, wrong(r, ""), false;
    if (r->p[1] == 'u') return read_code(r, key);
    for (const char *q = names; *q; q += 2)
        if (*q == r->p[1]) return buf_putc(&r->text, q[1]), r->p += 2, true;
    return wrong(r, "a wrong escape in a string"), false;
}

// Into r->text.
static bool read_string(struct reader *r, bool key) {
    buf_clear(&r->text);
    for (r->p++;;) {
        const char *begin = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\' && (unsigned char)*r->p >= ' ') r->p++;
        if (!utf8_valid(begin, (size_t)(r->p - begin))) return wrong(r, "not UTF-8"), r->why = "not UTF-8", false;
        buf_append(&r->text, begin, (size_t)(r->p - begin));
        if (r->p == r->end) return wrong(r, ""), false;
        if (*r->p == '"') return r->p++, !r->text.failed;
        if (*r->p != '\\') return wrong(r, "a control character in a string"), false;
        if (!read_escape(r, key)) return false;
    }
}

static json_t *new_string(const struct reader *r) {
    return json_stringn_nocheck(r->text.data ? r->text.data : "", r->text.size);
}

// ---- numbers

static json_t *strange(struct reader *r, const char *text, size_t size) {
    buf_clear(&r->text);
    buf_putc(&r->text, JSON_STRANGE);
    buf_append(&r->text, text, size);
    return r->text.failed ? NULL : new_string(r);
}

static const char *digits_end(const struct reader *r, const char *p) {
    while (p < r->end && *p >= '0' && *p <= '9') p++;
    return p;
}

// The end of a fraction and an exponent at p, or p if there are none.
static const char *real_end(const struct reader *r, const char *p) {
    if (r->end - p > 1 && *p == '.' && p[1] >= '0' && p[1] <= '9') p = digits_end(r, p + 1);
    if (p == r->end || (*p | 32) != 'e') return p;
    const char *e = p + 1;
    if (e < r->end && (*e == '+' || *e == '-')) e++;
    return digits_end(r, e) > e ? digits_end(r, e) : p;
}

static json_t *read_real(struct reader *r) {
    if (!r->c && !(r->c = newlocale(LC_ALL_MASK, "C", (locale_t)0))) return NULL;
    double f = strtod_l(r->text.data, NULL, r->c);
    if (!isinf(f)) return json_real(f);
    const char *name = f < 0 ? "-Infinity" : "Infinity";
    return strange(r, name, strlen(name));
}

static json_t *read_number(struct reader *r) {
    const char *begin = r->p, *first = begin + (*begin == '-');
    const char *whole = first < r->end && *first == '0' ? first + 1 : digits_end(r, first), *end = real_end(r, whole);
    if (first == whole) return r->p = first, wrong(r, "a digit is missing");
    buf_clear(&r->text);
    buf_append(&r->text, begin, (size_t)(end - begin));
    if (r->text.failed) return NULL;
    if (end == whole && whole - first > MAX_DIGITS) return wrong(r, "an integer of more than 4300 digits");
    r->p = end;
    if (end > whole) return read_real(r);
    errno = 0;
    long long i = strtoll(r->text.data, NULL, 10);
    return errno ? strange(r, begin, (size_t)(end - begin)) : json_integer(i);
}

static json_t *read_word(struct reader *r) {
    static const char *const odd[] = {"NaN", "Infinity", "-Infinity"};
    static const char *const plain[] = {"null", "true", "false"};
    for (size_t i = 0; i < 3; i++) {
        if (sees(r, odd[i])) return r->p += strlen(odd[i]), strange(r, odd[i], strlen(odd[i]));
        if (!sees(r, plain[i])) continue;
        r->p += strlen(plain[i]);
        return !i ? json_null() : json_boolean(i == 1);
    }
    return wrong(r, "a value is missing");
}

// ---- lists and objects

static json_t *read_value(struct reader *r);

static json_t *give_up(json_t *j) {
    json_decref(j);
    return NULL;
}

// What stands behind an item: true and *more, or false at something else than a comma or the end.
static bool read_comma(struct reader *r, char close, bool *more) {
    skip_space(r);
    if (r->p == r->end || (*r->p != ',' && *r->p != close)) return wrong(r, "a comma is missing"), false;
    *more = *r->p++ == ',';
    return true;
}

static json_t *read_list(struct reader *r) {
    json_t *list = json_array();
    r->p++;
    skip_space(r);
    bool more = r->p == r->end || *r->p != ']';
    if (!more) r->p++;
    while (list && more) {
        json_t *item = read_value(r);
        if (!item || json_array_append_new(list, item) || !read_comma(r, ']', &more)) return give_up(list);
    }
    return list;
}

static bool read_member(struct reader *r, json_t *object) {
    skip_space(r);
    if (r->p == r->end || *r->p != '"') return wrong(r, "a key in quotes is missing"), false;
    if (!read_string(r, true)) return false;
    char *key = strdup(r->text.data ? r->text.data : "");
    if (!key) return false;
    bool ok = !(r->rules->unique && json_object_get(object, key)) || (wrong(r, "a key is there twice"), false);
    skip_space(r);
    if (ok && (r->p == r->end || *r->p != ':')) ok = (wrong(r, "a colon is missing"), false);
    if (ok) r->p++;
    json_t *value = ok ? read_value(r) : NULL;
    ok = value && !json_object_set_new_nocheck(object, key, value);
    free(key);
    return ok;
}

static json_t *read_object(struct reader *r) {
    json_t *object = json_object();
    r->p++;
    skip_space(r);
    bool more = r->p == r->end || *r->p != '}';
    if (!more) r->p++;
    while (object && more)
        if (!read_member(r, object) || !read_comma(r, '}', &more)) return give_up(object);
    return object;
}

static json_t *read_value(struct reader *r) {
    json_t *j;
    skip_space(r);
    if (r->p == r->end) return wrong(r, "");
    switch (*r->p) {
    case '"': return read_string(r, false) ? new_string(r) : NULL;
    case '{':
    case '[':
        if (++r->depth > r->rules->depth) return wrong(r, "nested too deep");
        j = *r->p == '{' ? read_object(r) : read_list(r);
        r->depth--;
        return j;
    case '-':
        if (sees(r, "-Infinity")) return read_word(r);
        return read_number(r);
    default: return *r->p >= '0' && *r->p <= '9' ? read_number(r) : read_word(r);
    }
}

json_t *json_read(const char *data, size_t size, const struct json_rules *rules, struct json_trouble *t) {
    static const char mark[] = "\xef\xbb\xbf"; // some editors put it in front
    struct reader r = {.p = data, .end = data + size, .rules = rules};
    if (sees(&r, mark)) r.p += 3;
    json_t *j = read_value(&r);
    if (j) skip_space(&r);
    if (j && r.p < r.end) {
        wrong(&r, "text after its end");
        j = give_up(j);
    }
    *t = (struct json_trouble){.why = j ? NULL : r.why, .line = 1, .column = 1};
    for (const char *p = data; p < r.p; p++) {
        t->column++;
        if (*p == '\n') t->line++, t->column = 1;
    }
    buf_free(&r.text);
    if (r.c) freelocale(r.c);
    return j;
}
