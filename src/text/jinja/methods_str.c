// "abc".upper() and its like: the methods of Python's str.
#include "text/jinja/case.h"
#include "text/jinja/methods.h"

#include <string.h>

static const struct str space = {.data = " ", .size = 1};

static struct value or_none(struct value v) { return v.kind == V_UNSET ? v_none() : v; }

static bool int_or(struct vm *vm, struct value v, const char *what, int64_t otherwise, int64_t *out) {
    *out = otherwise;
    return v.kind == V_UNSET || v.kind == V_NONE || j_want_int(vm, v, what, out);
}

bool j_replace(struct vm *vm, const struct str *s, const struct str *old, const struct str *new, int64_t count,
               struct value *out) {
    struct build b = {.vm = vm};
    size_t from = 0, at = 0;
    while (count && (at = j_find(s, old, at)) != SIZE_MAX) {
        b_part(&b, s, from, at);
        b_str(&b, new);
        from = at += old->size;
        if (!old->size) { // between all characters, and at both ends
            if (at >= s->size) break;
            do at++;
            while (at < s->size && (s->data[at] & 0xc0) == 0x80);
        }
        if (count > 0) count--;
        if (!j_step(vm, 1)) return false;
    }
    b_part(&b, s, from, s->size);
    if (!b_done(&b, out)) return false;
    out->s->markup = s->markup;
    return true;
}

bool j_join(struct vm *vm, const struct str *between, const struct list *l, struct value *out) {
    struct build b = {.vm = vm};
    for (size_t i = 0; i < l->n && j_step(vm, 1); i++) {
        if (i) b_str(&b, between);
        b_value(&b, l->items[i]);
    }
    return b_done(&b, out);
}

