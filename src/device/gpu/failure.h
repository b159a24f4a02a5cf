// What a driver's error means for gyr.
#ifndef DEVICE_GPU_FAILURE_H
#define DEVICE_GPU_FAILURE_H

#include "base/error.h"

// Numbers that gyr itself asks for; CUDA and HIP have the same.
enum { GPU_NO_MEMORY = 2, GPU_NO_CARD = 100, GPU_NOT_READY = 600 };

struct gpu_failure {
    int number;
    enum gyr_status status;
    bool lost;          // nothing can be computed in this process any more
    const char *advice; // what to do
};

// Numbers without a row of their own: GYR_DEVICE, and not lost.
const struct gpu_failure *gpu_failure(int number);

#endif
