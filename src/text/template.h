// Chat templates: the Jinja language as Hugging Face transformers sets it up (trim_blocks, lstrip_blocks, loop
// controls, tojson, raise_exception, strftime_now). Templates come from strangers: time, memory and recursion are
// bounded.
#ifndef TEXT_TEMPLATE_H
#define TEXT_TEMPLATE_H

#include "base/buf.h"
#include "base/error.h"
#include <jansson.h>

struct chat_template;

// Parses. Errors (GYR_MALFORMED) say "WHERE:LINE:COLUMN: what". The source is copied.
struct chat_template *template_parse(const char *source, size_t size, const char *where, gyr_error *e);
void template_free(struct chat_template *t);

// Renders with the members of the object `variables` as globals. Appends to `out`. A template that refuses
// (raise_exception) gives GYR_MALFORMED and "WHERE:LINE:COLUMN: the template refuses: TEXT". strftime_now() shows the
// local time, or SOURCE_DATE_EPOCH in UTC where the environment has it.
//
// Text that comes from `variables` can be told from the template's own: if `user` is not NULL, it receives pairs
// of offsets [begin, end) into out->data (as size_t's, appended to the buffer) of the runs that were taken from string
// values and keys of `variables`, in order, so that the tokenizer parses no special tokens in them. Variables that are
// called *_token or *_tokens (bos_token, ...) are the model's and count as the template's own. What a run was made
// of follows it through every filter and method.
//
// "written_arguments" of `variables` is no global: a list of [M, C, TEXT]. Where tojson prints the arguments of call C
// of message M, an object, it prints that text, if it is JSON that says the same.
bool template_render(const struct chat_template *t, const json_t *variables, struct buf *out, struct buf *user,
                     gyr_error *e);

#endif
