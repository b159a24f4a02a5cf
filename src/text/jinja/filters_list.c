// Filters that order, cut and count lists.
#include "text/jinja/sort.h"

#include <string.h>

static bool iter(struct vm *vm, const char *label, size_t n, struct value *out) {
    if (!j_list(vm, V_ITER, n, out)) return false;
    out->l->label = label;
    return true;
}

static bool f_length(struct vm *vm, struct args *a, struct value *out) {
    size_t n;
    if (!j_length(vm, a->self, &n)) return false;
    *out = v_int((int64_t)n);
    return true;
}

static bool end_of(struct vm *vm, struct args *a, bool last, struct value *out) {
    struct list *l;
    if (!j_items(vm, a->self, &l)) return false;
    if (!l->n) return j_undefined(vm, out, "there is no %s item: the list is empty", last ? "last" : "first");
    *out = l->items[last ? l->n - 1 : 0];
    return true;
}

static bool f_first(struct vm *vm, struct args *a, struct value *out) { return end_of(vm, a, false, out); }
static bool f_last(struct vm *vm, struct args *a, struct value *out) { return end_of(vm, a, true, out); }

static bool copy(struct vm *vm, struct value from, enum kind kind, struct value *out) {
    struct list *l;
    if (!j_items(vm, from, &l) || !j_list(vm, kind, l->n, out)) return false;
    if (l->n) memcpy(out->l->items, l->items, l->n * sizeof *l->items);
    return true;
}

static bool f_list(struct vm *vm, struct args *a, struct value *out) { return copy(vm, a->self, V_LIST, out); }

static bool f_items(struct vm *vm, struct args *a, struct value *out) {
    struct value v;
    const struct native *items = j_find_native(j_dict_methods, (struct text){"items", 5});
    if (a->self.kind == V_UNDEFINED) return iter(vm, "do_items", 0, out);
    if (a->self.kind != V_DICT) return j_fail(vm, "items wants a dict, not '%s'", v_type(a->self));
    if (!items->fn(vm, a, &v) || !copy(vm, v, V_ITER, out)) return false;
    out->l->label = "do_items";
    return true;
}

static bool f_reverse(struct vm *vm, struct args *a, struct value *out) {
    const struct value back[3] = {v_none(), v_none(), v_int(-1)};
    if (a->self.kind == V_STR) return j_slice_of(vm, a->self, back, out);
    struct value v;
    if (!copy(vm, a->self, V_LIST, &v) || !iter(vm, "reversed", v.l->n, out)) return false;
    for (size_t i = 0; i < v.l->n; i++) out->l->items[i] = v.l->items[v.l->n - 1 - i];
    return true;
}

static bool f_sort(struct vm *vm, struct args *a, struct value *out) {
    return j_sort(vm, a->self, a->v[2], v_true(a->v[1]), v_true(a->v[0]), out);
}

static bool f_dictsort(struct vm *vm, struct args *a, struct value *out) {
    struct value pairs, by = v_int(0);
    struct args none = {.self = a->self};
    if (a->self.kind != V_DICT) return j_fail(vm, "dictsort wants a dict, not '%s'", v_type(a->self));
    if (a->v[1].kind == V_STR) {
        struct text name = {a->v[1].s->data, a->v[1].s->size};
        if (text_is(name, "value"))
            by = v_int(1);
        else if (!text_is(name, "key"))
            return j_fail(vm, "dictsort goes by 'key' or by 'value'");
    }
    return j_find_native(j_dict_methods, (struct text){"items", 5})->fn(vm, &none, &pairs) &&
           j_sort_default(vm, pairs, by, v_none(), v_true(a->v[0]), v_true(a->v[2]), out);
}

static bool f_unique(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    struct value keys;
    if (!j_items(vm, a->self, &l) || !iter(vm, "unique", l->n, out) || !j_list(vm, V_LIST, l->n, &keys)) return false;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct value key;
        if (!j_sort_key(vm, l->items[i], a->v[1], v_true(a->v[0]), &key) || !j_hashable(vm, key)) return false;
        size_t k = 0;
        while (k < n && !j_equal(vm, keys.l->items[k], key)) k++;
        if (vm->failed) return false;
        if (k < n) continue;
        keys.l->items[n] = key;
        out->l->items[n++] = l->items[i];
    }
    out->l->n = n;
    return true;
}

static bool extreme(struct vm *vm, struct args *a, bool max, struct value *out) {
    struct list *l;
    struct value best, key;
    if (!j_items(vm, a->self, &l)) return false;
    if (!l->n) return j_undefined(vm, out, "there is no item: the list is empty");
    for (size_t i = 0; i < l->n; i++) {
        int order = -1;
        if (!j_sort_key(vm, l->items[i], a->v[1], v_true(a->v[0]), &key)) return false;
        if (i && !(max ? j_compare(vm, best, key, "<", &order) : j_compare(vm, key, best, "<", &order))) return false;
        if (order >= 0) continue;
        best = key;
        *out = l->items[i];
    }
    return true;
}

