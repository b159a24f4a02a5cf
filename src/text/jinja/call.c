// Calls: sorting arguments into parameters, macros, and the tables of filters and tests.
#include "text/jinja/eval.h"

#include <string.h>

enum { MAX_PARAMS = 8 };

const struct native *j_find_native(const struct native *table, struct text name) {
    for (; table->name; table++)
        if (text_is(name, table->name)) return table;
    return NULL;
}

static struct text next_param(const char **params) {
    const char *begin = *params, *end = strchrnul(begin, ',');
    *params = *end ? end + 1 : end;
    return (struct text){begin, (size_t)(end - begin)};
}

static bool same(struct text a, struct text b) { return a.size == b.size && !memcmp(a.data, b.data, a.size); }

static bool bind_keywords(struct vm *vm, const struct native *n, struct args *a, struct value *bound) {
    for (size_t k = 0; k < a->nkw; k++) {
        const char *params = n->params;
        size_t i = 0;
        while (*params && !same(next_param(&params), a->kw[k].name)) i++;
        const char *p = n->params;
        struct text last = {0};
        for (size_t j = 0; j <= i && *p; j++) last = next_param(&p);
        int size = a->kw[k].name.size < 64 ? (int)a->kw[k].name.size : 64;
        if (!same(last, a->kw[k].name))
            return j_fail(vm, "%s() has no argument '%.*s'", n->name, size, a->kw[k].name.data);
        if (bound[i].kind != V_UNSET)
            return j_fail(vm, "%s() has two values for '%.*s'", n->name, size, a->kw[k].name.data);
        bound[i] = a->kw[k].value;
    }
    return true;
}

bool j_call_native(struct vm *vm, const struct native *n, struct args *a, struct value *out) {
    if (!n->params) return n->fn(vm, a, out);
    struct value bound[MAX_PARAMS] = {0};
    size_t count = 0;
    for (const char *p = n->params; *p; count++) next_param(&p);
    if (a->n > count) return j_fail(vm, "%s() takes %zu arguments, not %zu", n->name, count, a->n);
    for (size_t i = 0; i < a->n; i++) bound[i] = a->v[i];
    if (!bind_keywords(vm, n, a, bound)) return false;
    const char *p = n->params;
    for (int i = 0; i < n->required; i++) {
        struct text name = next_param(&p);
        if (bound[i].kind == V_UNSET) return j_fail(vm, "%s() wants '%.*s'", n->name, (int)name.size, name.data);
    }
    struct args sorted = {.self = a->self, .v = bound, .n = count};
    return n->fn(vm, &sorted, out);
}

// ---- macros

struct text j_macro_name(const struct macro *m) {
    return m->node->name;
}

static const struct keyword *find_keyword(const struct args *a, struct text name) {
    for (size_t i = 0; i < a->nkw; i++)
        if (same(a->kw[i].name, name)) return &a->kw[i];
    return NULL;
}

static bool bind_params(struct vm *vm, const struct node *n, const struct args *a, size_t *count) {
    *count = 0;
    for (const struct node *p = n->list; p; p = p->next, ++*count) {
        const struct keyword *kw = find_keyword(a, p->name);
        struct value v;
        if (!j_step(vm, a->nkw / 8)) return false;
        if (*count < a->n && kw)
            return j_fail(vm, "the macro has two values for '%.*s'", (int)(p->name.size % 99), p->name.data);
        if (*count < a->n)
            v = a->v[*count];
        else if (kw)
            v = kw->value;
        else if (p->a ? !j_eval(vm, p->a, &v)
                      : !j_undefined(vm, &v, "parameter '%.*s' was not provided", (int)(p->name.size % 99),
                                     p->name.data))
            return false;
        if (!j_set(vm, p->name, v)) return false;
    }
    return true;
}

static bool is_param(const struct node *n, struct text name) {
    for (const struct node *p = n->list; p; p = p->next)
        if (same(p->name, name)) return true;
    return false;
}

