#include "text/jinja/big.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *v_type(struct value v) {
    static const char *const names[] = {
        [V_UNSET] = "Undefined",  [V_UNDEFINED] = "Undefined",
        [V_NONE] = "NoneType",    [V_BOOL] = "bool",
        [V_INT] = "int",          [V_BIG] = "int",
        [V_FLOAT] = "float",      [V_STR] = "str",
        [V_LIST] = "list",        [V_TUPLE] = "tuple",
        [V_RANGE] = "range",      [V_VIEW] = "dict_view",
        [V_ITER] = "generator",   [V_DICT] = "dict",
        [V_SPACE] = "Namespace",  [V_NATIVE] = "function",
        [V_METHOD] = "method",    [V_MACRO] = "Macro",
        [V_LOOP] = "LoopContext", [V_CYCLER] = "Cycler",
        [V_JOINER] = "Joiner",
    };
    return names[v.kind];
}

bool v_true(struct value v) {
    switch (v.kind) {
    case V_UNSET:
    case V_UNDEFINED:
    case V_NONE: return false;
    case V_BOOL: return v.b;
    case V_INT: return v.i != 0;
    case V_FLOAT: return v.f != 0;
    case V_STR: return v.s->size != 0;
    case V_LIST:
    case V_TUPLE:
    case V_RANGE:
    case V_VIEW: return v.l->n != 0;
    case V_DICT: return v.d->n != 0;
    default: return true;
    }
}

bool j_list(struct vm *vm, enum kind kind, size_t n, struct value *out) {
    struct list *l = j_alloc(vm, sizeof *l);
    if (!l || !(l->items = j_alloc_array(vm, n, sizeof *l->items))) return false;
    l->n = n;
    *out = (struct value){.kind = kind, .l = l};
    return true;
}

bool j_dict(struct vm *vm, size_t room, struct value *out) {
    struct dict *d = j_alloc(vm, sizeof *d);
    if (!d || !(d->items = j_alloc_array(vm, room, sizeof *d->items))) return false;
    d->room = room;
    *out = (struct value){.kind = V_DICT, .d = d};
    return true;
}

const struct pair *j_get(struct vm *vm, const struct dict *d, struct value key) {
    for (size_t i = 0; i < d->n; i++)
        if (j_equal(vm, d->items[i].key, key)) return vm->failed ? NULL : &d->items[i];
    return NULL;
}

const struct pair *j_get_text(const struct dict *d, struct text key) {
    for (size_t i = 0; i < d->n; i++) {
        struct value k = d->items[i].key;
        if (k.kind == V_STR && k.s->size == key.size && !memcmp(k.s->data, key.data, key.size)) return &d->items[i];
    }
    return NULL;
}

bool j_put(struct vm *vm, struct dict *d, struct value key, struct value value) {
    struct pair *there = (struct pair *)j_get(vm, d, key);
    if (vm->failed) return false;
    if (there) return there->value = value, true;
    if (d->n == d->room) {
        size_t room = d->room ? d->room * 2 : 4;
        struct pair *items = j_alloc_array(vm, room, sizeof *items);
        if (!items) return false;
        if (d->n) memcpy(items, d->items, d->n * sizeof *items);
        d->items = items;
        d->room = room;
    }
    d->items[d->n++] = (struct pair){key, value};
    return true;
}

bool j_undefined(struct vm *vm, struct value *out, const char *why, ...) {
    char text[256];
    va_list args;
    va_start(args, why);
    vsnprintf(text, sizeof text, why, args);
    va_end(args);
    struct value s;
    if (!j_str(vm, text, strlen(text), false, &s)) return false;
    *out = (struct value){.kind = V_UNDEFINED, .s = s.s};
    return true;
}

static bool too_deep(struct vm *vm) {
    if (vm->nesting < MAX_NESTING) return false;
    j_fail(vm, "a value is nested more than %d deep", MAX_NESTING);
    return true;
}

