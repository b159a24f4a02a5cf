// What an answer has to be, as a request says it: JSON, a schema, an expression, a grammar, calls of tools. It becomes
// a grammar of the job.
#ifndef SERVER_CONSTRAINT_H
#define SERVER_CONSTRAINT_H

#include "server/ask.h"
#include "server/call_grammar.h"

struct constraint {
    bool wanted;           // beside tools
    gyr_grammar_kind kind; // of `text`
    struct buf text;
    const char *param; // the member that said so
    enum { TOOLS_AUTO, TOOLS_NONE, TOOLS_MUST } tools;
    const char *tool;      // the one that must be called; NULL: any
    bool one_call;         // no second call in an answer
    const json_t *allowed; // the tools that may be called, of those that there are; NULL: all
};

// Reads a member of a request.
bool constraint_response_format(struct constraint *c, const json_t *value, const char *name, struct fault *f);
bool constraint_structured(struct constraint *c, const json_t *value, const char *name, struct fault *f);
bool constraint_json(struct constraint *c, const char *name, struct fault *f); // any object
bool constraint_schema(struct constraint *c, const json_t *schema, const char *name, struct fault *f);
bool constraint_text(struct constraint *c, gyr_grammar_kind kind, const json_t *text, const char *name,
                     struct fault *f);
bool constraint_tool_choice(struct constraint *c, const json_t *value, const char *name, struct fault *f);

// Of these tools those that the choice allows: a new reference to a list, the old one is taken. NULL: none is left, or
// refused (f->status).
json_t *constraint_allow(const struct constraint *c, json_t *tools, struct fault *f);

// Gives the job its grammar, for an answer that begins as it does. Frees what the constraint has.
bool constraint_settle(struct constraint *c, struct ask *a, const json_t *tools, enum format_begins begins,
                       struct fault *f);

void constraint_free(struct constraint *c);

#endif
