// JSON being written (RFC 8259), value by value, into a buffer: what the server sends is made of pieces that come one
// after the other, and a tree of them would only be copied.
#ifndef SERVER_WRITE_JSON_H
#define SERVER_WRITE_JSON_H

#include "base/buf.h"

#include <time.h>

// Zero but for `out`. A `key` is NULL in an array and at the top. A separator is written where one is due.
struct js {
    struct buf *out;
    bool comma;
};

void js_open(struct js *j, const char *key, char bracket); // '{' or '['
void js_close(struct js *j, char bracket);                 // '}' or ']'
void js_text(struct js *j, const char *key, const char *text, size_t size);
void js_string_of(struct js *j, const char *key, const char *text); // NUL-terminated; NULL: null
void js_whole(struct js *j, const char *key, int64_t value);
void js_number(struct js *j, const char *key, double value); // null for what JSON cannot say
void js_bool(struct js *j, const char *key, bool value);
void js_time(struct js *j, const char *key, time_t at);                    // as RFC 3339 has it, UTC
void js_none(struct js *j, const char *key);                               // null
void js_raw(struct js *j, const char *key, const char *json, size_t size); // text that is JSON already

// The text between quotes of a string, escaped. Bytes that are not UTF-8 become U+FFFD.
void js_escape(struct buf *out, const char *text, size_t size);

#endif
