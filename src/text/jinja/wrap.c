// The filters wordwrap, which is Python's textwrap, and striptags.
#include "text/jinja/wrap.h"
#include "base/utf8.h"
#include "text/jinja/case.h"
#include "text/jinja/methods.h"

#include <string.h>

// A line of text, character by character.
struct line {
    const struct str *s;
    uint32_t *c;
    size_t *at; // the byte that each begins at, and the end
    size_t n;
};

static bool read_line(struct vm *vm, const struct str *s, struct line *l) {
    *l = (struct line){.s = s, .n = j_chars(s)};
    l->c = j_alloc_array(vm, l->n + 1, sizeof *l->c);
    l->at = j_alloc_array(vm, l->n + 1, sizeof *l->at);
    if (!l->c || !l->at || !j_step(vm, l->n)) return false;
    for (size_t i = 0, at = 0; i < l->n; i++) {
        l->at[i] = at;
        at += (size_t)utf8_decode(s->data + at, s->size - at, &l->c[i]);
    }
    l->at[l->n] = s->size;
    return true;
}

static bool is_blank(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13); }
static bool is_word(uint32_t c) { return c == '_' || j_is_alnum(c); }
static bool is_letter(uint32_t c) { return is_word(c) && !j_is_decimal(c); }
static bool joins(uint32_t c) { return is_word(c) || (c && c < 128 && strchr("!\"'&.,?", (int)c)); }

static uint32_t at(const struct line *l, size_t i) { return i < l->n ? l->c[i] : 0; }

// The end of two or more hyphens at i that a word follows; i if there are none.
static size_t dash_end(const struct line *l, size_t i) {
    size_t end = i;
    while (at(l, end) == '-') end++;
    return end - i > 1 && is_word(at(l, end)) ? end : i;
}

// Whether the hyphen at i joins two parts of a word, between which a line may end.
static bool is_hyphen(const struct line *l, size_t i) {
    bool before = i > 1 && is_letter(l->c[i - 2]) && is_letter(l->c[i - 1]);
    if (!before) before = i > 2 && is_letter(l->c[i - 3]) && l->c[i - 2] == '-' && joins(l->c[i - 1]);
    size_t next = i + 2 + (at(l, i + 2) == '-');
    return before && l->c[i] == '-' && is_letter(at(l, i + 1)) && is_letter(at(l, next));
}

// The end of the piece at i, which is not cut if a line has room for it.
static size_t piece_end(const struct line *l, size_t i, bool hyphens) {
    size_t end = i + 1;
    if (is_blank(l->c[i])) {
        while (end < l->n && is_blank(l->c[end])) end++;
        return end;
    }
    if (!hyphens) {
        while (end < l->n && !is_blank(l->c[end])) end++;
        return end;
    }
    if (i && joins(l->c[i - 1]) && dash_end(l, i) > i) return dash_end(l, i);
    for (; end < l->n && !is_blank(l->c[end]); end++) {
        if (is_hyphen(l, end)) return end + 1;
        if (joins(l->c[end - 1]) && dash_end(l, end) > end) return end;
    }
    return end;
}

static bool all_space(const struct line *l, size_t begin, size_t end) {
    while (begin < end && j_is_space(l->c[begin])) begin++;
    return begin == end;
}

struct wrapper {
    size_t width;
    bool cuts, hyphens; // break_long_words, break_on_hyphens
    const struct str *between;
    size_t lines; // of this line of the text
};

// Where a piece that is longer than a line is cut.
static size_t cut(const struct line *l, const struct wrapper *w, size_t begin, size_t end, size_t room) {
    size_t most = begin + room;
    if (!w->hyphens || end - begin <= room) return most;
    for (size_t i = most; i-- > begin + 1;) {
        if (l->c[i] != '-') continue;
        for (size_t k = begin; k < i; k++)
            if (l->c[k] != '-') return i + 1;
        break;
    }
    return most;
}

static void emit(struct build *b, const struct line *l, struct wrapper *w, size_t begin, size_t end) {
    if (begin == end) return;
    if (w->lines++) b_str(b, w->between);
    b_part(b, l->s, l->at[begin], l->at[end]);
}

static bool wrap_line(struct vm *vm, struct build *b, const struct line *l, struct wrapper *w) {
    size_t i = 0, end;
    w->lines = 0;
    while (i < l->n) {
        if (w->lines && (end = piece_end(l, i, w->hyphens), all_space(l, i, end))) {
            i = end;
            continue;
        }
        size_t begin = i, last = i; // of the line's last piece
        for (; i < l->n && (end = piece_end(l, i, w->hyphens)) - begin <= w->width; i = end) last = i;
        if (i < l->n && end - i > w->width) {
            // The piece is longer than any line.
            size_t room = w->width - (i - begin), to = w->cuts ? cut(l, w, i, end, room) : i > begin ? i : end;
            if (to > i) last = i;
            i = to;
        }
        if (!j_step(vm, i - begin + 1)) return false;
        emit(b, l, w, begin, last < i && all_space(l, last, i) ? last : i);
    }
    return true;
}

