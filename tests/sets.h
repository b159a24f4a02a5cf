// The instruction sets that gyr has kernels for. A machine has some of them: what is compared with the scalar kernels
// on the others counts as skipped, and says so.
#ifndef TESTS_SETS_H
#define TESTS_SETS_H

#include "test.h"

static const char *const sets[] = {"scalar", "avx2", "avx512", "amx", "neon"};
enum { SETS = sizeof sets / sizeof *sets };

// For main(), before the cases: a line, and one skipped, for each set that this machine lacks.
static inline void sets_report(bool (*here)(const char *set)) {
    for (int i = 0; i < SETS; i++) {
        if (here(sets[i])) continue;
        printf("skipped all cases with %s: this machine does not have it\n", sets[i]);
        test_skipped++;
    }
}

#endif
