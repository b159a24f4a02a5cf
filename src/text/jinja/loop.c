// for loops and their `loop`.
#include "text/jinja/eval.h"

#include <stdio.h>
#include <string.h>

static bool same(struct text a, const char *b) { return text_is(a, b); }

// The items for which "if" holds.
static bool pick(struct vm *vm, const struct node *n, struct scope *outside, struct list **l) {
    struct value kept;
    if (!j_list(vm, V_LIST, (*l)->n, &kept)) return false;
    kept.l->n = 0;
    for (size_t i = 0; i < (*l)->n; i++) {
        struct value yes;
        if (!j_push_scope(vm, outside) || !j_assign(vm, n->a, (*l)->items[i]) || !j_eval(vm, n->c, &yes)) return false;
        if (v_true(yes)) kept.l->items[kept.l->n++] = (*l)->items[i];
    }
    *l = kept.l;
    return true;
}

// *whole: an iteration came to its end; as in Jinja, one that break or continue cut short does not count.
static enum flow run(struct vm *vm, const struct node *n, struct loop *loop, struct scope *outside, bool *whole) {
    struct value v = {.kind = V_LOOP, .loop = loop};
    for (; loop->at < loop->items->n; loop->at++) {
        if (!j_push_scope(vm, outside) || !j_set(vm, (struct text){"loop", 4}, v)) return FLOW_FAIL;
        if (!j_assign(vm, n->a, loop->items->items[loop->at])) return FLOW_FAIL;
        enum flow flow = j_exec(vm, n->body);
        if (flow == FLOW_FAIL) return flow;
        if (flow == FLOW_BREAK) break;
        *whole = *whole || flow == FLOW_ON;
    }
    return FLOW_ON;
}

enum flow j_exec_for(struct vm *vm, const struct node *n, struct value over, struct scope *outside, size_t depth) {
    struct scope *scope = vm->scope;
    struct loop *loop = j_alloc(vm, sizeof *loop);
    vm->at = n;
    if (!loop || !j_items(vm, over, &loop->items)) return FLOW_FAIL;
    loop->depth = depth;
    loop->node = n;
    loop->outside = outside;
    enum flow flow = FLOW_ON;
    if (n->c && !pick(vm, n, outside, &loop->items)) return FLOW_FAIL;
    bool whole = false;
    flow = run(vm, n, loop, outside, &whole);
    if (flow && !whole && n->other) flow = j_push_scope(vm, outside) ? j_exec(vm, n->other) : FLOW_FAIL;
    vm->scope = scope;
    return flow;
}

bool j_recurse(struct vm *vm, struct loop *l, struct args *a, struct value *out) {
    if (!l->node->flag) return j_fail(vm, "loop() works in a for that is marked 'recursive'");
    if (a->n != 1 || a->nkw) return j_fail(vm, "loop() wants one argument");
    struct build b = {.vm = vm}, *outer = vm->out;
    vm->out = &b;
    enum flow flow = j_exec_for(vm, l->node, a->v[0], l->outside, l->depth + 1);
    vm->out = outer;
    return flow != FLOW_FAIL && b_done(&b, out);
}

static bool neighbour(struct vm *vm, const struct loop *l, size_t at, const char *what, struct value *out) {
    if (at >= l->items->n) return j_undefined(vm, out, "there is no %s item", what);
    *out = l->items->items[at];
    return true;
}

bool j_loop_attr(struct vm *vm, struct loop *l, struct text name, struct value *out) {
    size_t n = l->items->n;
    const struct {
        const char *name;
        struct value value;
    } facts[] = {
        {"index", v_int((int64_t)l->at + 1)},
        {"index0", v_int((int64_t)l->at)},
        {"first", v_bool(l->at == 0)},
        {"last", v_bool(l->at + 1 >= n)},
        {"length", v_int((int64_t)n)},
        {"revindex", v_int((int64_t)n - (int64_t)l->at)},
        {"revindex0", v_int((int64_t)n - (int64_t)l->at - 1)},
        {"depth", v_int((int64_t)l->depth)},
        {"depth0", v_int((int64_t)l->depth - 1)},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        if (same(name, facts[i].name)) return *out = facts[i].value, true;
    if (same(name, "previtem")) return neighbour(vm, l, l->at ? l->at - 1 : n, "previous", out);
    if (same(name, "nextitem")) return neighbour(vm, l, l->at + 1, "next", out);
    return out->kind = V_UNSET, true;
}

static bool m_cycle(struct vm *vm, struct args *a, struct value *out) {
    if (!a->n) return j_fail(vm, "cycle() wants something to cycle through");
    *out = a->v[a->self.loop->at % a->n];
    return true;
}

static bool m_changed(struct vm *vm, struct args *a, struct value *out) {
    struct value now;
    struct loop *l = a->self.loop;
    if (!j_list(vm, V_TUPLE, a->n, &now)) return false;
    if (a->n) memcpy(now.l->items, a->v, a->n * sizeof *a->v);
    *out = v_bool(l->changed.kind == V_UNSET || !j_equal(vm, l->changed, now));
    l->changed = now;
    return !vm->failed;
}

const struct native j_loop_methods[] = {{"cycle", NULL, 0, m_cycle}, {"changed", NULL, 0, m_changed}, {NULL}};

void j_loop_repr(const struct loop *l, char *out, size_t size) {
    snprintf(out, size, "<LoopContext %zu/%zu>", l->at + 1, l->items->n);
}