bool j_wordwrap(struct vm *vm, struct args *a, struct value *out) {
    static const struct str newline = {.data = "\n", .size = 1};
    struct wrapper w = {.cuts = a->v[1].kind == V_UNSET || v_true(a->v[1]),
                        .hyphens = a->v[3].kind == V_UNSET || v_true(a->v[3]),
                        .between = &newline};
    struct value lines;
    struct str *between, *text;
    int64_t width = 79;
    if (a->v[0].kind != V_UNSET && !j_want_int(vm, a->v[0], "wordwrap", &width)) return false;
    if (a->v[2].kind > V_NONE && !j_want_str(vm, a->v[2], "wordwrap", &between)) return false;
    if (a->v[2].kind > V_NONE) w.between = between;
    if (width < 1) return j_fail(vm, "wordwrap wants a width of at least 1");
    if (!j_want_str(vm, a->self, "wordwrap", &text) || !j_splitlines(vm, text, false, &lines)) return false;
    w.width = (size_t)width;
    struct build b = {.vm = vm};
    for (size_t i = 0; i < lines.l->n; i++) {
        struct line l;
        if (i) b_str(&b, w.between);
        if (!read_line(vm, lines.l->items[i].s, &l) || !wrap_line(vm, &b, &l, &w)) return false;
    }
    return b_done(&b, out);
}

// ---- tags

// Takes out what stands between `open` and `close`, from the left, until there is no more.
static bool take_out(struct vm *vm, struct str *s, const char *open, const char *close) {
    char *data = j_alloc(vm, s->size + 1);
    uint8_t *user = s->user ? j_alloc(vm, s->size + 1) : NULL;
    if (!data || (s->user && !user)) return false;
    memcpy(data, s->data, s->size);
    if (user) memcpy(user, s->user, s->size);
    size_t begin = 0, n = s->size;
    const char *p, *q;
    while ((p = memmem(data + begin, n - begin, open, strlen(open)))) {
        if (!(q = memmem(p, n - (size_t)(p - data), close, strlen(close)))) break;
        size_t from = (size_t)(p - data), to = (size_t)(q - data) + strlen(close);
        memmove(data + from, data + to, n - to);
        if (user) memmove(user + from, user + to, n - to);
        if (!j_step(vm, (n - to) / 16 + 1)) return false;
        n -= to - from;
        begin = from < 4 ? 0 : from - 4; // an opening may have been put together
    }
    *s = (struct str){.data = data, .user = user, .size = n};
    return true;
}

// "&lt;" and its like at i: what it stands for, and its length; 0: none that is known.
static size_t entity(const struct str *s, size_t i, uint32_t *c) {
    static const struct {
        const char *name;
        uint32_t c;
    } names[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}, {"&nbsp;", 0xa0}};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t n = strlen(names[k].name);
        if (s->size - i >= n && !memcmp(s->data + i, names[k].name, n)) return *c = names[k].c, n;
    }
    size_t at = i + 2, digits = 0;
    if (at >= s->size || s->data[i + 1] != '#') return 0;
    unsigned base = (s->data[at] | 32) == 'x' ? 16 : 10;
    at += base == 16;
    for (*c = 0; at < s->size && digits < 7; at++, digits++) {
        char x = s->data[at], low = (char)(x | 32);
        unsigned d = x >= '0' && x <= '9'       ? (unsigned)(x - '0')
                     : low >= 'a' && low <= 'f' ? (unsigned)(low - 'a') + 10
                                                : 99;
        if (d >= base) break;
        *c = *c * base + d;
    }
    // Numbers of no character, and those that HTML reads as another, are left alone.
    bool plain = *c >= 0x20 && *c < 0x110000 && (*c < 0x7f || *c > 0x9f) && (*c < 0xd800 || *c > 0xdfff);
    return digits && plain && at < s->size && s->data[at] == ';' ? at + 1 - i : 0;
}

bool j_striptags(struct vm *vm, struct args *a, struct value *out) {
    struct value v, words;
    struct args none = {.v = (struct value[]){v_none(), v_none()}, .n = 2};
    static const struct str space = {.data = " ", .size = 1};
    if (!j_to_str(vm, a->self, &v)) return false;
    struct str s = *v.s;
    s.markup = false;
    if (!take_out(vm, &s, "<!--", "-->") || !take_out(vm, &s, "<", ">")) return false;
    none.self = (struct value){.kind = V_STR, .s = &s};
    if (!j_find_native(j_str_methods, (struct text){"split", 5})->fn(vm, &none, &words) ||
        !j_join(vm, &space, words.l, &v))
        return false;
    struct build b = {.vm = vm};
    for (size_t i = 0, n; i < v.s->size; i += n) {
        uint32_t c;
        char bytes[4];
        n = v.s->data[i] == '&' ? entity(v.s, i, &c) : 0;
        if (!n && v.s->data[i] == '&' && i + 1 < v.s->size && j_is_alnum((unsigned char)v.s->data[i + 1]))
            return j_fail(vm, "striptags knows the names amp, lt, gt, quot, apos and nbsp of HTML only");
        if (n)
            b_add(&b, bytes, (size_t)utf8_encode(c, bytes), v.s->user && v.s->user[i]);
        else
            b_part(&b, v.s, i, i + (n = 1));
    }
    return b_done(&b, out);
}
