// Threads that read requests: parsing, templates, tokens and grammars take too long for the loop. As many as there is
// work for, up to a limit, because some wait for a model to load. The next task is one of whoever has the fewest under
// way, and nobody has all threads: who sends much keeps nobody else waiting.
#ifndef SERVER_CLERKS_H
#define SERVER_CLERKS_H

#include "base/error.h"

#include <stdint.h>

enum {
    CLERKS_SPARED = 4, // threads that are kept for other owners
    CLERKS_HOUSE = -1  // the owner of what the server does by itself
};

struct clerks;

// `most` is more than CLERKS_SPARED.
struct clerks *clerks_new(unsigned most, gyr_error *e);

// From any thread: has fn(arg) called on one of the threads, for an owner (exchange_owner()). False: memory is out.
bool clerks_add(struct clerks *c, int64_t owner, void (*fn)(void *arg), void *arg);

// Waits for what was added.
void clerks_free(struct clerks *c);

#endif
