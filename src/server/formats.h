// How models write reasoning and calls of tools: a table, from which a model's chat template chooses.
#ifndef SERVER_FORMATS_H
#define SERVER_FORMATS_H

#include "server/literal.h"

#include "gyr.h"

enum call_kind {
    CALL_OBJECT,   // {"name": ..., "arguments": {...}}, alone or in a list
    CALL_NAMED,    // the name, then the arguments as one value
    CALL_TAGS,     // the name, then each argument between tags
    CALL_CHANNELS, // messages with a header each: see output_channels.c
};

// The texts that mark the parts of a call. Those that a way of writing does not have are NULL.
enum mark {
    MARK_OPEN, // around all calls of a turn
    MARK_CLOSE,
    MARK_BEGIN, // around one call
    MARK_END,
    MARK_NAMED, // ends the name
    MARK_KEY,   // around an argument's key; CALL_NAMED: an id follows the name
    MARK_KEY_ENDS,
    MARK_VALUE, // begins its value, where something stands between key and value
    MARK_VALUE_ENDS,
    MARKS
};

// How a grammar writes calls. $N is the name, $A the arguments as JSON, $I a number, and $P the arguments one by one,
// each as `argument` says: $K its key, $V its value, $S whether that is a string, $T its type. An empty struct: not.
struct writing {
    const char *open, *call, *join, *close;
    const char *argument, *argument_join;
};

// One way of writing calls.
struct shape {
    enum call_kind kind;
    enum literal_dialect dialect; // of the arguments
    const char *mark[MARKS];
    const char *between; // what may stand between calls beside white space
    char opened;         // CALL_NAMED: the '{' or '(' that ends the name and begins the arguments
    char bare;           // an answer that begins with this is a call, without any mark
    bool begins;         // a call may stand without MARK_OPEN around it
    bool trims;          // a line break after MARK_KEY_ENDS, and one before MARK_VALUE_ENDS, are not the value's
    bool id;             // what stands for the name is the call's id, too
    struct writing write;
};

#define SHAPES 3

// The text that marks reasoning, and the answer after it where that is marked, too.
struct thinking {
    const char *open, *close, *answer_open, *answer_close;
};

struct call_format {
    const char *name;
    const char *signs[3]; // all of them are in the template
    const struct shape *shapes[SHAPES];
    const struct thinking *thinking; // NULL: by the template
};

// Marks of a format by number: thinking's four, then those of each shape.
#define MARKERS (4 + SHAPES * MARKS)
enum { MARKER_THINK, MARKER_THINK_ENDS, MARKER_ANSWER, MARKER_ANSWER_ENDS, MARKER_SHAPES };

// A model's: what it writes, and which marks are special tokens of its tokenizer.
struct format {
    const struct call_format *calls;
    const struct thinking *thinking;
    const gyr_tokenizer *tokenizer; // NULL: not known
    uint64_t special[MARKERS];      // bit i: byte i of the marker counts only as part of a special token
};

enum format_begins { BEGINS_ANSWER, BEGINS_REASONING, BEGINS_HEADER };

// By the template's source; one that says nothing gets the general format. `tokenizer` must outlive it, and may be
// NULL: then every mark may come as a special token or as text.
void format_find(struct format *f, const char *source, size_t size, const gyr_tokenizer *tokenizer);

// The bytes from s on that may be the name of a special token; 0 if none.
size_t format_token_size(const char *s, size_t n);

// The id of the special token that is spelled so; -1 if there is none.
int32_t format_special(const struct format *f, const char *s, size_t n);

// The text of marker i; NULL if the format has none.
const char *format_marker(const struct format *f, size_t i);

// Marker i begins calls.
bool format_triggers(const struct format *f, size_t i);

// What a model's answer to this rendered prompt begins with: its end says whether reasoning is open.
enum format_begins format_begins(const struct format *f, const char *prompt, size_t size);

// Row i of the table of formats, the general one last; NULL past it. For tests and lists.
const struct call_format *format_row(size_t i);

#endif
