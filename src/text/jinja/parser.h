// What the parsers of expressions and of statements share.
#ifndef TEXT_JINJA_PARSER_H
#define TEXT_JINJA_PARSER_H

#include "text/jinja/ast.h"

struct parser {
    struct source *s;
    const struct token *t; // the token in hand
    int depth;
    int loops;     // open for loops in this macro
    unsigned uses; // USES_... of the macro being read
};

struct node *p_node(struct parser *p, enum node_kind kind); // NULL: out of memory, said so
__attribute__((format(printf, 2, 3))) bool p_fail(struct parser *p, const char *format, ...);
bool p_is_op(const struct parser *p, int op);
bool p_is_name(const struct parser *p, const char *name);
bool p_skip_op(struct parser *p, int op);
bool p_skip_name(struct parser *p, const char *name);
bool p_expect_op(struct parser *p, int op);
bool p_name(struct parser *p, struct text *out);
bool p_enter(struct parser *p); // one level deeper; false when too deep
const char *p_describe(const struct parser *p, char out[64]);

struct node *p_expression(struct parser *p);
struct node *p_or(struct parser *p); // an expression without "a if b else c"
// One expression, or a tuple without parentheses. `condition`: "a if b else c" is allowed.
struct node *p_tuple(struct parser *p, bool condition);
struct node *p_target(struct parser *p, bool spaced);                       // what "for" and "set" can assign to
struct node *p_filters(struct parser *p, struct node *subject, bool first); // "| f | g"; `first`: without a pipe

#endif
