// A conversation at the keyboard.
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include "run.h"

#include <jansson.h>

struct chat {
    struct talk *talk;
    json_t *messages; // [{"role", "content"}, ...]
    bool raw;         // no chat template: what is typed is continued
    bool leave;
};

// If `line` is a command ("/help"), does it and returns true.
bool chat_command(struct chat *c, const char *line);

// The system message's text; NULL if there is none.
const char *chat_system(const struct chat *c);
// Sets it; NULL or "" takes it away.
void chat_set_system(struct chat *c, const char *text);

#endif
