// Conversations as OpenAI's API has them (https://platform.openai.com/docs/api-reference/conversations): items that
// clients and responses add to. Each is an object of its owner's (objects.h). What gyr's own clients keep is something
// else: conversations_kept.h.
#ifndef SERVER_TALKS_H
#define SERVER_TALKS_H

#include "server/fault.h"
#include "server/store.h"

#include <jansson.h>

enum { TALK_ID = 30, TALK_ITEMS = 20, TALK_BYTES = 16 << 20, TALKS_MOST = 10000 }; // TALK_ITEMS: that a request may add

// {"created", "metadata", "items"}; NULL, with e->status of GYR_USAGE if the owner has none of this id.
json_t *talk_get(struct store *s, int64_t owner, const char *id, gyr_error *e);

// Makes one; the object stays the caller's.
bool talk_new(struct store *s, int64_t owner, const json_t *metadata, json_t *items, char id[TALK_ID], int64_t now,
              gyr_error *e);

bool talk_delete(struct store *s, int64_t owner, const char *id, int64_t now, gyr_error *e);

// Changes it, however many others do so at once: fn gets it as it is, more than once perhaps. False: there is none
// (GYR_USAGE), it would be too long (GYR_TOO_LONG), or fn said so, with nothing in *e.
bool talk_change(struct store *s, int64_t owner, const char *id, bool (*fn)(json_t *talk, void *arg), void *arg,
                 gyr_error *e);

// Adds items, which have ids, behind those that are there.
bool talk_add(struct store *s, int64_t owner, const char *id, json_t *items, gyr_error *e);

// Items of a request, as a conversation has them: with ids of the server's, their text in parts. NULL: refused, by
// `name`.
json_t *talk_items(const json_t *given, const char *name, struct fault *f);

#endif
