// map, select, reject and their like; default; attr.
#include "text/jinja/vm.h"

#include <string.h>

static bool f_default(struct vm *vm, struct args *a, struct value *out) {
    *out = a->self;
    if (a->self.kind != V_UNDEFINED && !(v_true(a->v[1]) && !v_true(a->self))) return true;
    *out = a->v[0];
    return a->v[0].kind != V_UNSET || j_str(vm, "", 0, false, out);
}

static bool f_attr(struct vm *vm, struct args *a, struct value *out) {
    struct str *name;
    if (!j_want_str(vm, a->v[0], "attr", &name)) return false;
    if (a->self.kind == V_DICT) // its items are no attributes
        return j_undefined(vm, out, "'dict object' has no attribute '%.*s'", (int)(name->size % 99), name->data);
    return j_getattr(vm, a->self, (struct text){name->data, name->size}, out);
}

static bool name_of(struct vm *vm, struct args *a, size_t index, const char *filter, struct text *name) {
    if (index >= a->n || a->v[index].kind != V_STR) return j_fail(vm, "%s wants the name of a filter or test", filter);
    *name = (struct text){a->v[index].s->data, a->v[index].s->size};
    return true;
}

static bool map_attribute(struct vm *vm, struct args *a, struct list *l, struct value *out) {
    struct value attribute = v_none(), otherwise = v_none();
    for (size_t i = 0; i < a->nkw; i++) {
        if (text_is(a->kw[i].name, "attribute"))
            attribute = a->kw[i].value;
        else if (text_is(a->kw[i].name, "default"))
            otherwise = a->kw[i].value;
        else
            return j_fail(vm, "map knows the arguments attribute and default");
    }
    for (size_t i = 0; i < l->n; i++) {
        struct value *v = &out->l->items[i];
        if (!j_attribute(vm, l->items[i], attribute, otherwise, v)) return false;
    }
    return true;
}

// What is false is walked over as if it were empty, even what is no list.
static bool items(struct vm *vm, struct value v, const char *label, struct list **l, struct value *out) {
    if (!v_true(v) && !j_list(vm, V_LIST, 0, &v)) return false;
    if (!j_items(vm, v, l) || !j_list(vm, V_ITER, (*l)->n, out)) return false;
    out->l->label = label;
    return true;
}

static bool f_map(struct vm *vm, struct args *a, struct value *out) {
    struct list *l;
    struct text name;
    if (!items(vm, a->self, "map", &l, out)) return false;
    if (!l->n) return true;
    if (!a->n && a->nkw) return map_attribute(vm, a, l, out);
    if (!name_of(vm, a, 0, "map", &name)) return false;
    for (size_t i = 0; i < l->n; i++) {
        struct args one = {l->items[i], a->v + 1, a->n - 1, a->kw, a->nkw};
        if (!j_filter(vm, name, &one, &out->l->items[i])) return false;
    }
    return true;
}

static bool pick(struct vm *vm, struct args *a, bool attr, bool keep, struct value *out) {
    struct list *l;
    struct text name = {0};
    if (!items(vm, a->self, "select", &l, out)) return false;
    size_t n = 0, first = attr ? 1 : 0;
    if (l->n && attr && !a->n) return j_fail(vm, "selectattr and rejectattr want the name of an attribute");
    if (l->n && a->n > first && !name_of(vm, a, first, "select", &name)) return false;
    for (size_t i = 0; i < l->n; i++) {
        struct value v = l->items[i], yes;
        if (attr && !j_attribute(vm, v, a->v[0], v_none(), &v)) return false;
        yes = v;
        struct args one = {v, name.data ? a->v + first + 1 : NULL, name.data ? a->n - first - 1 : 0, a->kw, a->nkw};
        if (name.data && !j_test(vm, name, &one, &yes)) return false;
        if (!j_step(vm, 1)) return false;
        if (v_true(yes) == keep) out->l->items[n++] = l->items[i];
    }
    out->l->n = n;
    return true;
}

static bool f_select(struct vm *vm, struct args *a, struct value *out) { return pick(vm, a, false, true, out); }
static bool f_reject(struct vm *vm, struct args *a, struct value *out) { return pick(vm, a, false, false, out); }
static bool f_selectattr(struct vm *vm, struct args *a, struct value *out) { return pick(vm, a, true, true, out); }
static bool f_rejectattr(struct vm *vm, struct args *a, struct value *out) { return pick(vm, a, true, false, out); }

const struct native j_filters_pick[] = {
    {"default", "default_value,boolean", 0, f_default},
    {"d", "default_value,boolean", 0, f_default},
    {"attr", "name", 1, f_attr},
    {"map", NULL, 0, f_map},
    {"select", NULL, 0, f_select},
    {"reject", NULL, 0, f_reject},
    {"selectattr", NULL, 0, f_selectattr},
    {"rejectattr", NULL, 0, f_rejectattr},
    {NULL},
};
