// A vendor's driver and run-time compiler, opened where the machine has them. Nothing of either is needed to build gyr.
#ifndef DEVICE_GPU_API_H
#define DEVICE_GPU_API_H

#include "base/error.h"
#include "device/gpu/vendor.h"

#include <stddef.h>
#include <stdint.h>

// A library that was looked for.
struct gpu_library {
    bool there;       // it was found, whether or not it is of use
    bool good;        // it can be used
    int major, minor; // its version
    uint64_t stamp;   // of its file: its size and time
    char why[320];    // if it is not good: what is wrong and what to do
};

// CUDA's CUlaunchConfig, and an attribute of it whose value is a number.
struct gpu_launch_attribute {
    int32_t id, pad, value, more[15];
};
struct gpu_launch_config {
    uint32_t grid[3], block[3], shared;
    void *stream;
    const struct gpu_launch_attribute *attribute;
    uint32_t attributes;
};

struct gpu_api {
    const struct gpu_vendor *vendor;
    struct gpu_library driver, compiler;
    int cards;
#define DRIVER(here, cuda, hip, arguments)   int(*here) arguments;
#define COMPILER(here, cuda, hip, arguments) int(*here) arguments;
#include "device/gpu/functions.inc"
#undef DRIVER
#undef COMPILER
};

// Looks for both libraries, in `folders` ("A:B"; may be NULL) first; starts the driver and counts the cards. What is
// missing, or too old, is in the libraries' `why`. Libraries stay open for the life of the process: drivers do not bear
// to be closed.
void gpu_api_load(struct gpu_api *api, const struct gpu_vendor *vendor, const char *folders);

// The compiler alone, for a machine without a card; what is compiled is for a driver that is as new.
void gpu_api_load_compiler(struct gpu_api *api, const struct gpu_vendor *vendor, const char *folders);

// Whether programs can be had: there is a compiler, or a folder of programs that were compiled elsewhere,
// $GYR_GPU_PROGRAMS.
bool gpu_compiles(const struct gpu_api *api);

// Whether a chip is one that the compiler says it knows; true if it does not say, or there is none.
bool gpu_api_knows(const struct gpu_api *api, const char *chip);

#endif
