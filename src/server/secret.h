// What nobody may guess: random names, keys, and how they are compared.
#ifndef SERVER_SECRET_H
#define SERVER_SECRET_H

#include "base/error.h"

enum { SECRET_HASH = 32 };

// Fills `out` with `size` random characters of A-Z, a-z and 0-9 (5.95 bits each), and a NUL behind them.
bool secret_random(char *out, size_t size, gyr_error *e);

// SHA-256.
bool secret_hash(const void *data, size_t size, unsigned char hash[SECRET_HASH]);

// The same of data that comes in parts, at any place.
struct secret_hasher;
struct secret_hasher *secret_hasher_new(void); // NULL: memory is out
bool secret_hasher_add(struct secret_hasher *h, const void *data, size_t size);
bool secret_hasher_get(struct secret_hasher *h, unsigned char hash[SECRET_HASH]); // of all so far
void secret_hasher_free(struct secret_hasher *h);

// Whether two runs of bytes are the same, in a time that does not depend on where they differ.
bool secret_equal(const void *a, const void *b, size_t size);

// Overwrites what must not stay in memory; not optimized away.
void secret_forget(void *data, size_t size);

#endif
