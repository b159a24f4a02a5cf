// Launching a kernel of gyr's GPU programs.
#ifndef DEVICE_GPU_LAUNCH_H
#define DEVICE_GPU_LAUNCH_H

#include "device/device.h"

// One launch of a kernel. `args` is copied before the call returns.
struct launch {
    const char *kernel;         // its name in the program; the program is found by the kernel's name
    unsigned grid[3], block[3]; // blocks; threads of a block
    unsigned shared;            // bytes of dynamic shared memory
    const void *args;           // the one struct that every kernel takes by value
    size_t size;
};

struct gpu; // an opened card: context, stream, programs

// Asks for it; what goes wrong is the card's until sync() (device.h). False, with the error set, says that too, at
// once.
bool gpu_launch(struct gpu *gpu, const struct launch *launch, gyr_error *e);

#endif
