// Private to src/plan: names as people type them, and how near one is to another.
#ifndef PLAN_NEAR_H
#define PLAN_NEAR_H

#include <stddef.h>

enum { PLAIN = 64 }; // room for a plain name

// Small letters and digits alone: what a name is compared by. Returns how many; what is too long is cut.
size_t name_plain(const char *name, size_t size, char out[PLAIN]);

// How many letters of a plain name have to be changed, added or left out for it to be another.
size_t name_distance(const char *a, const char *b);

#endif
