// JSON that is kept for a client under an id: stored responses and conversations.
#ifndef SERVER_OBJECTS_H
#define SERVER_OBJECTS_H

#include "server/store.h"

enum { OBJECT_ID = 64 };

struct object_limits {
    int64_t object_bytes, owner_bytes; // 0: no limit
    int64_t most;                      // of the kind, of an owner; 0: no limit
};

// Keeps an object, or replaces the one of the same owner, kind and id. `expires`: seconds since 1970, 0: never. Fails
// with GYR_TOO_LONG beyond a limit, GYR_USAGE if the id is another owner's.
bool object_put(struct store *s, const char *kind, const char *id, int64_t owner, const char *json, int64_t now,
                int64_t expires, const struct object_limits *limits, gyr_error *e);

// Replaces it, if it is still what it was (`had`). False with e->status 0: it is not, or is gone.
bool object_change(struct store *s, const char *kind, const char *id, int64_t owner, const char *had, const char *json,
                   const struct object_limits *limits, gyr_error *e);

// The JSON; free(). NULL with GYR_USAGE if the owner has none.
char *object_get(struct store *s, const char *kind, const char *id, int64_t owner, int64_t now, gyr_error *e);

bool object_delete(struct store *s, const char *kind, const char *id, int64_t owner, int64_t now, gyr_error *e);

// Removes what has expired. To be called now and then.
bool objects_sweep(struct store *s, int64_t now, gyr_error *e);

#endif
