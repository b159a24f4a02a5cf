// One rendering: its memory, its bounds, where it is, and what it has printed.
#ifndef TEXT_JINJA_VM_H
#define TEXT_JINJA_VM_H

#include "base/error.h"
#include "text/jinja/heap.h"
#include "text/jinja/value.h"

// Bounds of a rendering. The templates of well-known models need a thousandth of them. A fuzzer wants many short runs.
#ifdef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
enum { MAX_STEPS = 100000, MAX_MEMORY = 16 << 20, MAX_OUTPUT = 1 << 20 };
#else
enum {
    MAX_STEPS = 20000000,   // nodes evaluated, plus one for each 16 to 64 bytes touched
    MAX_MEMORY = 256 << 20, // bytes, strings that are no longer used counted
    MAX_OUTPUT = 32 << 20,  // bytes of one string
};
#endif
enum {
    MAX_DEPTH = 600,    // nested evaluations
    MAX_NESTING = 400,  // lists in lists
    MAX_RANGE = 100000, // as Jinja's sandbox has it
};

struct node;
struct scope;

// A string that is being built.
struct build {
    struct vm *vm;
    char *data;
    uint8_t *user; // NULL while nothing came from the conversation
    size_t size, room;
};

struct vm {
    struct heap heap;
    struct text source;
    const char *where;
    gyr_error *e;
    const struct node *at;
    struct scope *scope;
    struct build *out;
    size_t steps;
    int depth, nesting;
    bool failed;
    bool escapes;        // inside {% autoescape true %}
    const uint8_t *ones; // the `user` of strings that came whole from the conversation
    size_t n_ones;
    const struct written *written; // objects of the conversation whose JSON is to be printed as it was, by address
    size_t n_written;
};

struct written {
    const struct json_t *object, *text;
};

// Says "WHERE:LINE:COLUMN: ..." and returns false. Only the first failure counts.
__attribute__((format(printf, 2, 3))) bool j_fail(struct vm *vm, const char *format, ...);
// Counts steps; false when there are too many.
bool j_step(struct vm *vm, size_t n);
// NULL, with the error set, when there is no more.
void *j_alloc(struct vm *vm, size_t size);
void *j_alloc_array(struct vm *vm, size_t n, size_t size);

// ---- strings (str.c)
void b_add(struct build *b, const char *data, size_t size, bool user);
void b_puts(struct build *b, const char *s); // the template's own
void b_str(struct build *b, const struct str *s);
void b_part(struct build *b, const struct str *s, size_t begin, size_t end);
// False if anything went wrong on the way.
bool b_done(struct build *b, struct value *out);

bool j_str(struct vm *vm, const char *data, size_t size, bool user, struct value *out); // copies
bool j_slice(struct vm *vm, const struct str *s, size_t begin, size_t end, struct value *out);
size_t j_chars(const struct str *s);                 // characters, not bytes
size_t j_char_at(const struct str *s, size_t index); // byte offset of a character
bool j_is_space(uint32_t c);                         // as Python's str.isspace()
// Where `what` starts in s at or after byte `from`; SIZE_MAX if it does not.
size_t j_find(const struct str *s, const struct str *what, size_t from);
size_t j_find_last(const struct str *s, const struct str *what, size_t end);
// Steps that j_find_last() costs: it compares at every byte.
size_t j_find_cost(const struct str *s, const struct str *what);
// The range that is left without the characters in `chars` (NULL: white space) at the left and right.
void j_strip(const struct str *s, const struct str *chars, bool left, bool right, size_t *begin, size_t *end);
bool j_escape(struct vm *vm, struct value v, struct value *out); // for HTML; the result is markup

