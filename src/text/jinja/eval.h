// Walking the tree.
#ifndef TEXT_JINJA_EVAL_H
#define TEXT_JINJA_EVAL_H

#include "text/jinja/ast.h"
#include "text/jinja/vm.h"

struct var {
    struct var *next;
    struct text name;
    struct value value;
};

// Names that were set here; others are looked up outside.
struct scope {
    struct scope *outside;
    struct var *vars;
};

struct macro {
    const struct node *node;
    struct scope *outside;
    bool escapes; // it stands inside {% autoescape true %}
};

struct loop {
    struct list *items;
    size_t at; // index of the item in hand
    size_t depth;
    const struct node *node; // of a recursive loop
    struct scope *outside;
    struct value changed; // what loop.changed() was last called with
};

enum flow { FLOW_FAIL, FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };

bool j_eval(struct vm *vm, const struct node *n, struct value *out);
bool j_eval_args(struct vm *vm, const struct node *list, struct args *a);
enum flow j_exec(struct vm *vm, const struct node *chain);

bool j_push_scope(struct vm *vm, struct scope *outside);
bool j_set(struct vm *vm, struct text name, struct value v);
// Sets a name, a tuple of them, or an attribute of a namespace.
bool j_assign(struct vm *vm, const struct node *target, struct value v);
bool j_lookup(struct vm *vm, struct text name, struct value *out);
// Executes `chain` in a new scope inside `outside` and gives what it prints.
bool j_capture(struct vm *vm, const struct node *chain, struct value *out);

bool j_call_macro(struct vm *vm, struct macro *m, struct args *a, struct value *out);
// Walks a for loop over `over`, the names outside being those of `outside`.
enum flow j_exec_for(struct vm *vm, const struct node *n, struct value over, struct scope *outside, size_t depth);
bool j_recurse(struct vm *vm, struct loop *l, struct args *a, struct value *out); // loop(...)
bool j_loop_attr(struct vm *vm, struct loop *l, struct text name, struct value *out);
void j_loop_repr(const struct loop *l, char *out, size_t size);
struct text j_macro_name(const struct macro *m);

#endif