static bool f_min(struct vm *vm, struct args *a, struct value *out) { return extreme(vm, a, false, out); }
static bool f_max(struct vm *vm, struct args *a, struct value *out) { return extreme(vm, a, true, out); }

static bool f_sum(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    if (!j_items(vm, a->self, &l)) return false;
    *out = a->v[1].kind == V_UNSET ? v_int(0) : a->v[1];
    if (out->kind == V_STR) return j_fail(vm, "sum does not add strings; use join");
    for (size_t i = 0; i < l->n; i++) {
        struct value v = l->items[i];
        if (a->v[0].kind > V_NONE && !j_attribute(vm, v, a->v[0], v_none(), &v)) return false;
        if (!j_binary(vm, '+', *out, v, out)) return false;
    }
    return true;
}

static bool take(struct vm *vm, const struct list *l, size_t begin, size_t n, size_t fill, struct value with,
                 struct value *out) {
    if (!j_list(vm, V_LIST, n + fill, out)) return false;
    if (n) memcpy(out->l->items, l->items + begin, n * sizeof *l->items);
    for (size_t i = n; i < n + fill; i++) out->l->items[i] = with;
    return true;
}

static bool f_batch(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    int64_t size;
    if (!j_want_int(vm, a->v[0], "batch", &size) || !j_items(vm, a->self, &l)) return false;
    if (size < 1 || size > MAX_RANGE) return j_fail(vm, "batch wants 1 to %d items", MAX_RANGE);
    size_t each = (size_t)size, n = (l->n + each - 1) / each;
    if (!iter(vm, "batch", n, out)) return false;
    for (size_t i = 0; i < n; i++) {
        size_t have = l->n - i * each < each ? l->n - i * each : each;
        size_t fill = a->v[1].kind > V_NONE ? each - have : 0;
        if (!take(vm, l, i * each, have, fill, a->v[1], &out->l->items[i])) return false;
    }
    return true;
}

static bool f_slice(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    int64_t slices;
    if (!j_want_int(vm, a->v[0], "slice", &slices) || !j_items(vm, a->self, &l)) return false;
    if (slices < 1 || slices > MAX_RANGE) return j_fail(vm, "slice wants 1 to %d slices", MAX_RANGE);
    size_t n = (size_t)slices, at = 0;
    if (!iter(vm, "slice", n, out)) return false;
    for (size_t i = 0; i < n; i++) {
        bool extra = i < l->n % n;
        size_t have = l->n / n + extra;
        if (!take(vm, l, at, have, a->v[1].kind > V_NONE && !extra, a->v[1], &out->l->items[i])) return false;
        at += have;
    }
    return true;
}

static bool group(struct vm *vm, struct value key, const struct list *l, size_t begin, size_t end, struct value *out) {
    struct value items;
    if (!take(vm, l, begin, end - begin, 0, v_none(), &items) || !j_list(vm, V_TUPLE, 2, out)) return false;
    out->l->items[0] = key;
    out->l->items[1] = items;
    out->l->label = "group";
    return true;
}

static bool f_groupby(struct vm *vm, struct args *a, struct value *out) {
    struct value sorted, key, next, real;
    bool exact = v_true(a->v[2]);
    if (!j_sort_default(vm, a->self, a->v[0], a->v[1], exact, false, &sorted)) return false;
    const struct list *l = sorted.l;
    if (!j_list(vm, V_LIST, l->n, out)) return false;
    size_t n = 0;
    for (size_t begin = 0, end; begin < l->n; begin = end) {
        if (!j_sort_key_default(vm, l->items[begin], a->v[0], a->v[1], exact, &key)) return false;
        for (end = begin + 1; end < l->n; end++) {
            if (!j_sort_key_default(vm, l->items[end], a->v[0], a->v[1], exact, &next)) return false;
            if (!j_equal(vm, key, next)) break;
        }
        if (!j_sort_key_default(vm, l->items[begin], a->v[0], a->v[1], true, &real)) return false;
        if (!group(vm, real, l, begin, end, &out->l->items[n++])) return false;
    }
    out->l->n = n;
    return true;
}

const struct native j_filters_list[] = {
    {"length", "", 0, f_length},
    {"count", "", 0, f_length},
    {"first", "", 0, f_first},
    {"last", "", 0, f_last},
    {"list", "", 0, f_list},
    {"items", "", 0, f_items},
    {"reverse", "", 0, f_reverse},
    {"sort", "reverse,case_sensitive,attribute", 0, f_sort},
    {"dictsort", "case_sensitive,by,reverse", 0, f_dictsort},
    {"unique", "case_sensitive,attribute", 0, f_unique},
    {"min", "case_sensitive,attribute", 0, f_min},
    {"max", "case_sensitive,attribute", 0, f_max},
    {"sum", "attribute,start", 0, f_sum},
    {"batch", "linecount,fill_with", 1, f_batch},
    {"slice", "slices,fill_with", 1, f_slice},
    {"groupby", "attribute,default,case_sensitive", 1, f_groupby},
    {NULL},
};
