// JSON being written (RFC 8259), value by value, into a buffer: what the server sends is made of pieces that come one
// after the other, and a tree of them would only be copied.
#ifndef SERVER_WRITE_JSON_H
#define SERVER_WRITE_JSON_H

#include "base/buf.h"

// Zero but for `out`. A `key` is NULL in an array and at the top. A separator is written where one is due.
struct json_out {
    struct buf *out;
    bool comma;
};

void json_open(struct json_out *j, const char *key, char bracket); // '{' or '['
void json_close(struct json_out *j, char bracket);                 // '}' or ']'
void json_text(struct json_out *j, const char *key, const char *text, size_t size);
void json_string_of(struct json_out *j, const char *key, const char *text); // NUL-terminated; NULL: null
void json_whole(struct json_out *j, const char *key, int64_t value);
void json_number(struct json_out *j, const char *key, double value); // null for what JSON cannot say
void json_bool(struct json_out *j, const char *key, bool value);
void json_none(struct json_out *j, const char *key);                        // null
void json_raw(struct json_out *j, const char *key, const char *json, size_t size); // text that is JSON already

// The text between quotes of a string, escaped. Bytes that are not UTF-8 become U+FFFD.
void json_escape(struct buf *out, const char *text, size_t size);

#endif
