// Expressions.
#include "text/jinja/eval.h"
#include "text/jinja/methods.h"

#include <string.h>

static bool eval_chain(struct vm *vm, const struct node *list, enum kind kind, struct value *out) {
    size_t n = 0;
    for (const struct node *i = list; i; i = i->next) n++;
    if (!j_list(vm, kind, n, out)) return false;
    n = 0;
    for (const struct node *i = list; i; i = i->next)
        if (!j_eval(vm, i, &out->l->items[n++])) return false;
    return true;
}

static bool eval_dict(struct vm *vm, const struct node *n, struct value *out) {
    if (!j_dict(vm, 0, out)) return false;
    for (const struct node *i = n->list; i; i = i->next->next) {
        struct value key, value;
        if (!j_eval(vm, i, &key) || !j_eval(vm, i->next, &value) || !j_hashable(vm, key)) return false;
        if (!j_put(vm, out->d, key, value)) return false;
    }
    return true;
}

static bool eval_concat(struct vm *vm, const struct node *n, struct value *out) {
    static const struct str none = {.data = ""};
    struct value all;
    return eval_chain(vm, n->list, V_LIST, &all) && j_join_safely(vm, &none, all.l, out);
}

static bool compare_one(struct vm *vm, int op, struct value a, struct value b, bool *yes) {
    int order;
    switch (op) {
    case OP_EQ: return *yes = j_equal(vm, a, b), !vm->failed;
    case OP_NE: return *yes = !j_equal(vm, a, b), !vm->failed;
    case OP_IN: return j_contains(vm, a, b, yes);
    case OP_NOT_IN:
        if (!j_contains(vm, a, b, yes)) return false;
        return *yes = !*yes, true;
    case '<': return j_compare(vm, a, b, "<", &order) && (*yes = order < 0, true);
    case OP_LE: return j_compare(vm, a, b, "<=", &order) && (*yes = order <= 0, true);
    case '>': return j_compare(vm, a, b, ">", &order) && (*yes = order > 0, true);
    default: return j_compare(vm, a, b, ">=", &order) && (*yes = order >= 0, true);
    }
}

// a < b < c is a < b and b < c.
static bool eval_compare(struct vm *vm, const struct node *n, struct value *out) {
    struct value a, b;
    bool yes = true;
    if (!j_eval(vm, n->a, &a)) return false;
    for (const struct node *i = n->list; i && yes; i = i->next, a = b) {
        if (!j_eval(vm, i->a, &b)) return false;
        vm->at = n;
        if (!compare_one(vm, i->op, a, b, &yes)) return false;
    }
    *out = v_bool(yes);
    return true;
}

static bool eval_if_else(struct vm *vm, const struct node *n, struct value *out) {
    if (!j_eval(vm, n->b, out)) return false;
    if (v_true(*out)) return j_eval(vm, n->a, out);
    if (n->c) return j_eval(vm, n->c, out);
    return j_undefined(vm, out, "the condition is false and there is no 'else'");
}

static bool eval_slice(struct vm *vm, const struct node *n, struct value *out) {
    struct value v, part[3] = {v_none(), v_none(), v_none()};
    const struct node *nodes[3] = {n->b, n->c, n->d};
    if (!j_eval(vm, n->a, &v)) return false;
    for (int i = 0; i < 3; i++)
        if (nodes[i] && !j_eval(vm, nodes[i], &part[i])) return false;
    vm->at = n;
    return j_slice_of(vm, v, part, out);
}

static bool eval_call(struct vm *vm, const struct node *n, struct value *out) {
    struct value fn;
    struct args a = {.self = v_none()};
    if (!j_eval(vm, n->a, &fn) || !j_eval_args(vm, n->list, &a)) return false;
    vm->at = n;
    return j_call(vm, fn, &a, out);
}

static bool eval_named(struct vm *vm, const struct node *n, struct value *out) {
    struct args a = {.self = v_none()};
    if (!j_eval(vm, n->a, &a.self) || !j_eval_args(vm, n->list, &a)) return false;
    vm->at = n;
    return n->kind == N_FILTER ? j_filter(vm, n->name, &a, out) : j_test(vm, n->name, &a, out);
}

static bool eval_two(struct vm *vm, const struct node *n, struct value *a, struct value *b) {
    bool ok = j_eval(vm, n->a, a) && j_eval(vm, n->b, b);
    vm->at = n;
    return ok;
}

