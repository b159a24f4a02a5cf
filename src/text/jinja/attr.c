// a.b, a[b] and a[b:c:d], as Jinja's sandbox finds them: "." looks for methods first, "[ ]" for items first; what
// changes a list or a dict, or starts with "_", is not there.
#include "text/jinja/eval.h"

#include <string.h>

static const struct native *const *method_tables(enum kind kind) {
    static const struct native *const none[] = {NULL}, *const str[] = {j_str_methods, j_str_tests, j_str_rare, NULL};
    static const struct native *const dict[] = {j_dict_methods, j_dict_class, NULL}, *const list[] = {j_list_methods,
                                                                                                      NULL};
    static const struct native *const cycler[] = {j_cycler_methods, NULL}, *const loop[] = {j_loop_methods, NULL};
    static const struct native *const view[] = {j_view_methods, NULL};
    static const struct native *const whole[] = {j_int_methods, NULL}, *const real[] = {j_float_methods, NULL};
    switch (kind) {
    case V_BOOL:
    case V_INT:
    case V_BIG: return whole;
    case V_FLOAT: return real;
    case V_VIEW: return view;
    case V_STR: return str;
    case V_DICT: return dict;
    case V_LIST:
    case V_TUPLE:
    case V_RANGE: return list;
    case V_CYCLER: return cycler;
    case V_LOOP: return loop;
    default: return none;
    }
}

// What a list or a dict could do in Python, but not in the sandbox.
static bool is_blocked(struct value v, struct text name) {
    static const char *const list[] = {"append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort", NULL};
    static const char *const dict[] = {"clear", "pop", "popitem", "setdefault", "update", NULL};
    const char *const *p = v.kind == V_LIST ? list : v.kind == V_DICT ? dict : NULL;
    for (; p && *p; p++)
        if (text_is(name, *p)) return true;
    return name.size > 1 && !memcmp(name.data, "__", 2);
}

// *out is V_UNSET when there is no such method.
static bool method(struct vm *vm, struct value v, struct text name, struct value *out) {
    out->kind = V_UNSET;
    static const struct native *const class[] = {j_dict_class, NULL};
    bool is_dict = v.kind == V_NATIVE && !strcmp(v.native->name, "dict");
    for (const struct native *const *t = is_dict ? class : method_tables(v.kind); *t; t++) {
        const struct native *n = j_find_native(*t, name);
        if (!n || (v.kind != V_LIST && n->fn == j_list_methods[0].fn)) continue;
        struct method *m = j_alloc(vm, sizeof *m);
        if (!m) return false;
        *m = (struct method){n, v};
        *out = (struct value){.kind = V_METHOD, .method = m};
        return true;
    }
    if (v_is_number(v)) return j_number_attr(vm, v, name, out);
    if (v.kind == V_RANGE && text_is(name, "start")) *out = v_int(v.l->start);
    if (v.kind == V_RANGE && text_is(name, "stop")) *out = v_int(v.l->stop);
    if (v.kind == V_RANGE && text_is(name, "step")) *out = v_int(v.l->step);
    if (v.kind == V_LOOP) return j_loop_attr(vm, v.loop, name, out);
    if (v.kind == V_CYCLER && text_is(name, "current") && v.cycler->list->n)
        *out = v.cycler->list->items[v.cycler->at % v.cycler->list->n];
    if (v.kind == V_MACRO && text_is(name, "name")) {
        struct text t = j_macro_name(v.macro);
        return j_str(vm, t.data, t.size, false, out);
    }
    if (is_blocked(v, name))
        return j_undefined(vm, out, "'%.*s' of '%s' is not allowed in a template", name.size < 64 ? (int)name.size : 64,
                           name.data, v_type(v));
    return true;
}

static bool missing(struct vm *vm, struct value v, const char *name, size_t size, struct value *out) {
    int n = size < 99 ? (int)size : 99;
    if (v.kind == V_NONE) return j_undefined(vm, out, "'None' has no attribute '%.*s'", n, name);
    return j_undefined(vm, out, "'%s object' has no attribute '%.*s'", v_type(v), n, name);
}

static bool fail_undefined(struct vm *vm, struct value v) {
    return j_fail(vm, "%s", v.kind == V_UNDEFINED && v.s ? v.s->data : "the value is undefined");
}

