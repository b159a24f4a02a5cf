// JSON from strangers, as Python's json module reads and writes it, in trees of jansson's.
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>

// An object; json_decref(). What Python takes is taken: NaN and infinities, integers of any size, halves of surrogate
// pairs (which become U+FFFD), a zero byte in a string or a key, a byte order mark. Of a key that is there twice the
// last one counts, unless `flags` has jansson's JSON_REJECT_DUPLICATES. Refuses deep nesting, and so many empty
// containers that the tree would be far larger than the text.
json_t *json_parse(const char *data, size_t size, size_t flags, const char *where, gyr_error *e);

// The same for a list.
json_t *json_parse_list(const char *data, size_t size, size_t flags, const char *where, gyr_error *e);

// Messages and similar input: any value, nested more deeply. GYR_USAGE, "messages:LINE:COLUMN: ...".
json_t *json_parse_talk(const char *data, size_t size, gyr_error *e);

// Any value, nested at most `depth` deep. GYR_MALFORMED, "WHERE:LINE:COLUMN: ...".
json_t *json_parse_any(const char *data, size_t size, size_t depth, const char *where, gyr_error *e);

// The same as json_parse() from a file of at most `limit` bytes.
json_t *json_open(const char *path, size_t limit, size_t flags, gyr_error *e);

// The bytes of a string value, zero bytes among them; size 0 and a NULL pointer for anything else.
struct text json_text(const json_t *j);

// The same as a C string; NULL where it has a zero byte, too.
const char *json_c_string(const json_t *j);

// True if j is a string of that text.
bool json_is(const json_t *j, const char *text);

// A number that jansson has no value for: "NaN", "Infinity", "-Infinity", or the digits of an integer beyond 64 bits.
// NULL for anything else. To jansson it is a string, to json_text() none.
const char *json_strange(const json_t *j);

// Any number, such a one too; false for anything else.
bool json_real_of(const json_t *j, double *out);

// A key of an object as it was written: keys with a zero byte are spelled in `room`, others stand where they are.
struct text json_key(const char *key, struct buf *room);

#endif
