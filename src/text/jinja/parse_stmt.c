// Statements: what stands in {% %}.
#include "text/jinja/parser.h"
#include "text/jinja/vm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct node *p_node(struct parser *p, enum node_kind kind) {
    struct node *n = heap_alloc(p->s->heap, sizeof *n);
    if (!n) return fail_null(p->s->e, GYR_NO_MEMORY, "%s: the template needs too much memory", p->s->where);
    n->kind = kind;
    n->at = p->t->at;
    return n;
}

bool p_fail(struct parser *p, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return source_fail(p->s->text, p->s->where, p->t->at, p->s->e, "%s", text);
}

bool p_is_op(const struct parser *p, int op) { return p->t->kind == T_OP && p->t->op == op; }

bool p_is_name(const struct parser *p, const char *name) { return p->t->kind == T_NAME && text_is(p->t->text, name); }

bool p_skip_op(struct parser *p, int op) { return p_is_op(p, op) && p->t++; }

bool p_skip_name(struct parser *p, const char *name) { return p_is_name(p, name) && p->t++; }

bool p_expect_op(struct parser *p, int op) {
    char text[64];
    return p_skip_op(p, op) || p_fail(p, "'%c' is missing before %s", op, p_describe(p, text));
}

bool p_name(struct parser *p, struct text *out) {
    char text[64];
    if (p->t->kind != T_NAME) return p_fail(p, "a name is missing before %s", p_describe(p, text));
    *out = p->t++->text;
    return true;
}

bool p_enter(struct parser *p) {
    if (p->depth++ < MAX_PARSE_DEPTH) return true;
    return p_fail(p, "the template is nested more than %d deep", MAX_PARSE_DEPTH);
}

const char *p_describe(const struct parser *p, char out[64]) {
    static const char *const names[] = {[T_TEXT] = "text",
                                        [T_PRINT_BEGIN] = "'{{'",
                                        [T_PRINT_END] = "'}}'",
                                        [T_BLOCK_BEGIN] = "'{%'",
                                        [T_BLOCK_END] = "'%}'",
                                        [T_NAME] = "",
                                        [T_CONST] = "a literal",
                                        [T_OP] = "",
                                        [T_END] = "the end of the template"};
    static const char *const ops[] = {"//", "**", "==", "!=", "<=", ">="};
    if (p->t->kind == T_NAME)
        snprintf(out, 64, "'%.*s'", p->t->text.size < 50 ? (int)p->t->text.size : 50, p->t->text.data);
    else if (p->t->kind == T_OP && p->t->op >= OP_FLOORDIV)
        snprintf(out, 64, "'%s'", ops[p->t->op - OP_FLOORDIV]);
    else if (p->t->kind == T_OP)
        snprintf(out, 64, "'%c'", p->t->op);
    else
        snprintf(out, 64, "%s", names[p->t->kind]);
    return out;
}

// ---- statements

static bool chain(struct parser *p, const char *const *ends, struct node **out);

static bool block_end(struct parser *p) {
    char text[64];
    if (p->t->kind == T_BLOCK_END) return p->t++;
    return p_fail(p, "'%%}' is missing before %s", p_describe(p, text));
}

// The rest of the tag, then statements up to "{% NAME" for one of the `ends` (separated by NULL), whose name is left
// in hand.
static bool body_until(struct parser *p, const char *const *ends, struct node **out) {
    p_skip_op(p, ':');
    return block_end(p) && chain(p, ends, out);
}

static bool body(struct parser *p, const char *end, struct node **out) {
    const char *const ends[] = {end, NULL};
    return body_until(p, ends, out) && p_skip_name(p, end);
}

static struct node *parse_print(struct parser *p) {
    struct node *n = p_node(p, N_PRINT), **last = n ? &n->list : NULL;
    while (n && p->t->kind != T_BLOCK_END) {
        if (n->list && !p_expect_op(p, ',')) return NULL;
        if (!(*last = p_expression(p))) return NULL;
        last = &(*last)->next;
    }
    return n;
}