// The members of a namespace() and of what groupby() makes are attributes.
static bool member(struct value v, struct text name, struct value *out) {
    if (v.kind == V_TUPLE && v.l->label && v.l->n == 2 && (text_is(name, "grouper") || text_is(name, "list")))
        return *out = v.l->items[text_is(name, "list")], true;
    const struct pair *p = v.kind == V_SPACE || v.kind == V_DICT ? j_get_text(v.d, name) : NULL;
    if (p) *out = p->value;
    return p;
}

static bool count_lookup(struct vm *vm, struct value v) {
    return j_step(vm, v.kind == V_SPACE || v.kind == V_DICT ? v.d->n / 8 : 0);
}

bool j_getattr(struct vm *vm, struct value v, struct text name, struct value *out) {
    bool hidden = name.size > 1 && !memcmp(name.data, "__", 2);
    if (v.kind <= V_UNDEFINED) return fail_undefined(vm, v);
    if (!method(vm, v, name, out) || !count_lookup(vm, v)) return false;
    if (out->kind != V_UNSET && !hidden) return true;
    if (member(v, name, out) || out->kind != V_UNSET) return true;
    return missing(vm, v, name.data, name.size, out);
}

// An index from the end if it is negative; false when it is outside.
static bool in_range(int64_t i, size_t n, size_t *at) {
    if (i < 0 && __builtin_add_overflow(i, (int64_t)n, &i)) return false;
    *at = (size_t)i;
    return i >= 0 && (size_t)i < n;
}

static bool item_at(struct vm *vm, struct value v, int64_t i, struct value *out) {
    size_t at;
    out->kind = V_UNSET;
    if (v.kind == V_LIST || v.kind == V_TUPLE || v.kind == V_RANGE) {
        if (in_range(i, v.l->n, &at)) *out = v.l->items[at];
        return true;
    }
    if (v.kind != V_STR) return true;
    if (!j_step(vm, v.s->size / 16) || !in_range(i, j_chars(v.s), &at)) return !vm->failed;
    size_t begin = j_char_at(v.s, at), end = begin + 1;
    while (end < v.s->size && (v.s->data[end] & 0xc0) == 0x80) end++;
    return j_slice(vm, v.s, begin, end, out);
}

bool j_getitem(struct vm *vm, struct value v, struct value key, struct value *out) {
    if (v.kind <= V_UNDEFINED) return fail_undefined(vm, v);
    out->kind = V_UNSET;
    if (v.kind == V_DICT) {
        const struct pair *p = j_get(vm, v.d, key);
        if (p) return *out = p->value, true;
    } else if (v_is_int(key) && !item_at(vm, v, v_as_int(key), out)) {
        return false;
    }
    if (vm->failed || out->kind != V_UNSET) return !vm->failed;
    if (key.kind != V_STR) return missing(vm, v, j_c_str(vm, key), strlen(j_c_str(vm, key)), out);
    struct text name = {key.s->data, key.s->size};
    if (!method(vm, v, name, out) || out->kind != V_UNSET) return !vm->failed;
    if (v.kind != V_DICT && member(v, name, out)) return true;
    return missing(vm, v, name.data, name.size, out);
}

static bool is_digits(struct text t) {
    size_t i = 0;
    while (i < t.size && t.data[i] >= '0' && t.data[i] <= '9') i++;
    return t.size && i == t.size && i < 10;
}

bool j_attribute(struct vm *vm, struct value v, struct value path, struct value otherwise, struct value *out) {
    *out = v;
    if (path.kind <= V_NONE) return true;
    if (path.kind != V_STR) {
        if (!j_getitem(vm, v, path, out)) return false;
        if (out->kind == V_UNDEFINED && otherwise.kind > V_NONE) *out = otherwise;
        return true;
    }
    for (size_t at = 0, end; at <= path.s->size; at = end + 1) {
        const char *dot = at < path.s->size ? memchr(path.s->data + at, '.', path.s->size - at) : NULL;
        end = dot ? (size_t)(dot - path.s->data) : path.s->size;
        struct text name = {path.s->data + at, end - at};
        struct value key;
        int64_t i = 0;
        for (size_t k = 0; is_digits(name) && k < name.size; k++) i = i * 10 + name.data[k] - '0';
        if (is_digits(name))
            key = v_int(i);
        else if (!j_slice(vm, path.s, at, end, &key))
            return false;
        if (!j_getitem(vm, *out, key, out)) return false;
        if (out->kind == V_UNDEFINED && otherwise.kind > V_NONE) *out = otherwise;
    }
    return true;
}