static bool eval_kind(struct vm *vm, const struct node *n, struct value *out) {
    struct value a, b;
    switch (n->kind) {
    case N_CONST: return *out = n->value, true;
    case N_NAME: return j_lookup(vm, n->name, out);
    case N_LIST: return eval_chain(vm, n->list, V_LIST, out);
    case N_TUPLE: return eval_chain(vm, n->list, V_TUPLE, out);
    case N_DICT: return eval_dict(vm, n, out);
    case N_CONCAT: return eval_concat(vm, n, out);
    case N_BINARY: return eval_two(vm, n, &a, &b) && j_binary(vm, n->op, a, b, out);
    case N_UNARY: return j_eval(vm, n->a, &a) && j_unary(vm, n->op, a, out);
    case N_AND: return j_eval(vm, n->a, out) && (!v_true(*out) || j_eval(vm, n->b, out));
    case N_OR: return j_eval(vm, n->a, out) && (v_true(*out) || j_eval(vm, n->b, out));
    case N_NOT: return j_eval(vm, n->a, &a) && (*out = v_bool(!v_true(a)), true);
    case N_COMPARE: return eval_compare(vm, n, out);
    case N_IF_ELSE: return eval_if_else(vm, n, out);
    case N_ATTR: return j_eval(vm, n->a, &a) && (vm->at = n, j_getattr(vm, a, n->name, out));
    case N_ITEM: return eval_two(vm, n, &a, &b) && j_getitem(vm, a, b, out);
    case N_SLICE: return eval_slice(vm, n, out);
    case N_CALL: return eval_call(vm, n, out);
    case N_FILTER:
    case N_TEST: return eval_named(vm, n, out);
    default: return j_fail(vm, "this is no expression");
    }
}

bool j_eval(struct vm *vm, const struct node *n, struct value *out) {
    vm->at = n;
    if (!j_step(vm, 1)) return false;
    if (vm->depth >= MAX_DEPTH) return j_fail(vm, "the template calls itself more than %d levels deep", MAX_DEPTH);
    vm->depth++;
    bool ok = eval_kind(vm, n, out);
    vm->depth--;
    return ok && !vm->failed;
}

// ---- arguments

static bool spread(struct vm *vm, const struct node *n, struct value v, struct args *a, size_t room) {
    if (n->op == '*') {
        struct list *l;
        if (!j_items(vm, v, &l)) return false;
        for (size_t i = 0; i < l->n && a->n < room; i++) a->v[a->n++] = l->items[i];
        return true;
    }
    for (size_t i = 0; i < v.d->n; i++) {
        struct value key = v.d->items[i].key;
        if (key.kind != V_STR) return j_fail(vm, "the names of keyword arguments must be strings");
        a->kw[a->nkw++] = (struct keyword){{key.s->data, key.s->size}, key.s->user, v.d->items[i].value};
    }
    return true;
}

static bool spread_size(struct vm *vm, const struct node *n, struct value v, size_t *values, size_t *keywords) {
    if (n->op == '*') return j_length(vm, v, values);
    if (v.kind != V_DICT) return j_fail(vm, "** wants a dict, not '%s'", v_type(v));
    *keywords = v.d->n;
    return true;
}

static bool add_arg(struct vm *vm, const struct node *n, struct args *a) {
    struct value v;
    size_t values = !n->op && !n->name.size, keywords = n->name.size != 0;
    if (!j_eval(vm, n->a, &v)) return false;
    if (n->op && !spread_size(vm, n, v, &values, &keywords)) return false;
    // Calls have a handful of arguments: each addition makes a new array.
    struct value *all = j_alloc_array(vm, a->n + values, sizeof *all);
    struct keyword *kw = all ? j_alloc_array(vm, a->nkw + keywords, sizeof *kw) : NULL;
    if (!kw) return false;
    if (a->n) memcpy(all, a->v, a->n * sizeof *all);
    if (a->nkw) memcpy(kw, a->kw, a->nkw * sizeof *kw);
    a->v = all;
    a->kw = kw;
    if (n->op) return spread(vm, n, v, a, a->n + values);
    if (n->name.size)
        a->kw[a->nkw++] = (struct keyword){n->name, false, v};
    else
        a->v[a->n++] = v;
    return true;
}

bool j_eval_args(struct vm *vm, const struct node *list, struct args *a) {
    for (const struct node *n = list; n; n = n->next)
        if (!add_arg(vm, n, a)) return false;
    return true;
}
