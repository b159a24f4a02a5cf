// Statements.
#include "text/jinja/eval.h"

#include <stdio.h>
#include <string.h>

static bool same(struct text a, struct text b) { return a.size == b.size && !memcmp(a.data, b.data, a.size); }

bool j_push_scope(struct vm *vm, struct scope *outside) {
    struct scope *s = j_alloc(vm, sizeof *s);
    if (!s) return false;
    s->outside = outside;
    vm->scope = s;
    return true;
}

bool j_set(struct vm *vm, struct text name, struct value v) {
    struct var *var = vm->scope->vars;
    size_t steps = 0;
    for (; var && !same(var->name, name); var = var->next) steps++;
    if (!j_step(vm, steps / 8)) return false;
    if (!var) {
        if (!(var = j_alloc(vm, sizeof *var))) return false;
        var->name = name;
        var->next = vm->scope->vars;
        vm->scope->vars = var;
    }
    var->value = v;
    return true;
}

bool j_lookup(struct vm *vm, struct text name, struct value *out) {
    size_t steps = 0;
    for (const struct scope *s = vm->scope; s; s = s->outside, steps++)
        for (const struct var *v = s->vars; v; v = v->next, steps++)
            if (same(v->name, name)) return *out = v->value, j_step(vm, steps / 8);
    const struct native *n = j_find_native(j_globals, name);
    if (!n) return j_undefined(vm, out, "'%.*s' is undefined", name.size < 99 ? (int)name.size : 99, name.data);
    *out = (struct value){.kind = V_NATIVE, .native = n};
    return j_step(vm, steps / 8);
}

static bool assign_each(struct vm *vm, const struct node *target, struct value v) {
    struct list *l;
    size_t want = 0, i = 0;
    if (!j_items(vm, v, &l)) return false;
    for (const struct node *t = target->list; t; t = t->next) want++;
    if (want != l->n) return j_fail(vm, "%zu values do not go into %zu names", l->n, want);
    for (const struct node *t = target->list; t; t = t->next)
        if (!j_assign(vm, t, l->items[i++])) return false;
    return true;
}

bool j_assign(struct vm *vm, const struct node *target, struct value v) {
    if (target->kind == N_NAME) return j_set(vm, target->name, v);
    if (target->kind == N_TUPLE) return assign_each(vm, target, v);
    struct value space, key;
    vm->at = target;
    if (!j_lookup(vm, target->name, &space)) return false;
    if (space.kind != V_SPACE) return j_fail(vm, "only attributes of a namespace() can be set");
    if (target->name2.data[0] == '_') return j_fail(vm, "names in a namespace must not start with '_'");
    return j_str(vm, target->name2.data, target->name2.size, false, &key) && j_put(vm, space.d, key, v);
}

bool j_capture(struct vm *vm, const struct node *chain, struct value *out) {
    struct build b = {.vm = vm}, *outer = vm->out;
    struct scope *scope = vm->scope;
    if (!j_push_scope(vm, scope)) return false;
    vm->out = &b;
    enum flow flow = j_exec(vm, chain);
    vm->out = outer;
    vm->scope = scope;
    if (flow == FLOW_FAIL || !b_done(&b, out)) return false;
    out->s->markup = vm->escapes;
    return true;
}

static bool print(struct vm *vm, const struct node *n) {
    for (const struct node *i = n->list; i; i = i->next) {
        struct value v;
        if (!j_eval(vm, i, &v) || (vm->escapes && !j_escape(vm, v, &v))) return false;
        b_value(vm->out, v);
    }
    return !vm->failed;
}

static enum flow exec_if(struct vm *vm, const struct node *n) {
    for (; n; n = n->b) {
        struct value v = v_bool(true);
        if (n->a && !j_eval(vm, n->a, &v)) return FLOW_FAIL;
        if (v_true(v)) return j_exec(vm, n->body);
    }
    return FLOW_ON;
}

// A filter whose subject at the innermost end is what a block printed.
static bool apply_filter(struct vm *vm, const struct node *f, struct value v, struct value *out) {
    struct args a = {.self = v};
    if (vm->depth >= MAX_DEPTH) return j_fail(vm, "a chain of more than %d filters", MAX_DEPTH);
    vm->depth++;
    bool ok = !f->a || apply_filter(vm, f->a, v, &a.self);
    vm->depth--;
    if (!ok) return false;
    if (!j_eval_args(vm, f->list, &a)) return false;
    vm->at = f;
    return j_filter(vm, f->name, &a, out);
}

