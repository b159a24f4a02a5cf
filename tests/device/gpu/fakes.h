// What the tests of the driver layer have in common: the stand-ins (fake_driver.c, fake_compiler.c), opened.
//
// Environment variables tell them what to be: GYR_FAKE_VERSION, GYR_FAKE_COMPILER (versions), GYR_FAKE_CARDS,
// GYR_FAKE_CHIP, GYR_FAKE_MEMORY (bytes), GYR_FAKE_DELAY (how often an event is asked about before it is there),
// GYR_FAKE_HANG, GYR_FAKE_FAIL (NAME:N:ERROR, more behind commas), GYR_FAKE_WRONG (the N-th read of 8 bytes or more
// comes a word late), GYR_FAKE_LINKS (0: no card reaches another), GYR_FAKE_KERNELS (a library with kernels for the
// host).
#ifndef TESTS_DEVICE_GPU_FAKES_H
#define TESTS_DEVICE_GPU_FAKES_H

#include "device/gpu/gpu.h"

#define FOR_BOTH(name)                                                                                                 \
    static void name##_cuda(void) { name(GPU_CUDA); }                                                                  \
    static void name##_hip(void) { name(GPU_HIP); }

#define RUN_BOTH(name)                                                                                                 \
    do {                                                                                                               \
        RUN(name##_cuda);                                                                                              \
        RUN(name##_hip);                                                                                               \
    } while (0)

// Sources for the stand-ins' compilers: of a plain program and a typed one, and a header.
extern const struct gpu_sources good_sources;

struct fill_args {
    dfloat *x;
    size_t n;
    float value;
};

// Both vendors' libraries, from the folder of the stand-ins.
void load_fakes(struct gpu_api *api, int vendor);

// A number that a stand-in tells of itself: fake_calls, fake_held, fake_compiles. The first two of its driver.
long fake_tells(int vendor, const char *what);

// As if the program had been ended and started again.
void fake_start_again(int vendor);

// No variable of the stand-ins is set.
void fake_behave(void);

// Makes a folder for the test, whose last words are fakes_end(), which removes it; a new folder there; and a new cache
// folder.
bool fakes_begin(void);
int fakes_end(int status);
const char *new_folder(void);
void new_cache(void);

// Opens card 0 of a vendor's stand-in.
struct gpu *open_fake(struct gpu_api *api, int vendor, const struct gpu_sources *sources, gyr_error *e);

#endif
