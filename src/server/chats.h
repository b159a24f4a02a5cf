// Chat completions that are kept for who asked them ("store": true), for 30 days: rows of the state.
#ifndef SERVER_CHATS_H
#define SERVER_CHATS_H

#include "server/store.h"

enum { CHAT_ID = 64, CHAT_BYTES = 16 << 20, CHATS_BYTES = 1 << 30, CHATS_MOST = 100000 }; // each; those of an owner

// JSON, but for `id` and `model`. What is read is the caller's; chat_clear().
struct chat_row {
    char *id, *model;
    char *metadata; // an object of texts
    char *reply;    // the completion
    char *messages; // what it was asked with
};

void chat_clear(struct chat_row *r);

// Whether another is kept for an owner: GYR_TOO_LONG at a limit.
bool chats_room(struct store *s, int64_t owner, gyr_error *e);

bool chat_put(struct store *s, int64_t owner, const struct chat_row *r, int64_t now, gyr_error *e);

// Those of an owner alone, whose time is not over; GYR_USAGE: there is none.
bool chat_get(struct store *s, int64_t owner, const char *id, int64_t now, struct chat_row *r, gyr_error *e);
bool chat_describe(struct store *s, int64_t owner, const char *id, const char *metadata, int64_t now, gyr_error *e);
bool chat_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e);

// A page of them, in the order in which they were kept or, `newest_first`, the other way round.
struct chat_page {
    const char *after;    // the id before the page; NULL: from the beginning
    const char *model;    // of that model; NULL: of any
    const char *metadata; // that have at least these pairs; "{}": any
    size_t limit;         // at most so many, and no more than some 32 MiB
    bool newest_first;
    size_t count; // what came
    bool more;    // there are some behind it
};

// `count` rows, without messages: clear each, free() all. NULL: it failed.
struct chat_row *chats_list(struct store *s, int64_t owner, struct chat_page *p, int64_t now, gyr_error *e);

// Removes those whose time is over. To be called now and then.
bool chats_sweep(struct store *s, int64_t now, gyr_error *e);

#endif
