// Expressions, by recursive descent in the order of Jinja's precedence: if-else, or, and, not, comparison, + -, ~,
// * / // %, **, sign, then postfix, filters and tests.
#include "text/jinja/parser.h"

#include <string.h>

static struct node *binary(struct parser *p, enum node_kind kind, struct node *a, struct node *b) {
    struct node *n = a && b ? p_node(p, kind) : NULL;
    if (!n) return NULL;
    n->at = a->at;
    n->a = a;
    n->b = b;
    return n;
}

static struct node *named(struct parser *p, enum node_kind kind, struct node *a) {
    struct node *n = p_node(p, kind);
    if (!n || !p_name(p, &n->name)) return NULL;
    n->a = a;
    return n;
}

struct node *p_expression(struct parser *p) {
    if (!p_enter(p)) return NULL;
    struct node *a = p_or(p);
    while (a && p_skip_name(p, "if")) {
        struct node *n = binary(p, N_IF_ELSE, a, p_or(p));
        if (n && p_skip_name(p, "else") && !(n->c = p_expression(p))) return NULL;
        a = n;
    }
    p->depth--;
    return a;
}

static struct node *compare(struct parser *p);

static struct node * not(struct parser * p) {
    if (!p_is_name(p, "not")) return compare(p);
    struct node *n = p_node(p, N_NOT);
    p->t++;
    if (!n || !p_enter(p) || !(n->a = not(p))) return NULL;
    p->depth--;
    return n;
}

static struct node * and (struct parser * p) {
    struct node *a = not(p);
    while (a && p_skip_name(p, "and")) a = binary(p, N_AND, a, not(p));
    return a;
}

struct node *p_or(struct parser *p) {
    struct node *a = and(p);
    while (a && p_skip_name(p, "or")) a = binary(p, N_OR, a, and(p));
    return a;
}

static struct node *unary(struct parser *p, bool filters);

static struct node *power(struct parser *p) {
    struct node *a = unary(p, true);
    while (a && p_is_op(p, OP_POW)) {
        p->t++;
        if ((a = binary(p, N_BINARY, a, unary(p, true)))) a->op = OP_POW;
    }
    return a;
}

static struct node *product(struct parser *p) {
    struct node *a = power(p);
    while (a && p->t->kind == T_OP && (p->t->op == OP_FLOORDIV || strchr("*/%", p->t->op)) && p->t->op < 256) {
        int op = p->t++->op;
        if ((a = binary(p, N_BINARY, a, power(p)))) a->op = op;
    }
    return a;
}

static struct node *concat(struct parser *p) {
    struct node *a = product(p);
    if (!a || !p_is_op(p, '~')) return a;
    struct node *n = p_node(p, N_CONCAT), *last = a;
    if (!n) return NULL;
    n->list = a;
    while (p_skip_op(p, '~')) {
        if (!(last->next = product(p))) return NULL;
        last = last->next;
    }
    return n;
}

static struct node *sum(struct parser *p) {
    struct node *a = concat(p);
    while (a && (p_is_op(p, '+') || p_is_op(p, '-'))) {
        int op = p->t++->op;
        if ((a = binary(p, N_BINARY, a, concat(p)))) a->op = op;
    }
    return a;
}

// The comparison operator in hand, taken; 0 if there is none.
static int comparison(struct parser *p) {
    static const int ops[] = {OP_EQ, OP_NE, '<', OP_LE, '>', OP_GE};
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        if (p_skip_op(p, ops[i])) return ops[i];
    if (p_skip_name(p, "in")) return OP_IN;
    if (p_is_name(p, "not") && p->t[1].kind == T_NAME && text_is(p->t[1].text, "in")) return p->t += 2, OP_NOT_IN;
    return 0;
}

static struct node *compare(struct parser *p) {
    struct node *a = sum(p), *all = NULL, **last = NULL;
    for (int op; a && (op = comparison(p));) {
        struct node *o = p_node(p, N_OPERAND);
        if (!o || (!all && !(all = p_node(p, N_COMPARE))) || !(o->a = sum(p))) return NULL;
        o->op = op;
        if (!last) last = &all->list;
        *last = o;
        last = &o->next;
    }
    if (!a || !all) return a;
    all->a = a;
    all->at = a->at;
    return all;
}

static struct node *brackets(struct parser *p, enum node_kind kind, int close) {
    struct node *n = p_node(p, kind), **last = n ? &n->list : NULL;
    p->t++;
    while (n && !p_is_op(p, close)) {
        if (n->list && (!p_expect_op(p, ',') || p_is_op(p, close))) break;
        if (!(*last = p_expression(p))) return NULL;
        last = &(*last)->next;
        if (kind != N_DICT) continue;
        if (!p_expect_op(p, ':') || !(*last = p_expression(p))) return NULL;
        last = &(*last)->next;
    }
    return n && p_expect_op(p, close) ? n : NULL;
}

