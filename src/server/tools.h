// The tools of a request: their names, and what type an argument has.
#ifndef SERVER_TOOLS_H
#define SERVER_TOOLS_H

#include "base/buf.h"

#include <jansson.h>
#include <stdbool.h>

// TYPE_JSON, of a value: it is written as JSON, whatever its type.
enum tool_type {
    TYPE_STRING = 1,
    TYPE_NUMBER = 2,
    TYPE_BOOLEAN = 4,
    TYPE_NULL = 8,
    TYPE_OBJECT = 16,
    TYPE_ARRAY = 32,
    TYPE_JSON = 64
};

// A tool by its name; NULL if there is none. `tools`: a list of tools as in OpenAI's APIs, {"type":"function",
// "function":{"name",...}} or the inner object alone; Anthropic's "input_schema" stands for "parameters", too.
const json_t *tool_find(const json_t *tools, const char *name, size_t size);

// A tool's name (NULL if it has none), and the JSON schema of its arguments (NULL: any object).
const char *tool_name(const json_t *tool);
const json_t *tool_schema(const json_t *tool);

// The types that a tool's argument may have; 0 if the schema does not say.
unsigned tool_argument_types(const json_t *tool, const char *key);

// The types that a schema allows; `root` is what its references lead into.
unsigned tool_schema_types(const json_t *schema, const json_t *root);

// A value that a model wrote as bare text, in JSON: what the types allow, a string where they allow that or nothing
// else fits.
void tool_value(struct buf *out, const char *s, size_t size, unsigned types);

#endif