static struct node *parse_set(struct parser *p) {
    struct node *n = p_node(p, N_SET);
    if (!n || !(n->a = p_target(p, true))) return NULL;
    if (p_skip_op(p, '=')) return (n->b = p_tuple(p, true)) ? n : NULL;
    n->kind = N_SET_BLOCK;
    if (p_is_op(p, '|') && !(n->b = p_filters(p, NULL, false))) return NULL;
    return body(p, "endset", &n->body) ? n : NULL;
}

static struct node *parse_if(struct parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    struct node *first = NULL, **at = &first;
    for (bool more = true; more; at = &(*at)->b) {
        struct node *n = *at = p_node(p, N_IF);
        if (!n || !(n->a = p_tuple(p, false)) || !body_until(p, ends, &n->body)) return NULL;
        more = p_skip_name(p, "elif");
    }
    if (p_skip_name(p, "else")) {
        if (!(*at = p_node(p, N_IF)) || !body_until(p, ends + 2, &(*at)->body)) return NULL;
    }
    return p_skip_name(p, "endif") ? first : NULL;
}

static struct node *parse_for(struct parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    struct node *n = p_node(p, N_FOR);
    if (!n || !(n->a = p_target(p, false))) return NULL;
    if (!p_skip_name(p, "in")) return p_fail(p, "'in' is missing in this for"), NULL;
    if (!(n->b = p_tuple(p, false))) return NULL;
    if (p_skip_name(p, "if") && !(n->c = p_expression(p))) return NULL;
    n->flag = p_skip_name(p, "recursive");
    p->loops++;
    if (!body_until(p, ends, &n->body)) return NULL;
    p->loops--;
    if (p_skip_name(p, "else")) return body(p, "endfor", &n->other) ? n : NULL;
    return p_skip_name(p, "endfor") ? n : NULL;
}

static struct node *parse_with(struct parser *p) {
    struct node *n = p_node(p, N_WITH), **last = n ? &n->list : NULL;
    while (n && p->t->kind != T_BLOCK_END) {
        if (n->list && !p_expect_op(p, ',')) return NULL;
        if (!(*last = p_target(p, false)) || !p_expect_op(p, '=')) return NULL;
        last = &(*last)->next;
        if (!(*last = p_expression(p))) return NULL;
        last = &(*last)->next;
    }
    return n && body(p, "endwith", &n->body) ? n : NULL;
}

static bool signature(struct parser *p, struct node **last) {
    bool defaults = false, first = true;
    if (!p_expect_op(p, '(')) return false;
    for (; !p_is_op(p, ')'); first = false) {
        if (!first && !p_expect_op(p, ',')) return false;
        struct node *n = *last = p_node(p, N_PARAM);
        if (!n || !p_name(p, &n->name)) return false;
        if (p_skip_op(p, '=')) {
            defaults = true;
            if (!(n->a = p_expression(p))) return false;
        } else if (defaults) {
            return p_fail(p, "a parameter without a default follows one with a default");
        }
        last = &n->next;
    }
    return p_expect_op(p, ')');
}

// The body of a macro is a world of its own: loops outside cannot be left from it.
static bool macro_body(struct parser *p, struct node *n, const char *end) {
    unsigned uses = p->uses;
    int loops = p->loops;
    p->uses = 0;
    p->loops = 0;
    if (!body(p, end, &n->body)) return false;
    n->uses = p->uses;
    p->uses |= uses;
    p->loops = loops;
    return true;
}

static struct node *parse_macro(struct parser *p) {
    struct node *n = p_node(p, N_MACRO);
    if (!n || !p_name(p, &n->name) || !signature(p, &n->list)) return NULL;
    return macro_body(p, n, "endmacro") ? n : NULL;
}

static struct node *parse_call(struct parser *p) {
    struct node *n = p_node(p, N_CALL_BLOCK);
    if (!n || !(n->b = p_node(p, N_MACRO))) return NULL;
    n->b->name = (struct text){"caller", 6};
    if (p_is_op(p, '(') && !signature(p, &n->b->list)) return NULL;
    if (!(n->a = p_expression(p))) return NULL;
    if (n->a->kind != N_CALL) return p_fail(p, "a call block wants a call, such as f(x)"), NULL;
    return macro_body(p, n->b, "endcall") ? n : NULL;
}