static struct node *parentheses(struct parser *p) {
    p->t++;
    struct node *n = p_is_op(p, ')') ? p_node(p, N_TUPLE) : p_tuple(p, true);
    return n && p_expect_op(p, ')') ? n : NULL;
}

// "a" "b" is one string.
static struct node *constant(struct parser *p) {
    struct node *n = p_node(p, N_CONST);
    if (!n) return NULL;
    n->value = p->t++->value;
    while (n->value.kind == V_STR && p->t->kind == T_CONST && p->t->value.kind == V_STR) {
        struct str *a = n->value.s, *b = p->t++->value.s, *s = heap_alloc(p->s->heap, sizeof *s);
        char *data = heap_alloc(p->s->heap, a->size + b->size);
        if (!s || !data) return fail_null(p->s->e, GYR_NO_MEMORY, "%s: out of memory", p->s->where);
        memcpy(data, a->data, a->size);
        memcpy(data + a->size, b->data, b->size);
        *s = (struct str){.data = data, .size = a->size + b->size};
        n->value.s = s;
    }
    return n;
}

static struct node *name(struct parser *p) {
    static const struct {
        const char *name;
        struct value value;
    } constants[] = {{"true", {.kind = V_BOOL, .b = true}},
                     {"True", {.kind = V_BOOL, .b = true}},
                     {"false", {.kind = V_BOOL}},
                     {"False", {.kind = V_BOOL}},
                     {"none", {.kind = V_NONE}},
                     {"None", {.kind = V_NONE}}};
    static const char *const special[] = {"varargs", "kwargs", "caller"};
    struct node *n = named(p, N_NAME, NULL);
    if (!n) return NULL;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++)
        if (text_is(n->name, constants[i].name)) {
            n->kind = N_CONST;
            n->value = constants[i].value;
        }
    for (unsigned i = 0; i < 3; i++)
        if (text_is(n->name, special[i])) p->uses |= 1u << i;
    return n;
}

static struct node *primary(struct parser *p) {
    char text[64];
    if (p->t->kind == T_NAME) return name(p);
    if (p->t->kind == T_CONST) return constant(p);
    if (p_is_op(p, '(')) return parentheses(p);
    if (p_is_op(p, '[')) return brackets(p, N_LIST, ']');
    if (p_is_op(p, '{')) return brackets(p, N_DICT, '}');
    p_fail(p, "an expression is missing before %s", p_describe(p, text));
    return NULL;
}

static struct node *argument(struct parser *p, bool *keywords) {
    struct node *n = p_node(p, N_ARG);
    if (!n) return NULL;
    if (p_is_op(p, '*') || p_is_op(p, OP_POW)) {
        n->op = p->t++->op;
        if (n->op == OP_POW) *keywords = true;
    } else if (p->t->kind == T_NAME && p->t[1].kind == T_OP && p->t[1].op == '=') {
        n->name = p->t->text;
        p->t += 2;
        *keywords = true;
    } else if (*keywords) {
        p_fail(p, "an argument without a name follows one with a name");
        return NULL;
    }
    return (n->a = p_expression(p)) ? n : NULL;
}

static bool arguments(struct parser *p, struct node **last) {
    bool keywords = false, first = true;
    if (!p_expect_op(p, '(')) return false;
    for (; !p_is_op(p, ')'); first = false) {
        if (!first && !p_expect_op(p, ',')) return false;
        if (p_is_op(p, ')')) break;
        if (!(*last = argument(p, &keywords))) return false;
        last = &(*last)->next;
    }
    return p_expect_op(p, ')');
}

static struct node *call(struct parser *p, struct node *a) {
    struct node *n = p_node(p, N_CALL);
    if (!n || !arguments(p, &n->list)) return NULL;
    n->a = a;
    n->at = a->at;
    return n;
}

static bool slice_part(struct parser *p, struct node **out) {
    if (p_is_op(p, ':') || p_is_op(p, ']')) return true;
    return (*out = p_expression(p)) != NULL;
}

static struct node *subscript(struct parser *p, struct node *a) {
    struct node *n = p_node(p, N_ITEM);
    p->t++;
    if (!n || !slice_part(p, &n->b)) return NULL;
    n->a = a;
    if (p_skip_op(p, ':')) {
        n->kind = N_SLICE;
        if (!slice_part(p, &n->c) || (p_skip_op(p, ':') && !slice_part(p, &n->d))) return NULL;
    } else if (!n->b) {
        p_fail(p, "the index is missing");
        return NULL;
    }
    return p_expect_op(p, ']') ? n : NULL;
}

static struct node *dotted(struct parser *p, struct node *a) {
    p->t++;
    if (p->t->kind != T_CONST || p->t->value.kind != V_INT) return named(p, N_ATTR, a);
    struct node *n = p_node(p, N_ITEM); // a.0
    if (!n || !(n->b = constant(p))) return NULL;
    n->a = a;
    return n;
}

