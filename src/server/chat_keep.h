// Chat completions with "store": true: what is kept of the request, and of what a stream has let go.
#ifndef SERVER_CHAT_KEEP_H
#define SERVER_CHAT_KEEP_H

#include "server/telling.h"

// The own part of a telling that is to be kept.
struct chat_keep {
    struct store *store;
    int64_t owner;
    json_t *echo;                      // members of the request that are told with it
    char *model, *metadata, *messages; // the last two: JSON
    struct kept_choice {
        struct buf logprobs, ids; // as in struct speech
    } * choices;
    unsigned n;
};

// NULL: refused, because nothing is kept here, or no more.
struct chat_keep *chat_keep_new(const struct ask *a, struct fault *f);
void chat_keep_free(void *keep);

// In the loop: what a chunk of a stream has told of tokens.
void chat_keep_told(struct chat_keep *k, const struct speech *s);

// In the loop: keeps the completion, whose JSON is `reply`. False: it could not be.
bool chat_keep_put(struct telling *t, const char *id, const struct buf *reply, struct fault *f);

#endif
