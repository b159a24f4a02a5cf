// The model in the box.
#ifndef TESTS_ENGINE_POET_H
#define TESTS_ENGINE_POET_H

#include <stdio.h>
#include <stdlib.h>

static inline const char *poet_path(void) {
    static char path[1024];
    const char *root = getenv("GYR_SOURCE");
    snprintf(path, sizeof path, "%s/models/poet.gguf", root ? root : ".");
    return path;
}

#endif
