// Threads that read requests: parsing, templates, tokens and grammars take too long for the loop. As many as there is
// work for, up to a limit, because some wait for a model to load.
#ifndef SERVER_CLERKS_H
#define SERVER_CLERKS_H

#include "base/error.h"

struct clerks;

struct clerks *clerks_new(unsigned most, gyr_error *e);

// From any thread: has fn(arg) called on one of the threads. False: memory is out.
bool clerks_add(struct clerks *c, void (*fn)(void *arg), void *arg);

// Waits for what was added.
void clerks_free(struct clerks *c);

#endif