// ---- values (value.c)
bool j_list(struct vm *vm, enum kind kind, size_t n, struct value *out); // items are V_UNSET
bool j_dict(struct vm *vm, size_t room, struct value *out);
bool j_put(struct vm *vm, struct dict *d, struct value key, struct value value);
const struct pair *j_get(struct vm *vm, const struct dict *d, struct value key);
const struct pair *j_get_text(const struct dict *d, struct text key);
__attribute__((format(printf, 3, 4))) bool j_undefined(struct vm *vm, struct value *out, const char *why, ...);
bool j_equal(struct vm *vm, struct value a, struct value b);
// <0, 0, >0 in *order; fails for kinds that Python does not order. `op` stands in the message.
bool j_compare(struct vm *vm, struct value a, struct value b, const char *op, int *order);
bool j_hashable(struct vm *vm, struct value v);
bool j_contains(struct vm *vm, struct value item, struct value in, bool *yes);
// All that a `for` loop would walk over.
bool j_items(struct vm *vm, struct value v, struct list **out);
bool j_length(struct vm *vm, struct value v, size_t *n);
bool j_is_iterable(struct value v);

// ---- printing (print.c)
void b_value(struct build *b, struct value v); // str()
void b_repr(struct build *b, struct value v);
void b_ascii(struct build *b, struct value v);
void b_whole(struct build *b, struct value v); // an integer of any size
bool j_to_str(struct vm *vm, struct value v, struct value *out);
const char *j_c_str(struct vm *vm, struct value v); // repr() for messages, at most some 100 bytes
void j_float_repr(double f, char out[32]);

// ---- JSON (json.c)
struct json_t;
bool j_from_json(struct vm *vm, const struct json_t *j, bool user, struct value *out);
bool j_tojson(struct vm *vm, struct args *a, struct value *out);
// Before the variables are read: what `list` says of their calls' arguments (text/template.h).
bool j_note_written(struct vm *vm, const struct json_t *variables, const struct json_t *list);

// ---- operators (ops.c, attr.c, format.c)
bool j_binary(struct vm *vm, int op, struct value a, struct value b, struct value *out);
bool j_unary(struct vm *vm, int op, struct value v, struct value *out);
bool j_getattr(struct vm *vm, struct value v, struct text name, struct value *out);
bool j_getitem(struct vm *vm, struct value v, struct value key, struct value *out);
bool j_slice_of(struct vm *vm, struct value v, const struct value part[3], struct value *out);
// "a.b.0"; `otherwise` (unless V_NONE) stands in where something on the way is undefined.
bool j_attribute(struct vm *vm, struct value v, struct value path, struct value otherwise, struct value *out);
bool j_percent(struct vm *vm, const struct str *format, struct value args, struct value *out);
bool j_format(struct vm *vm, const struct str *format, struct args *a, struct value *out);

// ---- calls (call.c)
bool j_call(struct vm *vm, struct value fn, struct args *a, struct value *out);
bool j_call_native(struct vm *vm, const struct native *n, struct args *a, struct value *out);
bool j_filter(struct vm *vm, struct text name, struct args *a, struct value *out);
bool j_test(struct vm *vm, struct text name, struct args *a, struct value *out);

// ---- argument helpers
bool j_want_str(struct vm *vm, struct value v, const char *what, struct str **out);
bool j_want_int(struct vm *vm, struct value v, const char *what, int64_t *out);

// ---- tables; each ends with a NULL name
extern const struct native j_globals[], j_tests[];
extern const struct native j_filters_text[], j_filters_list[], j_filters_pick[], j_filters_number[];
extern const struct native j_str_methods[], j_str_tests[], j_str_rare[], j_dict_methods[], j_dict_class[],
    j_list_methods[], j_view_methods[], j_int_methods[], j_float_methods[], j_cycler_methods[], j_loop_methods[];
// "real" and its like; *out stays as it is where there is no such attribute.
bool j_number_attr(struct vm *vm, struct value v, struct text name, struct value *out);
// A range of n integers from `start` on.
bool j_range(struct vm *vm, int64_t start, int64_t stop, int64_t step, size_t n, struct value *out);
const struct native *j_find_native(const struct native *table, struct text name);

#endif
