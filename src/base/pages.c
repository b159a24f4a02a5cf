#include "base/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { LARGE = 2 << 20 };

void *large_pages(void *p, size_t bytes) {
    uintptr_t first = ((uintptr_t)p + LARGE - 1) / LARGE * LARGE, last = ((uintptr_t)p + bytes) / LARGE * LARGE;
    if (p && bytes >= 2 * (size_t)LARGE && first < last) madvise((void *)first, last - first, MADV_HUGEPAGE);
    return p;
}
