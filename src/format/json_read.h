// The parser behind json.h. Private to format/.
#ifndef FORMAT_JSON_READ_H
#define FORMAT_JSON_READ_H

#include <jansson.h>
#include <stdbool.h>

// jansson's trees hold no NaN, no infinity and no integer beyond 64 bits. They become strings that begin with this
// byte, which no text in UTF-8 has.
#define JSON_STRANGE '\xff'

// Keys end with a zero byte there: one inside a key is spelled so, which is no UTF-8 either.
#define JSON_KEY_NUL "\xc0\x80"

struct json_rules {
    size_t depth;
    bool unique; // refuse a key that is there twice; otherwise the last one counts
};

struct json_trouble {
    const char *why; // NULL: out of memory
    size_t line, column;
};

// NULL and *t on failure.
json_t *json_read(const char *data, size_t size, const struct json_rules *rules, struct json_trouble *t);

#endif
