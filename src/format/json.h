// JSON from strangers, by jansson, within bounds. For format/ and hub/.
#ifndef FORMAT_JSON_H
#define FORMAT_JSON_H

#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>

// An object; json_decref(). Refuses what jansson would take but no model file has: duplicate keys, deep nesting, and
// so many empty containers that the tree would be far larger than the text.
// `flags` are jansson's, for what it should take that JSON_REJECT_DUPLICATES alone would not.
json_t *json_parse(const char *data, size_t size, size_t flags, const char *where, gyr_error *e);

// The same for a list.
json_t *json_parse_list(const char *data, size_t size, size_t flags, const char *where, gyr_error *e);

// The same from a file of at most `limit` bytes.
json_t *json_open(const char *path, size_t limit, size_t flags, gyr_error *e);

// The bytes of a string value; size 0 and a NULL pointer for anything else.
struct text json_text(const json_t *j);

// True if j is a string of that text.
bool json_is(const json_t *j, const char *text);

#endif
