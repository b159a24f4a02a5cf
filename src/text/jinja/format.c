// "%s %d" % x and "{} {:>8}".format(x): Python's two ways to format.
#include "base/utf8.h"
#include "text/jinja/big.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct spec {
    struct text fill; // one character
    char align;       // '<', '>', '^', '=' or 0
    char sign;        // '+', ' ' or 0
    char group;       // ',' or '_' between groups of digits, or 0
    bool alternate, zero;
    bool user;            // the format came from the conversation
    int width, precision; // -1: none
    char type;            // 0: none
};

enum { MAX_WIDTH = 1000, MAX_PRECISION = 100, WHOLE_ROOM = BIG_WORDS * 32 + 1 };

static void put(struct build *b, const struct spec *f, const struct str *s, const char *prefix, char align) {
    size_t n = j_chars(s) + strlen(prefix), more = (size_t)f->width > n && f->width > 0 ? (size_t)f->width - n : 0;
    if (f->align) align = f->align;
    size_t left = align == '>' || align == '=' ? more : align == '^' ? more / 2 : 0;
    if (align == '=') b_puts(b, prefix);
    for (size_t i = 0; i < left; i++) b_add(b, f->fill.data, f->fill.size, f->user);
    if (align != '=') b_puts(b, prefix);
    b_str(b, s);
    for (size_t i = left; i < more; i++) b_add(b, f->fill.data, f->fill.size, f->user);
}

static void put_text(struct build *b, const struct spec *f, struct value v) {
    struct value s;
    if (!j_to_str(b->vm, v, &s)) return;
    struct str cut = *s.s;
    if (f->precision >= 0) cut.size = j_char_at(s.s, (size_t)f->precision);
    put(b, f, &cut, "", '<');
}

// `text`, with a separator between groups of the digits up to the point.
static void put_groups(struct build *out, const struct spec *f, const char *text) {
    bool by_four = f->type && strchr("xXob", f->type);
    size_t group = by_four ? 4 : 3, whole = strspn(text, by_four ? "0123456789abcdefABCDEF" : "0123456789");
    for (size_t i = 0; i < whole; i++) {
        if (i && (whole - i) % group == 0) b_add(out, &f->group, 1, f->user);
        b_add(out, text + i, 1, false);
    }
    b_puts(out, text + whole);
}

static void put_digits(struct build *b, const struct spec *f, bool negative, const char *base, const char *text) {
    char prefix[8];
    struct build digits = {.vm = b->vm};
    struct value v;
    if (f->group)
        put_groups(&digits, f, text);
    else
        b_puts(&digits, text);
    snprintf(prefix, sizeof prefix, "%s%s", negative ? "-" : f->sign == '+' ? "+" : f->sign == ' ' ? " " : "", base);
    if (b_done(&digits, &v)) put(b, f, v.s, prefix, f->zero ? '=' : '>');
}

static void put_int(struct build *b, const struct spec *f, struct value v) {
    char text[WHOLE_ROOM];
    const char *base = "";
    unsigned radix = f->type == 'x' || f->type == 'X' ? 16 : f->type == 'o' ? 8 : f->type == 'b' ? 2 : 10;
    if (!j_whole_digits(v, radix, text, sizeof text)) {
        j_fail(b->vm, "an integer of more than %d digits cannot be printed", MAX_DIGITS);
        return;
    }
    for (char *p = text; f->type == 'X' && *p; p++)
        if (*p >= 'a') *p = (char)(*p - 32);
    if (f->alternate) base = radix == 16 ? (f->type == 'X' ? "0X" : "0x") : radix == 8 ? "0o" : radix == 2 ? "0b" : "";
    put_digits(b, f, j_whole_minus(v), base, text);
}

static void put_float(struct build *b, const struct spec *f, double x) {
    char text[512], format[16];
    int precision = f->precision < 0 ? 6 : f->precision;
    char type = f->type == '%' ? 'f' : f->type ? f->type : 'g';
    if (f->type == '%') x *= 100;
    if (!f->type && f->precision < 0) {
        j_float_repr(fabs(x), text);
    } else {
        snprintf(format, sizeof format, "%%%s.*%c", f->alternate ? "#" : "", type);
        snprintf(text, sizeof text, format, precision, fabs(x));
    }
    if (f->type == '%') strncat(text, "%", sizeof text - strlen(text) - 1);
    put_digits(b, f, signbit(x) && !isnan(x), "", text);
}

