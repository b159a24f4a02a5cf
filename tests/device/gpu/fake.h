// What the stand-ins of both vendors' libraries have in common. They are told by environment variables what to be and
// what to do wrong; gpu_test.c has the list of these.
#ifndef TESTS_DEVICE_GPU_FAKE_H
#define TESTS_DEVICE_GPU_FAKE_H

#include <stdlib.h>

#ifdef FAKE_HIP
#define NAME(cuda, hip) hip
enum { FAKE_IS_HIP = 1, FAKE_WARP = 64 };
#else
#define NAME(cuda, hip) cuda
enum { FAKE_IS_HIP = 0, FAKE_WARP = 32 };
#endif

#define EXPORT __attribute__((visibility("default"))) int

static inline long fake_number(const char *name, long otherwise) {
    const char *v = getenv(name);
    return v && *v ? strtol(v, NULL, 10) : otherwise;
}

#endif
