// Conversations to learn from: a file with one on each line, in OpenAI's format for fine-tuning chats; or, in a file
// whose name ends in .csv, a table of questions and answers. Or pairs of answers to the same messages, in OpenAI's
// format for preferences.
#ifndef TRAIN_CHATS_H
#define TRAIN_CHATS_H

#include "base/error.h"
#include <jansson.h>

// A conversation whose form was checked: roles are known and in order, contents are there, the last message is the
// assistant's, and something of it is to be learned.
struct chat {
    const char *path;
    size_t line;         // from 1
    json_t *messages;    // as templates want them, without weights
    json_t *tools;       // NULL: none
    const bool *learned; // of each message: the assistant's, but those of weight 0
};

// Calls fn for each line (or row) but blank ones, in order, until it returns false. GYR_MALFORMED, "PATH:LINE: what is
// wrong"; a file without a conversation is wrong, too. Of pairs, it is called twice for each line: with the preferred
// answer and with the other, of which alone is something to be learned.
bool chats_read(const char *path, bool pairs, bool (*fn)(void *arg, const struct chat *c), void *arg, gyr_error *e);

#endif
