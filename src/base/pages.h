// Large pages of memory. What is touched for the first time costs a fault for each page, and the tables that addresses
// are looked up in have room for few of them.
#ifndef BASE_PAGES_H
#define BASE_PAGES_H

#include <stddef.h>

// Asks for the system's large pages for what malloc() or calloc() gave and nobody has touched. Returns p; NULL is NULL.
void *large_pages(void *p, size_t bytes);

#endif