static bool put_char(struct build *b, const struct spec *f, struct value v) {
    struct value c;
    char bytes[4];
    int64_t code = v_is_int(v) ? v_as_int(v) : -1;
    int n = code >= 0 && code < 0x110000 ? utf8_encode((uint32_t)code, bytes) : 0;
    if (!n) return j_fail(b->vm, "the format 'c' wants the number of a character");
    if (j_str(b->vm, bytes, (size_t)n, false, &c)) put(b, f, c.s, "", '<');
    return !b->vm->failed;
}

static bool put_value(struct build *b, const struct spec *f, struct value v) {
    struct vm *vm = b->vm;
    bool whole = !f->type || strchr("dixXobnc", f->type);
    if (f->width > MAX_WIDTH || f->precision > MAX_PRECISION)
        return j_fail(vm, "a format asks for more than %d characters",
                      f->width > MAX_WIDTH ? MAX_WIDTH : MAX_PRECISION);
    if (f->type == 's' || (!f->type && (!v_is_number(v) || v.kind == V_BOOL)))
        put_text(b, f, v);
    else if (!v_is_number(v))
        return j_fail(vm, "the format '%c' wants a number, not '%s'", f->type, v_type(v));
    else if (f->type == 'c')
        return put_char(b, f, v);
    else if (whole && v.kind != V_FLOAT)
        put_int(b, f, v);
    else if (whole && f->type)
        return j_fail(vm, "the format '%c' wants an integer, not a float", f->type);
    else
        put_float(b, f, v_as_float(v));
    return !vm->failed;
}

// Digits at *at as a number; -1 if there are none.
static int number(const struct str *s, size_t *at) {
    int n = -1;
    for (; *at < s->size && s->data[*at] >= '0' && s->data[*at] <= '9'; ++*at)
        if ((n = (n < 0 ? 0 : n) * 10 + s->data[*at] - '0') > 9999) n = 9999;
    return n;
}

// ---- "%s" % x

static bool percent_flags(struct vm *vm, const struct str *s, size_t *at, struct spec *f) {
    for (; *at < s->size && s->data[*at] && strchr("#0- +", s->data[*at]); ++*at) {
        char c = s->data[*at];
        if (c == '#') f->alternate = true;
        if (c == '0') f->zero = true;
        if (c == '-') f->align = '<';
        if (c == '+' || (c == ' ' && !f->sign)) f->sign = c;
    }
    f->width = number(s, at);
    if (*at < s->size && s->data[*at] == '.') {
        ++*at;
        f->precision = number(s, at);
        if (f->precision < 0) f->precision = 0;
    }
    if (*at < s->size && strchr("hlL", s->data[*at]) && s->data[*at]) ++*at;
    if (*at >= s->size) return j_fail(vm, "the format ends in the middle of '%%'");
    f->type = s->data[(*at)++];
    if (f->zero && !f->align && !strchr("srac", f->type)) f->fill = (struct text){"0", 1};
    if (f->align == '<') f->zero = false;
    return true;
}

static bool percent_put(struct build *b, struct spec *f, struct value v) {
    struct vm *vm = b->vm;
    struct build t = {.vm = vm};
    if (f->type == 'r' || f->type == 'a') {
        if (f->type == 'r')
            b_repr(&t, v);
        else
            b_ascii(&t, v);
        f->type = 's';
        if (!b_done(&t, &v)) return false;
    }
    if (f->type == 'i' || f->type == 'u') f->type = 'd';
    if (f->type == 'd' && v.kind == V_FLOAT && isfinite(v.f) && !j_whole_float(vm, v.f, &v)) return false;
    if (!f->type || !strchr("sdxXoceEfFgG", f->type)) return j_fail(vm, "there is no format '%%%c'", f->type);
    // %s pads at the left, where format() pads at the right.
    if ((f->type == 's' || f->type == 'c') && !f->align) f->align = '>';
    if (f->type == 'c' && v.kind == V_STR && j_chars(v.s) == 1) f->type = 's';
    return put_value(b, f, v);
}

