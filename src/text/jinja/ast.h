// A template as a tree. Nodes live in the template's heap.
#ifndef TEXT_JINJA_AST_H
#define TEXT_JINJA_AST_H

#include "base/error.h"
#include "text/jinja/heap.h"
#include "text/jinja/value.h"

enum node_kind {
    // expressions
    N_CONST,   // value
    N_NAME,    // name
    N_SPACED,  // name.name2, only as a target: an attribute of a namespace
    N_LIST,    // list
    N_TUPLE,   // list
    N_DICT,    // list of key, value, key, value ...
    N_CONCAT,  // list
    N_BINARY,  // a op b
    N_UNARY,   // op a
    N_AND,     // a, b
    N_OR,      // a, b
    N_NOT,     // a
    N_COMPARE, // a, then list of N_OPERAND
    N_OPERAND, // op a
    N_IF_ELSE, // a if b else c (c may be NULL)
    N_ATTR,    // a.name
    N_ITEM,    // a[b]
    N_SLICE,   // a[b:c:d] (each may be NULL)
    N_CALL,    // a(list)
    N_FILTER,  // a|name(list); a is NULL at the start of a filter block
    N_TEST,    // a is name(list)
    N_ARG,     // a; name if it is a keyword argument; op '*' or OP_POW if it is spread
    // statements
    N_TEXT,       // value
    N_PRINT,      // list
    N_IF,         // a, body; the next test of the chain is b, of which a is NULL if it is the else
    N_FOR,        // a in b if c; body, other; flag: recursive
    N_SET,        // a = b
    N_SET_BLOCK,  // a = body through filter b (or NULL)
    N_WITH,       // list of target, value, target, value ...; body
    N_SCOPE,      // body
    N_MACRO,      // name, list of N_PARAM, body
    N_PARAM,      // name, default a (or NULL)
    N_CALL_BLOCK, // call a; the caller is the macro b
    N_FILTERED,   // body through filter b
    N_AUTOESCAPE, // body, in which what is printed is escaped if a is true
    N_BREAK,
    N_CONTINUE,
};

// Operators and punctuation: the character itself, or one of these.
enum { OP_FLOORDIV = 128, OP_POW, OP_EQ, OP_NE, OP_LE, OP_GE, OP_IN, OP_NOT_IN };

// What a macro does with arguments that have no name in its signature.
enum { USES_VARARGS = 1, USES_KWARGS = 2, USES_CALLER = 4 };

struct node {
    enum node_kind kind;
    int op;
    bool flag;
    unsigned uses; // N_MACRO
    size_t at;     // byte offset in the source, for messages
    struct text name, name2;
    struct value value;
    struct node *a, *b, *c, *d;
    struct node *list, *body, *other; // the first of a chain
    struct node *next;
};

enum token_kind { T_TEXT, T_PRINT_BEGIN, T_PRINT_END, T_BLOCK_BEGIN, T_BLOCK_END, T_NAME, T_CONST, T_OP, T_END };

struct token {
    enum token_kind kind;
    int op;
    size_t at;
    struct text text;   // of a name
    struct value value; // of a constant or of template text
};

struct source {
    struct text text; // line ends are "\n"
    const char *where;
    struct heap *heap;
    gyr_error *e;
};

// Bounds of a template's source.
enum { MAX_SOURCE = 256 << 10, MAX_PARSE_DEPTH = 150 };

// Says "WHERE:LINE:COLUMN: ...".
__attribute__((format(printf, 5, 6))) bool source_fail(struct text source, const char *where, size_t at, gyr_error *e,
                                                       const char *format, ...);

// The tokens of a template, ending with T_END; NULL if it breaks the rules.
struct token *j_lex(struct source *s);
// The chain of its statements; false if it breaks the rules.
bool j_parse(struct source *s, struct token *tokens, struct node **out);

#endif
