// A budget for reasoning: when so many of its tokens were said, the text that ends it has to come, and the answer goes
// on. By the mask that each choice of a token has.
#ifndef SERVER_REASONING_H
#define SERVER_REASONING_H

#include "server/ask.h"
#include "server/formats.h"

// Of a job.
struct budget {
    size_t tokens;
    const char *open, *close;         // the texts that mark reasoning
    bool open_special, close_special; // they begin with a special token: text that spells it is none
    bool begins;                      // reasoning is open from the start
    size_t count;
    int32_t *ids; // what has to come in the end
};

// Gives the job the budget, for an answer that begins as it does; nothing happens where a model does not reason. False:
// refused. After constraint_settle().
bool budget_settle(struct ask *a, enum format_begins begins, const json_t *tools, struct fault *f);
void budget_free(struct budget *b);

// Reads the number of tokens into the ask.
bool budget_read(struct ask *a, const json_t *value, const char *name, struct fault *f);

// Where an answer stands. Zero but for `budget` (NULL: none).
struct reasoning {
    const struct budget *budget;
    enum { REASONING_UNKNOWN, REASONING_OPEN, REASONING_OVER } state;
    size_t tokens, forced; // of the reasoning; of the text that ends it
    struct buf tail;       // of what came
};

void reasoning_begin(struct reasoning *r, const struct budget *b);

// The token that has to come next; -1: any may.
int32_t reasoning_next(const struct reasoning *r);

// A token came, with its text, or its name if it is a special one.
void reasoning_heard(struct reasoning *r, int32_t id, const char *text, size_t size, bool special);

#endif
