// Conversations that clients keep on the server, each a document of its owner's with a version. Of two writers that
// began with the same version the second is told so, instead of replacing what the first wrote.
#ifndef SERVER_CONVERSATIONS_KEPT_H
#define SERVER_CONVERSATIONS_KEPT_H

#include "server/store.h"

enum { KEPT_ID = 64, KEPT_TITLE = 1024, KEPT_MOST = 10000, KEPT_BYTES = 16 << 20, KEPT_OWNER_BYTES = 1 << 30 };

struct kept {
    char id[KEPT_ID + 1];
    int64_t version, created, updated, bytes;
    char *title;
    char *document; // JSON; NULL in lists
};
void kept_clear(struct kept *k);

enum kept_result {
    KEPT_DONE,
    KEPT_NONE,    // the owner has no such conversation
    KEPT_CHANGED, // it has another version than was said
    KEPT_FAILED   // *e says why: GYR_TOO_LONG beyond a limit, GYR_USAGE if the owner's key was removed
};

// All of an owner's, by id; the caller frees each and the list. *state is another number whenever anything of it has
// changed. NULL: it failed.
struct kept *kept_list(struct store *s, int64_t owner, size_t *n, int64_t *state, gyr_error *e);

enum kept_result kept_get(struct store *s, int64_t owner, const char *id, struct kept *k, gyr_error *e);

// Keeps title and document of `k`, and fills in the rest. `had`: the version that is to be replaced; 0: there must be
// none.
enum kept_result kept_put(struct store *s, int64_t owner, struct kept *k, int64_t had, int64_t now, gyr_error *e);

// `had`: the version that is to be deleted; 0: whichever there is.
enum kept_result kept_delete(struct store *s, int64_t owner, const char *id, int64_t had, gyr_error *e);

#endif
