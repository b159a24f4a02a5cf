// What a template computes with: Python's values, as far as templates can see them. A value never changes once it is
// built, but for namespaces and loops.
#ifndef TEXT_JINJA_VALUE_H
#define TEXT_JINJA_VALUE_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    V_UNSET, // no value at all: an argument that was not given
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_BIG, // an integer beyond 64 bits
    V_FLOAT,
    V_STR,
    V_LIST,
    V_TUPLE,
    V_RANGE,
    V_VIEW, // keys(), values(), items() of a dict
    V_ITER, // can be walked once: what map(), select() and their like return
    V_DICT,
    V_SPACE, // namespace()
    V_NATIVE,
    V_METHOD,
    V_MACRO,
    V_LOOP,
    V_CYCLER,
    V_JOINER,
};

struct value {
    enum kind kind;
    union {
        bool b;
        int64_t i;
        double f;
        const struct big *big;
        struct str *s; // V_STR; V_UNDEFINED: why it is (or NULL)
        struct list *l;
        struct dict *d;
        const struct native *native;
        struct method *method;
        struct macro *macro;
        struct loop *loop;
        struct cycler *cycler;
    };
};

// Valid UTF-8. `user` has a byte for each byte of text: 1 where it came from the conversation, 0 where from the
// template; NULL if all came from the template.
struct str {
    const char *data;
    const uint8_t *user;
    size_t size;
    bool markup; // `safe` or `escape` made it: "+" escapes what it is joined with
};

struct list {
    struct value *items;
    size_t n;
    const char *label;         // how a V_RANGE, V_VIEW or V_ITER calls itself
    bool spent;                // a V_ITER that was walked
    int64_t start, stop, step; // of a V_RANGE
};

struct pair {
    struct value key, value;
};

struct dict {
    struct pair *items; // in order of insertion
    size_t n, room;
    const struct str
        *written; // the JSON that it was read from, if tojson is to print that; NULL: any that says the same
};

struct cycler {
    struct list *list;
    size_t at;
    struct value separator; // V_JOINER
    bool used;
};

struct keyword {
    struct text name;
    bool user; // the name came from the conversation, by **
    struct value value;
};

struct args {
    struct value self;
    struct value *v;
    size_t n;
    struct keyword *kw;
    size_t nkw;
};

struct vm;

// A function, filter, test or method that is written in C. With `params`, the arguments are sorted into that order
// and v[] has one for each, V_UNSET where none was given; the first `required` are there. Without, they come as the
// template wrote them.
struct native {
    const char *name;
    const char *params; // "a,b,c"
    int required;
    bool (*fn)(struct vm *vm, struct args *a, struct value *out);
};

struct method {
    const struct native *native;
    struct value self;
};

static inline struct value v_none(void) { return (struct value){.kind = V_NONE}; }
static inline struct value v_bool(bool b) { return (struct value){.kind = V_BOOL, .b = b}; }
static inline struct value v_int(int64_t i) { return (struct value){.kind = V_INT, .i = i}; }
static inline struct value v_float(double f) { return (struct value){.kind = V_FLOAT, .f = f}; }
static inline bool v_is_list(struct value v) { return v.kind >= V_LIST && v.kind <= V_ITER; }
static inline bool v_is_number(struct value v) { return v.kind >= V_BOOL && v.kind <= V_FLOAT; }
// Integers of 64 bits, as Python has them: True is 1.
static inline bool v_is_int(struct value v) { return v.kind == V_INT || v.kind == V_BOOL; }
static inline int64_t v_as_int(struct value v) { return v.kind == V_BOOL ? v.b : v.i; }
// Infinite for an integer that is too large.
double j_big_float(const struct big *b);
static inline double v_as_float(struct value v) {
    return v.kind == V_FLOAT ? v.f : v.kind == V_BIG ? j_big_float(v.big) : (double)v_as_int(v);
}

// Python's name of the type, such as "str".
const char *v_type(struct value v);
bool v_true(struct value v);

static inline bool text_is(struct text t, const char *s) {
    size_t i = 0;
    while (i < t.size && s[i] && s[i] == t.data[i]) i++;
    return i == t.size && !s[i];
}

#endif