bool j_join_safely(struct vm *vm, const struct str *between, const struct list *l, struct value *out) {
    bool markup = between->markup;
    for (size_t i = 0; i < l->n && !markup; i++) markup = l->items[i].kind == V_STR && l->items[i].s->markup;
    if (!vm->escapes || !markup) return j_join(vm, between, l, out);
    struct value safe, mark = {.kind = V_STR, .s = (struct str *)(uintptr_t)between};
    if (!j_list(vm, V_LIST, l->n, &safe) || !j_escape(vm, mark, &mark)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (!j_escape(vm, l->items[i], &safe.l->items[i])) return false;
    if (!j_join(vm, mark.s, safe.l, out)) return false;
    out->s->markup = true;
    return true;
}

bool j_trim(struct vm *vm, struct value v, struct value chars, bool left, bool right, struct value *out) {
    struct str *set = NULL;
    size_t begin, end;
    if (chars.kind != V_UNSET && chars.kind != V_NONE && !j_want_str(vm, chars, "strip()", &set)) return false;
    // The set is searched for every character taken off.
    if (!j_step(vm, set ? (v.s->size / 16 + 1) * (set->size / 4 + 1) : v.s->size / 64)) return false;
    j_strip(v.s, set, left, right, &begin, &end);
    return j_slice(vm, v.s, begin, end, out);
}

static size_t line_break(const struct str *s, size_t i) {
    static const char *const breaks[] = {"\r\n", "\n",   "\r",       "\v",           "\f",          "\x1c",
                                         "\x1d", "\x1e", "\xc2\x85", "\xe2\x80\xa8", "\xe2\x80\xa9"};
    for (size_t k = 0; k < sizeof breaks / sizeof *breaks; k++) {
        size_t n = strlen(breaks[k]);
        if (n <= s->size - i && !memcmp(s->data + i, breaks[k], n)) return n;
    }
    return 0;
}

static bool push(struct vm *vm, struct list *l, size_t *room, struct value v) {
    if (l->n == *room) {
        *room = *room ? *room * 2 : 8;
        struct value *items = j_alloc_array(vm, *room, sizeof *items);
        if (!items) return false;
        if (l->n) memcpy(items, l->items, l->n * sizeof *items);
        l->items = items;
    }
    l->items[l->n++] = v;
    return true;
}

static bool push_part(struct vm *vm, struct list *l, size_t *room, const struct str *s, size_t begin, size_t end) {
    struct value v;
    return j_slice(vm, s, begin, end, &v) && push(vm, l, room, v);
}

bool j_splitlines(struct vm *vm, const struct str *s, bool keep, struct value *out) {
    size_t room = 0, from = 0;
    if (!j_list(vm, V_LIST, 0, out) || !j_step(vm, s->size / 4)) return false;
    for (size_t i = 0; i < s->size; i++) {
        size_t n = line_break(s, i);
        if (!n) continue;
        if (!push_part(vm, out->l, &room, s, from, i + (keep ? n : 0))) return false;
        from = i + n;
        i += n - 1;
    }
    return from == s->size || push_part(vm, out->l, &room, s, from, s->size);
}

// split() without a separator: words between white space.
static bool split_words(struct vm *vm, const struct str *s, int64_t max, struct value *out) {
    size_t room = 0, begin, end;
    struct str rest = *s;
    while (j_step(vm, 1)) {
        j_strip(&rest, NULL, true, false, &begin, &end);
        rest.data += begin;
        rest.user = rest.user ? rest.user + begin : NULL;
        rest.size -= begin;
        if (!rest.size) return true;
        for (end = 0; end < rest.size; end++) {
            struct str tail = {.data = rest.data + end, .size = rest.size - end};
            j_strip(&tail, NULL, true, false, &begin, &tail.size);
            if ((tail.data[0] & 0xc0) != 0x80 && begin) break;
        }
        if (!max--) return push_part(vm, out->l, &room, &rest, 0, rest.size);
        if (!push_part(vm, out->l, &room, &rest, 0, end)) return false;
        rest.data += end;
        rest.user = rest.user ? rest.user + end : NULL;
        rest.size -= end;
    }
    return false;
}

static void reverse(struct list *l) {
    for (size_t i = 0; i < l->n / 2; i++) {
        struct value v = l->items[i];
        l->items[i] = l->items[l->n - 1 - i];
        l->items[l->n - 1 - i] = v;
    }
}

// rsplit() without a separator: words from the end.
static bool rsplit_words(struct vm *vm, const struct str *s, int64_t max, struct value *out) {
    struct value words;
    if (max < 0) return split_words(vm, s, -1, out);
    if (!j_list(vm, V_LIST, 0, &words) || !split_words(vm, s, -1, &words)) return false;
    if (words.l->n <= (size_t)max) return *out = words, true;
    size_t keep = words.l->n - (size_t)max, room = 0, begin, end;
    // What is left of the words that are split off, as it stands.
    struct str head = *s;
    if (max) head.size = (size_t)(words.l->items[keep].s->data - s->data);
    j_strip(&head, NULL, false, true, &begin, &end);
    if (!push_part(vm, out->l, &room, &head, 0, end)) return false;
    for (size_t i = keep; i < words.l->n; i++)
        if (!push(vm, out->l, &room, words.l->items[i])) return false;
    return true;
}

static bool split_by(struct vm *vm, const struct str *s, const struct str *sep, int64_t max, bool right,
                     struct value *out) {
    size_t room = 0, from = 0, end = s->size, at;
    if (!sep->size) return j_fail(vm, "split() wants a separator that is not empty");
    if (right) {
        for (; max && (at = j_find_last(s, sep, end)) != SIZE_MAX; max--, end = at)
            if (!j_step(vm, 1) || !push_part(vm, out->l, &room, s, at + sep->size, end)) return false;
        if (!push_part(vm, out->l, &room, s, 0, end)) return false;
        reverse(out->l);
        return true;
    }
    for (; max && (at = j_find(s, sep, from)) != SIZE_MAX; max--, from = at + sep->size)
        if (!j_step(vm, 1) || !push_part(vm, out->l, &room, s, from, at)) return false;
    return push_part(vm, out->l, &room, s, from, end);
}

static bool split(struct vm *vm, struct args *a, bool right, struct value *out) {
    int64_t max;
    struct str *sep;
    const struct str *s = a->self.s;
    if (!int_or(vm, a->v[1], "split()", -1, &max) || !j_list(vm, V_LIST, 0, out)) return false;
    if (!j_step(vm, s->size / 16)) return false;
    if (a->v[0].kind == V_UNSET || a->v[0].kind == V_NONE)
        return right ? rsplit_words(vm, s, max, out) : split_words(vm, s, max, out);
    if (!j_want_str(vm, a->v[0], "split()", &sep) || !j_step(vm, j_find_cost(s, sep))) return false;
    return split_by(vm, s, sep, max, right, out);
}

static bool m_split(struct vm *vm, struct args *a, struct value *out) { return split(vm, a, false, out); }
static bool m_rsplit(struct vm *vm, struct args *a, struct value *out) { return split(vm, a, true, out); }

static bool partition(struct vm *vm, struct args *a, bool right, struct value *out) {
    const struct str *s = a->self.s;
    struct str *sep;
    if (!j_want_str(vm, a->v[0], "partition()", &sep) || !j_list(vm, V_TUPLE, 3, out)) return false;
    if (!sep->size) return j_fail(vm, "partition() wants a separator that is not empty");
    if (!j_step(vm, j_find_cost(s, sep))) return false;
    size_t at = right ? j_find_last(s, sep, s->size) : j_find(s, sep, 0);
    size_t begin = at, end = at + sep->size;
    if (at == SIZE_MAX) begin = end = right ? 0 : s->size;
    struct value *v = out->l->items;
    return j_slice(vm, s, 0, begin, &v[0]) && j_slice(vm, s, begin, end, &v[1]) && j_slice(vm, s, end, s->size, &v[2]);
}

static bool m_partition(struct vm *vm, struct args *a, struct value *out) { return partition(vm, a, false, out); }
static bool m_rpartition(struct vm *vm, struct args *a, struct value *out) { return partition(vm, a, true, out); }

static bool m_splitlines(struct vm *vm, struct args *a, struct value *out) {
    return j_splitlines(vm, a->self.s, v_true(a->v[0]), out);
}

static bool m_strip(struct vm *vm, struct args *a, struct value *out) {
    return j_trim(vm, a->self, or_none(a->v[0]), true, true, out);
}
static bool m_lstrip(struct vm *vm, struct args *a, struct value *out) {
    return j_trim(vm, a->self, or_none(a->v[0]), true, false, out);
}
static bool m_rstrip(struct vm *vm, struct args *a, struct value *out) {
    return j_trim(vm, a->self, or_none(a->v[0]), false, true, out);
}

// The part of the text between two character indices of an argument list, as s[from:to].
static bool part(struct vm *vm, struct args *a, struct value *out) {
    const struct value bounds[3] = {or_none(a->v[1]), or_none(a->v[2]), v_none()};
    return j_slice_of(vm, a->self, bounds, out);
}

static bool affix(struct vm *vm, struct args *a, bool end, struct value *out) {
    struct value v;
    if (!part(vm, a, &v)) return false;
    struct list one = {.items = &a->v[0], .n = 1};
    const struct list *l = a->v[0].kind == V_TUPLE ? a->v[0].l : &one;
    *out = v_bool(false);
    for (size_t i = 0; i < l->n; i++) {
        struct str *fix;
        if (!j_want_str(vm, l->items[i], end ? "endswith()" : "startswith()", &fix)) return false;
        if (fix->size > v.s->size ||
            (fix->size && memcmp(v.s->data + (end ? v.s->size - fix->size : 0), fix->data, fix->size)))
            continue;
        *out = v_bool(true);
    }
    return true;
}

static bool m_startswith(struct vm *vm, struct args *a, struct value *out) { return affix(vm, a, false, out); }
static bool m_endswith(struct vm *vm, struct args *a, struct value *out) { return affix(vm, a, true, out); }

static bool m_removeprefix(struct vm *vm, struct args *a, struct value *out) {
    struct str *s = a->self.s, *fix;
    if (!j_want_str(vm, a->v[0], "removeprefix()", &fix)) return false;
    bool has = fix->size && fix->size <= s->size && !memcmp(s->data, fix->data, fix->size);
    return j_slice(vm, s, has ? fix->size : 0, s->size, out);
}

static bool m_removesuffix(struct vm *vm, struct args *a, struct value *out) {
    struct str *s = a->self.s, *fix;
    if (!j_want_str(vm, a->v[0], "removesuffix()", &fix)) return false;
    bool has = fix->size && fix->size <= s->size && !memcmp(s->data + s->size - fix->size, fix->data, fix->size);
    return j_slice(vm, s, 0, s->size - (has ? fix->size : 0), out);
}

static bool m_replace(struct vm *vm, struct args *a, struct value *out) {
    struct str *old, *new;
    int64_t count;
    return j_want_str(vm, a->v[0], "replace()", &old) && j_want_str(vm, a->v[1], "replace()", &new) &&
           int_or(vm, a->v[2], "replace()", -1, &count) && j_replace(vm, a->self.s, old, new, count, out);
}

static bool find(struct vm *vm, struct args *a, bool last, bool must, struct value *out) {
    struct str *what;
    struct value v;
    if (!j_want_str(vm, a->v[0], "find()", &what) || !part(vm, a, &v) || !j_step(vm, j_find_cost(v.s, what)))
        return false;
    size_t at = last ? j_find_last(v.s, what, v.s->size) : j_find(v.s, what, 0);
    if (at == SIZE_MAX && must) return j_fail(vm, "index(): the text is not in there");
    *out = v_int(-1);
    if (at == SIZE_MAX) return true;
    struct str before = {.data = a->self.s->data, .size = (size_t)(v.s->data - a->self.s->data) + at};
    *out = v_int((int64_t)j_chars(&before));
    return true;
}

static bool m_find(struct vm *vm, struct args *a, struct value *out) { return find(vm, a, false, false, out); }
static bool m_rfind(struct vm *vm, struct args *a, struct value *out) { return find(vm, a, true, false, out); }
static bool m_index(struct vm *vm, struct args *a, struct value *out) { return find(vm, a, false, true, out); }
static bool m_rindex(struct vm *vm, struct args *a, struct value *out) { return find(vm, a, true, true, out); }

static bool m_count(struct vm *vm, struct args *a, struct value *out) {
    struct str *what;
    struct value v;
    if (!j_want_str(vm, a->v[0], "count()", &what) || !part(vm, a, &v) || !j_step(vm, v.s->size / 16)) return false;
    int64_t n = 0;
    if (!what->size) n = (int64_t)j_chars(v.s) + 1;
    for (size_t at = 0; what->size && (at = j_find(v.s, what, at)) != SIZE_MAX; at += what->size) n++;
    *out = v_int(n);
    return true;
}

static bool m_join(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    if (!j_items(vm, a->v[0], &l)) return false;
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].kind != V_STR) return j_fail(vm, "join(): item %zu is '%s', not a str", i, v_type(l->items[i]));
    return j_join(vm, a->self.s, l, out);
}

