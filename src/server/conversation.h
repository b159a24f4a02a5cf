// A conversation on its way into a model's chat template: the members that templates know, whatever API they came by.
#ifndef SERVER_CONVERSATION_H
#define SERVER_CONVERSATION_H

#include "server/ask.h"

// Chat completions' messages, as templates take them: content as text, arguments of calls as objects, "developer" as
// "system". A new reference; NULL: refused.
json_t *conversation_messages(const json_t *messages, struct fault *f);

// Tools, checked: [{"type": "function", "function": {"name", ...}}]. Those of other types are left out. A new
// reference, NULL also if none is left: see f->status.
json_t *conversation_tools(const json_t *tools, struct fault *f);

// The messages for a template that knows no tools: with the tools described in them, and calls and results as text. A
// new reference.
json_t *conversation_plain_tools(const json_t *messages, const json_t *tools);

// What a template is given.
struct conversation {
    json_t *messages;   // of conversation_messages()
    json_t *tools;      // NULL: none
    json_t *kwargs;     // more variables; NULL: none
    const char *effort; // of reasoning; NULL: not said
    bool go_on;         // the last message is the answer's beginning
    bool bare;          // nothing is put behind the last message that begins an answer
};

// Renders it with the model's template into the job's prompt.
bool conversation_prompt(struct ask *a, const struct conversation *c, struct fault *f);

#endif
