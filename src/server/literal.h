// Values as models write them, a byte at a time, and JSON comes out: JSON itself, Python's literals and the arguments
// of a Python call, and the notation of Gemma's calls.
#ifndef SERVER_LITERAL_H
#define SERVER_LITERAL_H

#include "base/buf.h"

enum literal_dialect {
    LITERAL_JSON,   // out as it came, but for control characters in strings and halves of surrogate pairs
    LITERAL_PYTHON, // True, 'text', f(a=1); written as Python's json module writes it
    LITERAL_GEMMA,  // {key:<|"|>text<|"|>,n:1}; written in the same way
};

enum literal_result { LITERAL_MORE, LITERAL_DONE, LITERAL_BROKEN };

// What the last byte did in the container of depth `watch`.
enum literal_seen {
    LITERAL_KEY = 1,        // ended a key: [key_from, key_to) of `out`, with its quotes
    LITERAL_VALUE = 2,      // began a value: at value_from
    LITERAL_VALUE_ENDS = 4, // ended it: at value_to
};

#define LITERAL_DEPTH 64

struct literal {
    enum literal_dialect dialect;
    int state;
    size_t depth, watch;
    char stack[LITERAL_DEPTH]; // '{', '[', or '(' for the arguments of a call
    unsigned seen;
    size_t key_from, key_to, value_from, value_to;
    bool key;              // the string or word under way is a key
    const char *delimiter; // what ends the string
    size_t matched;        // bytes of the delimiter, digits of an escape
    uint32_t code;         // the escape's value
    size_t digits;         // how many it has
    char hex[4], high[4];  // its digits; those of the first half of a surrogate pair
    bool pair;             // `high` waits for its second half
    char word[128];
    size_t word_size;
    struct buf *out;
};

// `opened`: 0, or the '{' or '(' that has been read.
void literal_begin(struct literal *l, enum literal_dialect dialect, char opened, struct buf *out);

// The next byte; `special`: of a special token. After anything but LITERAL_MORE, no more. What was written to `out` so
// far always is the beginning of valid JSON.
enum literal_result literal_put(struct literal *l, char c, bool special);

// Where the bytes end: a number or a word at the top may end so.
enum literal_result literal_finish(struct literal *l);

// All of the bytes are one value; its JSON goes to `out`, which is as before if not.
bool literal_whole(enum literal_dialect dialect, const char *s, size_t size, struct buf *out);

// Writes bytes as a part of a JSON string.
void literal_quote(struct buf *out, const char *s, size_t size);

#endif