static bool named_value(struct vm *vm, const struct str *s, size_t *at, struct value args, struct value *v) {
    const char *end = memchr(s->data + *at, ')', s->size - *at);
    if (!end) return j_fail(vm, "')' is missing in a format");
    struct text name = {s->data + *at + 1, (size_t)(end - s->data) - *at - 1};
    if (args.kind == V_DICT && !j_step(vm, args.d->n / 8 + 1)) return false;
    const struct pair *p = args.kind == V_DICT ? j_get_text(args.d, name) : NULL;
    if (!p) return j_fail(vm, "there is no '%.*s' to format", name.size < 99 ? (int)name.size : 99, name.data);
    *v = p->value;
    *at = (size_t)(end - s->data) + 1;
    return true;
}

bool j_percent(struct vm *vm, const struct str *s, struct value args, struct value *out) {
    struct build b = {.vm = vm};
    struct list one = {.items = &args, .n = 1};
    const struct list *l = args.kind == V_TUPLE ? args.l : &one;
    size_t used = 0, from = 0;
    for (size_t at = 0; at < s->size;) {
        if (s->data[at] != '%') {
            at++;
            continue;
        }
        b_part(&b, s, from, at++);
        struct spec f = {.fill = {" ", 1}, .width = -1, .precision = -1, .user = s->user};
        struct value v = v_none();
        bool named = at < s->size && s->data[at] == '(', percent;
        if (named && !named_value(vm, s, &at, args, &v)) return false;
        if (!percent_flags(vm, s, &at, &f)) return false;
        percent = f.type == '%';
        if (percent) b_add(&b, "%", 1, s->user);
        if (!named && !percent && used >= l->n) return j_fail(vm, "there are fewer values than formats");
        if (!named && !percent) v = l->items[used++];
        if (!percent && !percent_put(&b, &f, v)) return false;
        from = at;
    }
    b_part(&b, s, from, s->size);
    bool indexed = args.kind == V_DICT || args.kind == V_LIST || args.kind == V_RANGE || args.kind == V_UNDEFINED;
    if (!indexed && used < l->n) return j_fail(vm, "there are more values than formats");
    return b_done(&b, out);
}

// ---- "{}".format(x)

static struct text char_at(const struct str *s, size_t at) {
    size_t end = at + 1;
    while (end < s->size && (s->data[end] & 0xc0) == 0x80) end++;
    return (struct text){s->data + at, end - at};
}

static bool read_spec(struct vm *vm, const struct str *s, struct spec *f) {
    size_t at = 0;
    struct text first = s->size ? char_at(s, 0) : (struct text){"", 0};
    *f = (struct spec){.fill = {" ", 1}, .width = -1, .precision = -1, .user = s->user};
    if (s->size > first.size && strchr("<>^=", s->data[first.size]) && s->data[first.size]) {
        f->fill = first;
        f->align = s->data[first.size];
        at = first.size + 1;
    } else if (s->size && s->data[0] && strchr("<>^=", s->data[0])) {
        f->align = s->data[at++];
    }
    if (at < s->size && (s->data[at] == '+' || s->data[at] == '-' || s->data[at] == ' ')) f->sign = s->data[at++];
    if (at < s->size && s->data[at] == '#') {
        f->alternate = true;
        at++;
    }
    if (at < s->size && s->data[at] == '0' && !f->align) {
        f->zero = true;
        f->fill = (struct text){"0", 1};
    }
    f->width = number(s, &at);
    if (at < s->size && (s->data[at] == ',' || s->data[at] == '_')) f->group = s->data[at++];
    if (at < s->size && s->data[at] == '.') {
        at++;
        f->precision = number(s, &at);
    }
    if (at < s->size) f->type = s->data[at++];
    if (at < s->size || (f->type && !strchr("sdxXobncEefFgG%", f->type))) return j_fail(vm, "the format is wrong");
    return true;
}