static bool m_format(struct vm *vm, struct args *a, struct value *out) { return j_format(vm, a->self.s, a, out); }

bool j_pad(struct vm *vm, const struct str *s, int64_t width, const struct str *fill, int where, struct value *out) {
    int64_t have = (int64_t)j_chars(s), more = width > have ? width - have : 0;
    if (more > MAX_OUTPUT) return j_fail(vm, "a string grows past %d MB", MAX_OUTPUT >> 20);
    // Python puts the odd one of center() at the left only when the width is odd.
    int64_t left = where < 0 ? 0 : where > 0 ? more : more / 2 + (more & width & 1);
    struct build b = {.vm = vm};
    for (int64_t i = 0; i < left && j_step(vm, 1); i++) b_str(&b, fill);
    b_str(&b, s);
    for (int64_t i = left; i < more && j_step(vm, 1); i++) b_str(&b, fill);
    return b_done(&b, out);
}

static bool pad(struct vm *vm, struct args *a, int where, struct value *out) {
    struct str *fill = (struct str *)&space;
    int64_t width;
    if (!j_want_int(vm, a->v[0], "the width", &width)) return false;
    if (a->v[1].kind != V_UNSET && !j_want_str(vm, a->v[1], "the fill character", &fill)) return false;
    if (j_chars(fill) != 1) return j_fail(vm, "the fill character must be one character");
    return j_pad(vm, a->self.s, width, fill, where, out);
}

