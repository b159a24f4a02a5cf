// Batches at work: a thread that has their lines answered, a bounded number at once and behind all other requests, and
// records what comes of them.
#ifndef SERVER_BATCHER_H
#define SERVER_BATCHER_H

#include "server/routes.h"

struct batcher;

// Starts it: most lines at once.
struct batcher *batcher_new(struct server *s, unsigned most, gyr_error *e);

// From any thread: there is something new. NULL is allowed, here and below.
void batcher_wake(struct batcher *b);

// From any thread: no line is begun any more; what is on its way is still recorded.
void batcher_drain(struct batcher *b);

// Ends the thread. Requests that come from it later are not made.
void batcher_stop(struct batcher *b);

// Once all requests are replied to: records the last answers, and gives back what has none.
void batcher_free(struct batcher *b);

#endif
