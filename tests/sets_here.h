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
    setenv("GYR_ISA", set, 1);
    size_t cpu = gyr_device_count() - 1; // behind all others
    bool here = !gyr_device_get_info(cpu, &info, NULL) && !strcmp(info.isa, set);
    if (before)
        setenv("GYR_ISA", before, 1);
    else
        unsetenv("GYR_ISA");
    free(before);
    return here;
}

#endif