static bool m_ljust(struct vm *vm, struct args *a, struct value *out) { return pad(vm, a, -1, out); }
static bool m_rjust(struct vm *vm, struct args *a, struct value *out) { return pad(vm, a, 1, out); }
static bool m_center(struct vm *vm, struct args *a, struct value *out) { return pad(vm, a, 0, out); }

static bool m_zfill(struct vm *vm, struct args *a, struct value *out) {
    static const struct str zero = {.data = "0", .size = 1};
    struct str *s = a->self.s, rest = *s;
    int64_t width;
    struct value v;
    if (!j_want_int(vm, a->v[0], "zfill()", &width)) return false;
    bool sign = s->size && (s->data[0] == '-' || s->data[0] == '+');
    rest.data += sign;
    rest.size -= sign;
    if (rest.user) rest.user += sign;
    if (!j_pad(vm, &rest, width > INT32_MAX ? INT32_MAX : width - sign, &zero, 1, &v)) return false;
    struct build b = {.vm = vm};
    b_part(&b, s, 0, sign);
    b_str(&b, v.s);
    return b_done(&b, out);
}

#define CASE(name, how)                                                                                                \
    static bool name(struct vm *vm, struct args *a, struct value *out) {                                               \
        return j_change_case(vm, a->self.s, how, out);                                                                 \
    }