static bool equal_lists(struct vm *vm, const struct list *a, const struct list *b) {
    if (a->n != b->n || too_deep(vm)) return false;
    vm->nesting++;
    size_t i = 0;
    while (i < a->n && j_equal(vm, a->items[i], b->items[i])) i++;
    vm->nesting--;
    return i == a->n;
}

static bool equal_dicts(struct vm *vm, const struct dict *a, const struct dict *b) {
    if (a->n != b->n || too_deep(vm)) return false;
    vm->nesting++;
    size_t i = 0;
    for (; i < a->n; i++) {
        const struct pair *p = j_get(vm, b, a->items[i].key);
        if (!p || !j_equal(vm, a->items[i].value, p->value)) break;
    }
    vm->nesting--;
    return i == a->n;
}

bool j_equal(struct vm *vm, struct value a, struct value b) {
    if (!j_step(vm, 1)) return false;
    if (v_is_int(a) && v_is_int(b)) return v_as_int(a) == v_as_int(b);
    if (v_is_number(a) && v_is_number(b)) {
        int order;
        return j_compare(vm, a, b, "==", &order) && !order;
    }
    if (a.kind != b.kind) return false;
    switch (a.kind) {
    case V_UNSET:
    case V_UNDEFINED:
    case V_NONE: return true;
    case V_STR:
        if (a.s->size != b.s->size || !j_step(vm, a.s->size / 16)) return false;
        return !memcmp(a.s->data, b.s->data, a.s->size);
    case V_LIST:
    case V_TUPLE:
    case V_RANGE: return a.l == b.l || equal_lists(vm, a.l, b.l);
    case V_DICT: return a.d == b.d || equal_dicts(vm, a.d, b.d);
    default: return a.l == b.l;
    }
}

static int order_of(bool less, bool more) { return less ? -1 : more; }

static bool compare_lists(struct vm *vm, const struct list *a, const struct list *b, const char *op, int *order) {
    if (too_deep(vm)) return false;
    size_t i = 0;
    while (i < a->n && i < b->n && j_equal(vm, a->items[i], b->items[i])) i++;
    if (vm->failed) return false;
    if (i == a->n || i == b->n) return *order = order_of(a->n<b->n, a->n> b->n), true;
    vm->nesting++;
    bool ok = j_compare(vm, a->items[i], b->items[i], op, order);
    vm->nesting--;
    return ok;
}

// Integers and floats are compared as they are, not rounded to one another.
static bool compare_numbers(struct value a, struct value b, const char *op, int *order) {
    if ((a.kind == V_FLOAT && a.f != a.f) || (b.kind == V_FLOAT && b.f != b.f))
        *order = *op == '<' ? 1 : -1; // nothing is true of NaN
    else if (a.kind == V_FLOAT && b.kind == V_FLOAT)
        *order = order_of(a.f<b.f, a.f> b.f);
    else if (a.kind == V_FLOAT)
        *order = -j_whole_compare_float(b, a.f);
    else
        *order = b.kind == V_FLOAT ? j_whole_compare_float(a, b.f) : j_whole_compare(a, b);
    return true;
}

bool j_compare(struct vm *vm, struct value a, struct value b, const char *op, int *order) {
    if (!j_step(vm, 1)) return false;
    if (v_is_int(a) && v_is_int(b)) {
        int64_t x = v_as_int(a), y = v_as_int(b);
        return *order = order_of(x<y, x> y), true;
    }
    if (v_is_number(a) && v_is_number(b)) return compare_numbers(a, b, op, order);
    if (a.kind == V_STR && b.kind == V_STR) {
        size_t n = a.s->size < b.s->size ? a.s->size : b.s->size;
        int c = n ? memcmp(a.s->data, b.s->data, n) : 0;
        *order = c ? c : order_of(a.s->size<b.s->size, a.s->size> b.s->size);
        return j_step(vm, n / 16);
    }
    if (a.kind == b.kind && (a.kind == V_LIST || a.kind == V_TUPLE)) return compare_lists(vm, a.l, b.l, op, order);
    struct value u = a.kind == V_UNDEFINED ? a : b;
    if (u.kind == V_UNDEFINED) return j_fail(vm, "%s", u.s ? u.s->data : "a value is undefined");
    return j_fail(vm, "'%s' is not supported between '%s' and '%s'", op, v_type(a), v_type(b));
}