// Arguments without a parameter: into `varargs`, `kwargs` and `caller` if the macro looks at them.
static bool bind_rest(struct vm *vm, const struct node *n, const struct args *a, size_t count) {
    static const struct text caller = {"caller", 6};
    int size = n->name.size < 64 ? (int)n->name.size : 64;
    struct value rest, v;
    size_t extra = a->n > count ? a->n - count : 0;
    if (extra && !(n->uses & USES_VARARGS))
        return j_fail(vm, "macro '%.*s' takes not more than %zu arguments", size, n->name.data, count);
    if (!j_list(vm, V_TUPLE, extra, &rest) || !j_dict(vm, 0, &v)) return false;
    if (extra) memcpy(rest.l->items, a->v + count, extra * sizeof *a->v);
    for (size_t i = 0; i < a->nkw; i++) {
        struct text name = a->kw[i].name;
        struct value key;
        if (!j_step(vm, count / 8)) return false;
        if (is_param(n, name) || (same(name, caller) && n->uses & USES_CALLER)) continue;
        if (!(n->uses & USES_KWARGS))
            return j_fail(vm, "macro '%.*s' takes no keyword argument '%.*s'", size, n->name.data,
                          name.size < 64 ? (int)name.size : 64, name.data);
        if (!j_str(vm, name.data, name.size, a->kw[i].user, &key) || !j_put(vm, v.d, key, a->kw[i].value)) return false;
    }
    if (n->uses & USES_VARARGS && !j_set(vm, (struct text){"varargs", 7}, rest)) return false;
    if (n->uses & USES_KWARGS && !j_set(vm, (struct text){"kwargs", 6}, v)) return false;
    if (!(n->uses & USES_CALLER) || is_param(n, caller)) return true;
    const struct keyword *kw = find_keyword(a, caller);
    if (!kw && !j_undefined(vm, &v, "no caller defined")) return false;
    return j_set(vm, caller, kw ? kw->value : v);
}

bool j_call_macro(struct vm *vm, struct macro *m, struct args *a, struct value *out) {
    struct scope *scope = vm->scope;
    bool escapes = vm->escapes;
    size_t count;
    vm->escapes = m->escapes;
    bool ok = j_push_scope(vm, m->outside) && bind_params(vm, m->node, a, &count) && bind_rest(vm, m->node, a, count) &&
              j_capture(vm, m->node->body, out);
    vm->scope = scope;
    vm->escapes = escapes;
    if (ok) out->s->markup = escapes;
    return ok;
}

bool j_call(struct vm *vm, struct value fn, struct args *a, struct value *out) {
    switch (fn.kind) {
    case V_NATIVE: return j_call_native(vm, fn.native, a, out);
    case V_METHOD: a->self = fn.method->self; return j_call_native(vm, fn.method->native, a, out);
    case V_MACRO: return j_call_macro(vm, fn.macro, a, out);
    case V_LOOP: return j_recurse(vm, fn.loop, a, out);
    case V_CYCLER:
        a->self = fn;
        return j_call_native(vm, j_find_native(j_cycler_methods, (struct text){"next", 4}), a, out);
    case V_JOINER:
        if (fn.cycler->used) return *out = fn.cycler->separator, true;
        fn.cycler->used = true;
        return j_str(vm, "", 0, false, out);
    case V_UNDEFINED: return j_fail(vm, "%s", fn.s ? fn.s->data : "what is called is undefined");
    default: return j_fail(vm, "'%s' cannot be called", v_type(fn));
    }
}

bool j_filter(struct vm *vm, struct text name, struct args *a, struct value *out) {
    static const struct native *const tables[] = {j_filters_text, j_filters_list, j_filters_pick, j_filters_number};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const struct native *n = j_find_native(tables[i], name);
        if (n) return j_call_native(vm, n, a, out);
    }
    return j_fail(vm, "there is no filter '%.*s'", name.size < 99 ? (int)name.size : 99, name.data);
}

bool j_test(struct vm *vm, struct text name, struct args *a, struct value *out) {
    const struct native *n = j_find_native(j_tests, name);
    if (n) return j_call_native(vm, n, a, out);
    return j_fail(vm, "there is no test '%.*s'", name.size < 99 ? (int)name.size : 99, name.data);
}