static struct node *postfix(struct parser *p, struct node *n) {
    while (n && p->t->kind == T_OP) {
        if (p->t->op == '.')
            n = dotted(p, n);
        else if (p->t->op == '[')
            n = subscript(p, n);
        else if (p->t->op == '(')
            n = call(p, n);
        else
            break;
    }
    return n;
}

// "a.b" as the name of a filter or a test is read, as Jinja does; there is none.
static struct node *filter_name(struct parser *p, enum node_kind kind, struct node *subject) {
    struct node *n = named(p, kind, subject);
    struct text part;
    while (n && p_skip_op(p, '.')) {
        if (!p_name(p, &part)) return NULL;
        n->name.size = (size_t)(part.data + part.size - n->name.data);
    }
    return n;
}

struct node *p_filters(struct parser *p, struct node *subject, bool first) {
    for (; first || p_skip_op(p, '|'); first = false) {
        struct node *n = filter_name(p, N_FILTER, subject);
        if (!n || (p_is_op(p, '(') && !arguments(p, &n->list))) return NULL;
        subject = n;
    }
    return subject;
}

// A test's one argument may stand without parentheses: "x is divisibleby 3".
static bool test_argument(struct parser *p, struct node *n) {
    bool starts = p->t->kind == T_NAME || p->t->kind == T_CONST || p_is_op(p, '[') || p_is_op(p, '{');
    if (p_is_op(p, '(')) return arguments(p, &n->list);
    if (!starts || p_is_name(p, "else") || p_is_name(p, "or") || p_is_name(p, "and")) return true;
    if (p_is_name(p, "is")) return p_fail(p, "tests cannot be chained with 'is'");
    n->list = p_node(p, N_ARG);
    return n->list && (n->list->a = postfix(p, primary(p)));
}

static struct node *test(struct parser *p, struct node *subject) {
    p->t++;
    struct node *invert = NULL;
    if (p_is_name(p, "not")) {
        if (!(invert = p_node(p, N_NOT))) return NULL;
        p->t++;
    }
    struct node *n = filter_name(p, N_TEST, subject);
    if (!n || !test_argument(p, n)) return NULL;
    if (!invert) return n;
    invert->a = n;
    return invert;
}

static struct node *unary(struct parser *p, bool filters) {
    struct node *n;
    if (p_is_op(p, '-') || p_is_op(p, '+')) {
        if (!(n = p_node(p, N_UNARY)) || !p_enter(p)) return NULL;
        n->op = p->t++->op;
        if (!(n->a = unary(p, false))) return NULL;
        p->depth--;
    } else {
        n = primary(p);
    }
    n = postfix(p, n);
    while (filters && n) {
        if (p_is_op(p, '|'))
            n = p_filters(p, n, false);
        else if (p_is_name(p, "is"))
            n = test(p, n);
        else if (p_is_op(p, '('))
            n = call(p, n);
        else
            break;
    }
    return n;
}

static bool ends_tuple(const struct parser *p) {
    return p->t->kind == T_PRINT_END || p->t->kind == T_BLOCK_END || p_is_op(p, ')') || p_is_name(p, "in") ||
           p_is_name(p, "recursive");
}

static struct node *tuple_of(struct parser *p, struct node *(*item)(struct parser *)) {
    struct node *first = item(p);
    if (!first || !p_is_op(p, ',')) return first;
    struct node *n = p_node(p, N_TUPLE), *last = first;
    if (!n) return NULL;
    n->at = first->at;
    n->list = first;
    while (p_skip_op(p, ',') && !ends_tuple(p)) {
        if (!(last->next = item(p))) return NULL;
        last = last->next;
    }
    return n;
}

struct node *p_tuple(struct parser *p, bool condition) {
    return tuple_of(p, condition ? p_expression : p_or);
}

static bool can_assign(struct parser *p, struct node *n, bool spaced) {
    if (n->kind == N_NAME) return true;
    if (n->kind == N_ATTR && spaced && n->a->kind == N_NAME) {
        n->name2 = n->name;
        n->name = n->a->name;
        n->kind = N_SPACED;
        return true;
    }
    if (n->kind != N_TUPLE) return p_fail(p, "this cannot be assigned to");
    for (struct node *i = n->list; i; i = i->next)
        if (!can_assign(p, i, spaced)) return false;
    return true;
}

static struct node *target_item(struct parser *p) {
    struct node *n = primary(p);
    return n && n->kind == N_NAME && p_is_op(p, '.') ? dotted(p, n) : n;
}

struct node *p_target(struct parser *p, bool spaced) {
    struct node *n = p_enter(p) ? tuple_of(p, target_item) : NULL;
    p->depth--;
    return n && can_assign(p, n, spaced) ? n : NULL;
}