CASE(m_upper, CASE_UPPER)
CASE(m_lower, CASE_LOWER)
CASE(m_title, CASE_TITLE)
CASE(m_capitalize, CASE_CAPITALIZE)
CASE(m_swapcase, CASE_SWAP)

const struct native j_str_methods[] = {
    {"strip", "chars", 0, m_strip},
    {"lstrip", "chars", 0, m_lstrip},
    {"rstrip", "chars", 0, m_rstrip},
    {"split", "sep,maxsplit", 0, m_split},
    {"rsplit", "sep,maxsplit", 0, m_rsplit},
    {"splitlines", "keepends", 0, m_splitlines},
    {"partition", "sep", 1, m_partition},
    {"rpartition", "sep", 1, m_rpartition},
    {"startswith", "prefix,start,end", 1, m_startswith},
    {"endswith", "suffix,start,end", 1, m_endswith},
    {"removeprefix", "prefix", 1, m_removeprefix},
    {"removesuffix", "suffix", 1, m_removesuffix},
    {"replace", "old,new,count", 2, m_replace},
    {"find", "sub,start,end", 1, m_find},
    {"rfind", "sub,start,end", 1, m_rfind},
    {"index", "sub,start,end", 1, m_index},
    {"rindex", "sub,start,end", 1, m_rindex},
    {"count", "sub,start,end", 1, m_count},
    {"join", "iterable", 1, m_join},
    {"format", NULL, 0, m_format},
    {"upper", "", 0, m_upper},
    {"lower", "", 0, m_lower},
    {"title", "", 0, m_title},
    {"capitalize", "", 0, m_capitalize},
    {"swapcase", "", 0, m_swapcase},
    {"ljust", "width,fillchar", 1, m_ljust},
    {"rjust", "width,fillchar", 1, m_rjust},
    {"center", "width,fillchar", 1, m_center},
    {"zfill", "width", 1, m_zfill},
    {NULL},
};