static bool exec_block(struct vm *vm, const struct node *n) {
    struct value v;
    if (!j_capture(vm, n->body, &v)) return false;
    if (n->b && !apply_filter(vm, n->b, v, &v)) return false;
    if (n->kind == N_SET_BLOCK) return j_assign(vm, n->a, v);
    b_value(vm->out, v);
    return !vm->failed;
}

static enum flow exec_with(struct vm *vm, const struct node *n) {
    struct scope *outside = vm->scope, *inside;
    if (!j_push_scope(vm, outside)) return FLOW_FAIL;
    inside = vm->scope;
    enum flow flow = FLOW_ON;
    for (const struct node *i = n->list; i && flow; i = i->next->next) {
        struct value v;
        vm->scope = outside;
        if (!j_eval(vm, i->next, &v)) flow = FLOW_FAIL;
        vm->scope = inside;
        if (flow && !j_assign(vm, i, v)) flow = FLOW_FAIL;
    }
    if (flow) flow = j_exec(vm, n->body);
    vm->scope = outside;
    return flow;
}

static enum flow exec_autoescape(struct vm *vm, const struct node *n) {
    struct scope *outside = vm->scope;
    bool was = vm->escapes;
    struct value v;
    if (!j_eval(vm, n->a, &v) || !j_push_scope(vm, outside)) return FLOW_FAIL;
    vm->escapes = v_true(v);
    enum flow flow = j_exec(vm, n->body);
    vm->escapes = was;
    vm->scope = outside;
    return flow;
}

static bool define(struct vm *vm, const struct node *n, struct value *out) {
    struct macro *m = j_alloc(vm, sizeof *m);
    if (!m) return false;
    *m = (struct macro){n, vm->scope, vm->escapes};
    *out = (struct value){.kind = V_MACRO, .macro = m};
    return true;
}

static bool exec_call_block(struct vm *vm, const struct node *n) {
    struct value fn, caller, v;
    struct args a = {.self = v_none()};
    if (!define(vm, n->b, &caller) || !j_eval(vm, n->a->a, &fn) || !j_eval_args(vm, n->a->list, &a)) return false;
    struct keyword *kw = j_alloc_array(vm, a.nkw + 1, sizeof *kw);
    if (!kw) return false;
    if (a.nkw) memcpy(kw, a.kw, a.nkw * sizeof *kw);
    kw[a.nkw++] = (struct keyword){{"caller", 6}, false, caller};
    a.kw = kw;
    vm->at = n;
    if (!j_call(vm, fn, &a, &v)) return false;
    b_value(vm->out, v);
    return !vm->failed;
}

static enum flow exec_for(struct vm *vm, const struct node *n) {
    struct value over;
    if (!j_eval(vm, n->b, &over)) return FLOW_FAIL;
    return j_exec_for(vm, n, over, vm->scope, 1);
}

static enum flow exec_one(struct vm *vm, const struct node *n) {
    struct value v;
    switch (n->kind) {
    case N_TEXT: b_str(vm->out, n->value.s); return vm->failed ? FLOW_FAIL : FLOW_ON;
    case N_PRINT: return print(vm, n) ? FLOW_ON : FLOW_FAIL;
    case N_IF: return exec_if(vm, n);
    case N_FOR: return exec_for(vm, n);
    case N_SET: return j_eval(vm, n->b, &v) && j_assign(vm, n->a, v) ? FLOW_ON : FLOW_FAIL;
    case N_SCOPE:
    case N_SET_BLOCK:
    case N_FILTERED: return exec_block(vm, n) ? FLOW_ON : FLOW_FAIL;
    case N_WITH: return exec_with(vm, n);
    case N_AUTOESCAPE: return exec_autoescape(vm, n);
    case N_MACRO: return define(vm, n, &v) && j_set(vm, n->name, v) ? FLOW_ON : FLOW_FAIL;
    case N_CALL_BLOCK: return exec_call_block(vm, n) ? FLOW_ON : FLOW_FAIL;
    case N_BREAK: return FLOW_BREAK;
    case N_CONTINUE: return FLOW_CONTINUE;
    default: return j_fail(vm, "this is no statement"), FLOW_FAIL;
    }
}

enum flow j_exec(struct vm *vm, const struct node *chain) {
    if (vm->depth >= MAX_DEPTH)
        return j_fail(vm, "the template calls itself more than %d levels deep", MAX_DEPTH), FLOW_FAIL;
    vm->depth++;
    enum flow flow = FLOW_ON;
    for (const struct node *n = chain; n && flow == FLOW_ON; n = n->next) {
        vm->at = n;
        flow = j_step(vm, 1) ? exec_one(vm, n) : FLOW_FAIL;
    }
    vm->depth--;
    return flow;
}
