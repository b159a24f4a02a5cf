// A pool of worker threads that share loops.
#ifndef BASE_THREADS_H
#define BASE_THREADS_H

#include "base/error.h"

struct pool;

// Number of CPUs this process may use (its affinity mask), at least 1.
unsigned cpu_count(void);

// `threads` workers, the caller counted; 0: one for each CPU. NULL when threads cannot be made.
struct pool *pool_new(unsigned threads, gyr_error *e);
void pool_free(struct pool *p);
unsigned pool_threads(const struct pool *p);

// Calls fn(arg, i) for every i in [0, n), spread over the workers, and returns when all are done. The order and the
// worker are not fixed: a task must write only what is its own.
void pool_run(struct pool *p, size_t n, void (*fn)(void *arg, size_t i), void *arg);

#endif
