// What the files of JSON Schema share. Private to them.
#ifndef TEXT_GRAMMAR_SCHEMA_PARTS_H
#define TEXT_GRAMMAR_SCHEMA_PARTS_H

#include "format/index.h"
#include "format/json.h"
#include "text/grammar/pattern.h"
#include "text/grammar/schema.h"

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_STRING = 4,
    TYPE_INTEGER = 8,
    TYPE_FRACTION = 16, // numbers that are no integers
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_NUMBER = TYPE_INTEGER | TYPE_FRACTION,
    TYPE_ANY = 127,
};

// A schema that has to hold, without those of its parts that were replaced by what they stand for.
struct part {
    const json_t *schema; // an object
    unsigned done;        // DONE_...
    size_t parent;        // the part that it came from; SIZE_MAX: none
};
enum {
    DONE_REFS = 1, // $ref and allOf: what they name is among the parts
    DONE_ANY = 2,  // anyOf: one of its schemas is
    DONE_ONE = 4,  // oneOf
    DONE_IF = 8,
    DONE_NOT = 16,
    DONE_DEPENDENT = 32,
};

// Schemas that all have to hold.
struct parts {
    struct part *items;
    size_t n, room;
    bool never;   // one of them is `false`
    size_t begin; // where a rule's parts lie in the compiler's
};

// Texts that many rules need; 0: not made yet (a rule of that number is another's).
enum common {
    COMMON_SPACE, // after brackets and commas, and before closing brackets
    COMMON_COLON, // after colons
    COMMON_NUMBER,
    COMMON_INTEGER,
    COMMON_BOOLEAN,
    N_COMMON,
};

struct compiler {
    struct rules *rules;
    const json_t *root;
    gyr_error *e;
    bool failed;
    uint32_t common[N_COMMON];
    bool made[N_COMMON];
    struct wanted *wanted; // rules by their parts, in the order in which they were asked for
    size_t n_wanted, wanted_room;
    uint32_t *slots; // wanted + 1
    size_t n_slots;
    json_t *own;                 // a list of schemas that were made on the way
    bool inner_ids;              // parts of the document have an "$id" of their own
    size_t checks;               // of a value that may still be made
    struct pattern_of *patterns; // those compiled so far
    size_t n_patterns, pattern_room;
    struct index pattern_names;
    const json_t *listed; // the enum that the value which is checked is from
    struct fsm any_char;  // of a string whose content is free; without states: not made yet
    struct row_of {       // rules of strings of some length, by their kind
        bool open, close;
        size_t least, most;
        uint32_t rule;
    } * rows;
    size_t n_rows, row_room;
    size_t apart_left; // comparisons of two schemas' parts
    struct {
        const json_t *of, *list;
    } * negations;
    size_t n_negations, negation_room;
};

struct wanted {
    uint32_t rule;
    struct parts parts;
};

// Fails: "schema: #/where/it/is: WHY". Returns false.
__attribute__((format(printf, 4, 5))) bool schema_fail(struct compiler *c, const json_t *at, gyr_status status,
                                                       const char *why, ...);
bool schema_no_memory(struct compiler *c);

// Takes steps from the grammar's budget. False: it is used up, and the schema has failed; grammar_new() says so.
bool schema_spend(struct compiler *c, size_t steps);

// Adds a schema (an object or a boolean) to those that have to hold. False: not one, or no memory.
bool parts_add(struct compiler *c, struct parts *p, const json_t *schema, unsigned done, size_t parent);
void parts_free(struct parts *p);

// Adds what $ref and allOf name.
bool parts_expand(struct compiler *c, struct parts *p);

// The schema that a $ref names; NULL: failed.
const json_t *schema_target(struct compiler *c, const json_t *at, const char *ref);

// Looks for another document's names within this one.
bool schema_find_ids(struct compiler *c);

// The rule for texts of all parts. Takes the parts.
uint32_t schema_rule(struct compiler *c, struct parts *p);
uint32_t schema_common(struct compiler *c, enum common which);

// A parts' value of a keyword: the largest, the smallest of the counts; `otherwise` if there is none.
bool parts_count(struct compiler *c, const struct parts *p, const char *key, bool largest, size_t *count);