static struct node *parse_filter(struct parser *p) {
    struct node *n = p_node(p, N_FILTERED);
    if (!n || !(n->b = p_filters(p, NULL, true))) return NULL;
    return body(p, "endfilter", &n->body) ? n : NULL;
}

static struct node *parse_generation(struct parser *p) {
    struct node *n = p_node(p, N_SCOPE);
    int loops = p->loops;
    p->loops = 0; // transformers makes a macro of it
    if (!n || !body(p, "endgeneration", &n->body)) return NULL;
    p->loops = loops;
    return n;
}

static struct node *parse_block(struct parser *p) {
    struct node *n = p_node(p, N_SCOPE);
    struct text name;
    if (!n || !p_name(p, &name)) return NULL;
    if (!p_skip_name(p, "scoped")) p_skip_name(p, "required");
    if (!body(p, "endblock", &n->body)) return NULL;
    if (p->t->kind == T_NAME) p->t++;
    return n;
}

static struct node *parse_autoescape(struct parser *p) {
    struct node *n = p_node(p, N_AUTOESCAPE);
    if (!n || !(n->a = p_expression(p)) || !body(p, "endautoescape", &n->body)) return NULL;
    return n;
}

static struct node *leave(struct parser *p, enum node_kind kind) {
    if (!p->loops) return p_fail(p, "break and continue work inside a for only"), NULL;
    return p_node(p, kind);
}

static struct node *parse_break(struct parser *p) { return leave(p, N_BREAK); }
static struct node *parse_continue(struct parser *p) { return leave(p, N_CONTINUE); }

static const struct {
    const char *name;
    struct node *(*parse)(struct parser *p);
} tags[] = {
    {"print", parse_print},
    {"set", parse_set},
    {"if", parse_if},
    {"for", parse_for},
    {"with", parse_with},
    {"macro", parse_macro},
    {"call", parse_call},
    {"filter", parse_filter},
    {"break", parse_break},
    {"block", parse_block},
    {"continue", parse_continue},
    {"generation", parse_generation},
    {"autoescape", parse_autoescape},
};

static struct node *statement(struct parser *p) {
    char text[64];
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++)
        if (p_skip_name(p, tags[i].name)) {
            struct node *n = tags[i].parse(p);
            return n && block_end(p) ? n : NULL;
        }
    p_fail(p, "there is no tag %s here", p_describe(p, text));
    return NULL;
}

static struct node *text_or_print(struct parser *p) {
    char text[64];
    bool plain = p->t->kind == T_TEXT;
    struct node *n = p_node(p, plain ? N_TEXT : N_PRINT);
    if (!n) return NULL;
    n->value = p->t++->value;
    if (plain) return n;
    if (!(n->list = p_tuple(p, true))) return NULL;
    if (p->t->kind != T_PRINT_END) return p_fail(p, "'}}' is missing before %s", p_describe(p, text)), NULL;
    p->t++;
    return n;
}

static bool chain(struct parser *p, const char *const *ends, struct node **out) {
    if (!p_enter(p)) return false;
    *out = NULL;
    while (p->t->kind != T_END) {
        if (p->t->kind == T_BLOCK_BEGIN) {
            p->t++;
            for (const char *const *end = ends; end && *end; end++)
                if (p_is_name(p, *end)) return p->depth--, true;
            *out = statement(p);
        } else {
            *out = text_or_print(p);
        }
        if (!*out) return false;
        out = &(*out)->next;
    }
    p->depth--;
    if (!ends) return true;
    while (ends[1]) ends++;
    return p_fail(p, "the template ends before {%% %s %%}", *ends);
}

bool j_parse(struct source *s, struct token *tokens, struct node **out) {
    struct parser p = {.s = s, .t = tokens};
    return chain(&p, NULL, out);
}