// The value that "name", "0", "name.attribute" or "0[key]" stands for.
static bool field(struct vm *vm, const struct str *s, struct args *a, size_t *turn, struct value *out) {
    size_t at = 0, end = strcspn(s->data, ".[");
    int index = number(s, &at);
    if (end > s->size) end = s->size;
    struct text name = {s->data, end};
    *out = (struct value){.kind = V_UNSET};
    if (!j_step(vm, a->nkw / 8 + 1)) return false;
    if (!end) index = (int)(*turn)++;
    if ((!end || at == end) && index >= 0 && (size_t)index < a->n) *out = a->v[index];
    for (size_t i = 0; end && at != end && i < a->nkw; i++)
        if (a->kw[i].name.size == name.size && !memcmp(a->kw[i].name.data, name.data, name.size)) *out = a->kw[i].value;
    if (out->kind == V_UNSET)
        return j_fail(vm, "format(): there is no '%.*s'", name.size < 99 ? (int)name.size : 99, name.data);
    while (end < s->size) {
        bool dot = s->data[end] == '.';
        size_t begin = end + 1;
        for (end = begin; end < s->size && (dot ? s->data[end] != '.' && s->data[end] != '[' : s->data[end] != ']');)
            end++;
        struct str key = {.data = s->data + begin, .size = end - begin};
        size_t digits = 0;
        int i = dot ? -1 : number(&key, &digits);
        struct value k = {.kind = V_STR, .s = &key};
        if (i >= 0 && digits == key.size) k = v_int(i);
        bool ok = dot ? j_getattr(vm, *out, (struct text){key.data, key.size}, out) : j_getitem(vm, *out, k, out);
        if (!ok) return false;
        end += !dot;
    }
    return true;
}

static bool format(struct vm *vm, const struct str *s, struct args *a, size_t *turn, int depth, struct value *out);

static bool replacement(struct build *b, const struct str *s, struct args *a, size_t *turn, int depth) {
    struct vm *vm = b->vm;
    struct value v, copy;
    size_t n = 0;
    while (n < s->size && s->data[n] != '!' && s->data[n] != ':') n++;
    // A copy, so that it ends with a NUL.
    if (!j_str(vm, s->data, n, false, &copy)) return false;
    struct build name = {.vm = vm};
    b_str(&name, copy.s);
    b_add(&name, "", 1, false);
    if (!b_done(&name, &copy)) return false;
    copy.s->size = n;
    if (!field(vm, copy.s, a, turn, &v)) return false;
    if (n + 1 < s->size && s->data[n] == '!') {
        struct build t = {.vm = vm};
        switch (s->data[n + 1]) {
        case 'r': b_repr(&t, v); break;
        case 'a': b_ascii(&t, v); break;
        case 's': b_value(&t, v); break;
        default: return j_fail(vm, "format(): the conversion after '!' is r, s or a");
        }
        n += 2;
        if (!b_done(&t, &v)) return false;
    }
    size_t at = n + (n < s->size);
    struct str spec = {.data = s->data + at, .user = s->user ? s->user + at : NULL, .size = s->size - at};
    struct value whole = {.kind = V_STR, .s = &spec};
    struct spec f;
    // A format may have fields of its own: "{:>{width}}".
    if (spec.size && memchr(spec.data, '{', spec.size) && !format(vm, &spec, a, turn, depth + 1, &whole)) return false;
    return read_spec(vm, whole.s, &f) && put_value(b, &f, v);
}

// The brace that closes the one at `at`; the text's end if there is none.
static size_t closing(const struct str *s, size_t at) {
    size_t open = 0;
    for (; at < s->size; at++) {
        if (s->data[at] == '{') open++;
        if (s->data[at] == '}' && !--open) break;
    }
    return at;
}

static bool format(struct vm *vm, const struct str *s, struct args *a, size_t *turn, int depth, struct value *out) {
    struct build b = {.vm = vm};
    if (depth > 1) return j_fail(vm, "format(): a format is nested too deep");
    for (size_t at = 0; at < s->size; at++) {
        char c = s->data[at];
        bool twice = at + 1 < s->size && s->data[at + 1] == c;
        if ((c != '{' && c != '}') || twice) {
            b_part(&b, s, at, at + 1);
            at += c == '{' || c == '}';
            continue;
        }
        if (c == '}') return j_fail(vm, "format(): a single '}'");
        size_t end = closing(s, at);
        if (end == s->size) return j_fail(vm, "format(): '}' is missing");
        struct str inside = {.data = s->data + at + 1, .user = s->user ? s->user + at + 1 : NULL, .size = end - at - 1};
        if (!j_step(vm, 1) || !replacement(&b, &inside, a, turn, depth)) return false;
        at = end;
    }
    return b_done(&b, out);
}

bool j_format(struct vm *vm, const struct str *s, struct args *a, struct value *out) {
    size_t turn = 0;
    return format(vm, s, a, &turn, 0, out);
}