// ---- slices

static bool bound(struct vm *vm, struct value v, int64_t n, int64_t low, int64_t high, int64_t otherwise,
                  int64_t *out) {
    *out = otherwise;
    if (v.kind == V_NONE) return true;
    if (!j_want_int(vm, v, "a slice", out)) return false;
    if (*out < 0) *out = *out < -n ? -1 : *out + n;
    if (*out < low) *out = low;
    if (*out > high) *out = high;
    return true;
}

// Start, step and count of a slice of n items: the rules of Python's slice.indices().
static bool bounds(struct vm *vm, const struct value part[3], size_t size, int64_t *start, int64_t *stop, int64_t *step,
                   size_t *count) {
    int64_t n = (int64_t)size;
    *step = 1;
    if (part[2].kind != V_NONE && !j_want_int(vm, part[2], "a slice", step)) return false;
    if (!*step) return j_fail(vm, "the step of a slice must not be 0");
    if (*step > n) *step = n + 1;
    if (*step < -n) *step = -n - 1;
    bool up = *step > 0;
    if (!bound(vm, part[0], n, up ? 0 : -1, up ? n : n - 1, up ? 0 : n - 1, start)) return false;
    if (!bound(vm, part[1], n, up ? 0 : -1, up ? n : n - 1, up ? n : -1, stop)) return false;
    int64_t span = up ? *stop - *start : *start - *stop, stride = up ? *step : -*step;
    *count = span > 0 ? (size_t)((span + stride - 1) / stride) : 0;
    return true;
}

static bool slice_str(struct vm *vm, const struct str *s, int64_t start, int64_t step, size_t n, struct value *out) {
    if (step == 1) {
        size_t begin = j_char_at(s, (size_t)start), end = begin;
        for (; n && end < s->size; n--) do
                end++;
            while (end < s->size && (s->data[end] & 0xc0) == 0x80);
        return j_slice(vm, s, begin, end, out);
    }
    struct list *l;
    struct build b = {.vm = vm};
    if (!j_items(vm, (struct value){.kind = V_STR, .s = (struct str *)s}, &l)) return false;
    for (size_t i = 0; i < n; i++) b_str(&b, l->items[start + (int64_t)i * step].s);
    return b_done(&b, out);
}

static bool slice_range(struct vm *vm, const struct list *l, int64_t start, int64_t stop, int64_t step, size_t n,
                        struct value *out) {
    int64_t v[3];
    bool over = __builtin_mul_overflow(start, l->step, &v[0]) || __builtin_add_overflow(v[0], l->start, &v[0]) ||
                __builtin_mul_overflow(stop, l->step, &v[1]) || __builtin_add_overflow(v[1], l->start, &v[1]) ||
                __builtin_mul_overflow(step, l->step, &v[2]);
    return over ? j_fail(vm, "a range() reaches past 64 bits") : j_range(vm, v[0], v[1], v[2], n, out);
}

bool j_slice_of(struct vm *vm, struct value v, const struct value part[3], struct value *out) {
    int64_t start, stop, step;
    size_t n;
    if (v.kind <= V_UNDEFINED) return fail_undefined(vm, v);
    if (v.kind != V_STR && v.kind != V_LIST && v.kind != V_TUPLE && v.kind != V_RANGE)
        return j_fail(vm, "'%s' cannot be sliced", v_type(v));
    if (!j_length(vm, v, &n) || !bounds(vm, part, n, &start, &stop, &step, &n)) return false;
    if (v.kind == V_STR) return slice_str(vm, v.s, start, step, n, out);
    if (v.kind == V_RANGE) return slice_range(vm, v.l, start, stop, step, n, out);
    if (!j_list(vm, v.kind == V_TUPLE ? V_TUPLE : V_LIST, n, out)) return false;
    for (size_t i = 0; i < n; i++) out->l->items[i] = v.l->items[start + (int64_t)i * step];
    return true;
}
