// What a model writes, taken apart as it comes: reasoning, text, and calls of tools.
//
// The bytes may come in any pieces; what is told is the same, but for where deltas are cut. A call that does not parse
// is text. Nothing here fails but for memory.
//
//     struct output *o = output_new(&options, &err);
//     ... output_put(o, bytes, size, special) for each token ...
//     if (!output_finish(o, ended, &err)) ...
//     output_free(o);
//
// A call is told of as soon as its name is known to be a tool's and its arguments begin; arguments that were told are
// the beginning of valid JSON. What breaks later ends the call, with `whole` false, and what follows is text from the
// byte on that broke it. With `whole_calls` a call is told of when all of it has come, and a broken one is text from
// its first byte.
//
// White space between text and a call, and around reasoning, is not told: templates put their own there. Text after
// reasoning or calls begins with its first line that is not blank. Where text goes on after a call, and the same for
// reasoning, "\n\n" stands between.
#ifndef SERVER_OUTPUT_H
#define SERVER_OUTPUT_H

#include "server/formats.h"

#include "base/error.h"

#include <jansson.h>

enum output_kind {
    OUTPUT_REASONING, // a piece of reasoning
    OUTPUT_TEXT,      // a piece of the answer
    OUTPUT_CALL,      // a call begins: `data` is the tool's name
    OUTPUT_ARGUMENTS, // a piece of its arguments, a JSON object
    OUTPUT_CALL_ENDS,
};

struct output_event {
    enum output_kind kind;
    const char *data; // valid UTF-8, whole characters; not NUL-terminated; good during the call
    size_t size;
    size_t index;   // of the call, from 0
    const char *id; // OUTPUT_CALL: what the model itself calls the call by, for formats in which a later prompt has to
    size_t id_size; // show it again (Kimi); 0: none, any id will do
    bool whole;     // OUTPUT_CALL_ENDS: the arguments are a whole JSON object
};

struct output_options {
    const struct format *format; // must outlive the output, as `tools` must
    const json_t *tools;         // see tools.h; NULL: calls are text
    enum format_begins begins;   // format_begins() of the prompt
    bool whole_calls;
    void (*event)(void *user, const struct output_event *event);
    void *user;
};

struct output;

struct output *output_new(const struct output_options *options, gyr_error *e);
void output_free(struct output *o);

// The bytes of a token, or any piece of them. `special`: of a special token, with its name for bytes; one that marks
// nothing is left out.
void output_put(struct output *o, const char *bytes, size_t size, bool special);

// The end. `ended`: the model said so (it was not cut off): arguments that lack only closing tags are whole then.
// Fails with GYR_NO_MEMORY.
bool output_finish(struct output *o, bool ended, gyr_error *e);

// Reasoning is open now; for budgets.
bool output_is_reasoning(const struct output *o);

// Calls that began so far.
size_t output_calls(const struct output *o);

#endif