bool j_hashable(struct vm *vm, struct value v) {
    if (v.kind == V_LIST || v.kind == V_DICT || v.kind == V_VIEW)
        return j_fail(vm, "'%s' cannot be the key of a dict", v_type(v));
    return true;
}

bool j_contains(struct vm *vm, struct value item, struct value in, bool *yes) {
    if (in.kind == V_STR) {
        if (item.kind != V_STR) return j_fail(vm, "'in' wants a string on its left, not '%s'", v_type(item));
        *yes = j_find(in.s, item.s, 0) != SIZE_MAX;
        return j_step(vm, in.s->size / 16);
    }
    if (in.kind == V_DICT) {
        if (!j_hashable(vm, item)) return false;
        *yes = j_get(vm, in.d, item) != NULL;
        return !vm->failed;
    }
    struct list *l;
    if (!j_items(vm, in, &l)) return false;
    *yes = false;
    for (size_t i = 0; i < l->n && !*yes; i++) *yes = j_equal(vm, l->items[i], item);
    return !vm->failed;
}

static bool chars_of(struct vm *vm, const struct str *s, struct list **out) {
    struct value v;
    if (!j_list(vm, V_LIST, j_chars(s), &v)) return false;
    for (size_t i = 0, at = 0; i < v.l->n; i++) {
        size_t end = at + 1;
        while (end < s->size && (s->data[end] & 0xc0) == 0x80) end++;
        if (!j_slice(vm, s, at, end, &v.l->items[i])) return false;
        v.l->items[i].s->markup = false;
        at = end;
    }
    *out = v.l;
    return true;
}

bool j_items(struct vm *vm, struct value v, struct list **out) {
    struct value list;
    if (v_is_list(v) && !(v.kind == V_ITER && v.l->spent)) {
        *out = v.l;
        if (v.kind == V_ITER) v.l->spent = true;
        return j_step(vm, v.l->n / 16);
    }
    if (v.kind == V_STR) return chars_of(vm, v.s, out);
    if (v.kind == V_DICT || v.kind == V_UNDEFINED || v.kind == V_ITER) {
        if (!j_list(vm, V_LIST, v.kind == V_DICT ? v.d->n : 0, &list)) return false;
        for (size_t i = 0; i < list.l->n; i++) list.l->items[i] = v.d->items[i].key;
        *out = list.l;
        return true;
    }
    return j_fail(vm, "'%s' cannot be walked over", v_type(v));
}

bool j_is_iterable(struct value v) {
    return v_is_list(v) || v.kind == V_STR || v.kind == V_DICT || v.kind == V_UNDEFINED || v.kind == V_LOOP;
}

bool j_length(struct vm *vm, struct value v, size_t *n) {
    *n = 0;
    if (v.kind == V_UNDEFINED) return true;
    if (v.kind == V_STR) return *n = j_chars(v.s), j_step(vm, v.s->size / 16);
    if (v.kind == V_DICT) return *n = v.d->n, true;
    if (v_is_list(v) && v.kind != V_ITER) return *n = v.l->n, true;
    return j_fail(vm, "'%s' has no length", v_type(v));
}

bool j_want_str(struct vm *vm, struct value v, const char *what, struct str **out) {
    if (v.kind != V_STR) return j_fail(vm, "%s wants a string, not '%s'", what, v_type(v));
    *out = v.s;
    return true;
}

bool j_want_int(struct vm *vm, struct value v, const char *what, int64_t *out) {
    if (v.kind == V_BIG) return j_fail(vm, "%s wants an integer of 64 bits", what);
    if (!v_is_int(v)) return j_fail(vm, "%s wants an integer, not '%s'", what, v_type(v));
    *out = v_as_int(v);
    return true;
}
