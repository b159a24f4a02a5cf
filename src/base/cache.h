// The folder of what can be made again but takes time, and the numbers that files there are known by.
#ifndef BASE_CACHE_H
#define BASE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// $XDG_CACHE_HOME/gyr, or ~/.cache/gyr; free(). NULL if there is neither.
char *cache_folder(void);

// Makes it, and the folders above it; nobody else may look into it. Whether it can be written to.
bool cache_make_folder(char *path);

// Hashes n bytes into `h`.
uint64_t cache_hash(uint64_t h, const void *p, size_t n);

// Where in a file the text stands that says what it was made from.
enum { CACHE_SOURCE = 40 };

#endif
