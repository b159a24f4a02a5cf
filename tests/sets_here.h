// Which instruction sets gyr finds here, by the public header.
#ifndef TESTS_SETS_HERE_H
#define TESTS_SETS_HERE_H

#include "gyr.h"
#include "sets.h"

// Leaves GYR_ISA as it was.
static inline bool sets_here(const char *set) {
    gyr_device_info info = {0};
    const char *given = getenv("GYR_ISA");
    char *before = given ? strdup(given) : NULL;
    bool here = false;
    setenv("GYR_ISA", set, 1);
    for (size_t i = 0; i < gyr_device_count() && !here; i++)
        here = !gyr_device_get_info(i, &info, NULL) && !strcmp(info.kind, "cpu") && !strcmp(info.isa, set);
    if (before)
        setenv("GYR_ISA", before, 1);
    else
        unsetenv("GYR_ISA");
    free(before);
    return here;
}

#endif