unsigned parts_types(struct compiler *c, const struct parts *p);

// Whether there is an anyOf, oneOf or another choice among the parts that was not made yet; and the first one: its
// schemas, of which one has to hold beside the parts, the part that has it, and what of that part is done then.
bool schema_has_choice(const struct parts *p);
const json_t *schema_choice(struct compiler *c, const struct parts *p, size_t *at, unsigned *done);

// The parts with one more schema, which came from part `at`, of which `done` is done.
bool parts_with(struct compiler *c, struct parts *q, const struct parts *p, size_t at, unsigned done,
                const json_t *more);

// Whether no value obeys the parts and both schemas, of part `at`; false where that cannot be seen.
bool schema_apart(struct compiler *c, const struct parts *p, size_t at, const json_t *one, const json_t *other);

// Schemas of which one holds where `schema` does not: a list that the compiler keeps. NULL: failed. They have keywords
// of their own, which no schema that was read has (they are not UTF-8).
#define SCHEMA_TYPES       "\300\201types"  // a set of TYPE_...
#define SCHEMA_NOT_VALUES  "\300\201values" // a list
#define SCHEMA_NOT_PATTERN "\300\201pattern"
#define SCHEMA_NOT_FORMAT  "\300\201format"
const json_t *schema_negate(struct compiler *c, const json_t *at, const json_t *schema);

// The values that the parts list (const, enum) and that obey all of them: a list that the compiler keeps. *listed:
// whether they list any.
const json_t *schema_values(struct compiler *c, const struct parts *p, bool *listed);

// Each adds to the nfa what leads from `from` to `to`.
void emit_value(struct compiler *c, const json_t *value, uint32_t from, uint32_t to);
void emit_string_value(struct compiler *c, struct text s, uint32_t from, uint32_t to);
void emit_string(struct compiler *c, const struct parts *p, uint32_t from, uint32_t to);
// A string of `least` to `most` characters (SIZE_MAX: any number), whatever they are.
uint32_t schema_any_string(struct compiler *c); // its rule
void emit_length(struct compiler *c, size_t least, size_t most, uint32_t from, uint32_t to);
void emit_number(struct compiler *c, const struct parts *p, unsigned types, uint32_t from, uint32_t to);
void emit_array(struct compiler *c, const struct parts *p, uint32_t from, uint32_t to);
void emit_object(struct compiler *c, const struct parts *p, uint32_t rule, uint32_t from, uint32_t to);

// What a string of all parts may hold, without its quotes, in the spelling of SPELL_JSON; *free: anything, and then
// `f` is empty. False on failure.
bool string_content(struct compiler *c, const struct parts *p, struct fsm *f, bool *free);

// The same for names of properties, where there may be values and choices too.
bool schema_names(struct compiler *c, const struct parts *p, struct fsm *f);

// Whether a value obeys a schema. `from`: the schema's own enum that it was taken from; NULL: from elsewhere.
enum verdict { VERDICT_NO, VERDICT_YES, VERDICT_UNSURE };
enum verdict schema_check(struct compiler *c, const json_t *schema, const json_t *value, const json_t *from);
bool json_same(const json_t *a, const json_t *b, struct budget *budget); // as JSON Schema has it: 1 is 1.0
unsigned json_type_of(const json_t *j);                                  // TYPE_...
// A number's digits, in the fewest that give it back.
void json_number_text(const json_t *j, char out[400]);

// A regular expression in the spelling of a JSON string, compiled once for all of the schema; NULL: failed, and *why
// says how, which is not yet reported.
const struct fsm *schema_pattern(struct compiler *c, struct text s, enum pattern_match match, gyr_error *why);
const struct fsm *schema_any_text(struct compiler *c, gyr_error *why);
void schema_free_patterns(struct compiler *c);

// Reports a failure of those.
bool schema_bad_pattern(struct compiler *c, const json_t *at, const char *where, const gyr_error *why);

// The regular expression of a format; NULL: not known, or not to be honoured.
const char *format_pattern(const char *name);

// A text in the spelling of a JSON string, without quotes.
void json_spell(struct buf *out, struct text s);

#endif
