// Which call of a stand-in fails. GYR_FAKE_FAIL is NAME:N:ERROR: the n-th call of that name, or of any ("any"), fails
// so; behind a comma what fails next, counted from there.
#ifndef TESTS_DEVICE_GPU_FAKE_FAILS_H
#define TESTS_DEVICE_GPU_FAKE_FAILS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long fake_turns(const char *entry) { return *entry ? strtol(strchr(entry, ':') + 1, NULL, 10) : 0; }

// The error of this call; 0: it does not fail.
static int fake_fails(const char *name) {
    static char told[64];
    static const char *entry;
    static long left;
    const char *v = getenv("GYR_FAKE_FAIL");
    if (!v) {
        *told = 0;
        return 0;
    }
    if (strcmp(told, v)) {
        snprintf(told, sizeof told, "%s", v);
        left = fake_turns(entry = told);
    }
    size_t n = strcspn(entry, ":");
    if (strncmp(entry, "any", n) && (strlen(name) != n || strncmp(entry, name, n))) return 0;
    if (left <= 0 || --left) return 0;
    int error = (int)strtol(strchr(strchr(entry, ':') + 1, ':') + 1, NULL, 10);
    entry += strcspn(entry, ",");
    entry += *entry == ',';
    left = fake_turns(entry);
    return error;
}

#endif
