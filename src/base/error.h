// Errors are values: a status and one line. Every call that can fail takes a `gyr_error *` last.
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include "gyr.h"

// Fills `e` (may be NULL) and returns false, so that a failing function is one line: `return fail(e, ...);`.
// The message is "WHERE: what is wrong and what to do"; control characters in it are replaced by '?'.
__attribute__((format(printf, 3, 4))) bool fail(gyr_error *e, gyr_status status, const char *format, ...);

// The same for functions that return a pointer.
#define fail_null(...) (fail(__VA_ARGS__), NULL)

// Out of memory while doing `what`.
bool fail_memory(gyr_error *e, const char *what);

#endif
