#include "device/gpu/failure.h"

#include <stddef.h>

#define START_AGAIN "end this program and start it again"
#define FAULT       "this is a fault of gyr's kernels: please report it, and " START_AGAIN

// CUDA's numbers, which HIP has taken over. The last row is for all others.
static const struct gpu_failure table[] = {
    {GPU_NO_MEMORY, GYR_NO_MEMORY, false, "end other programs on the card, or choose a smaller model or context"},
    {46, GYR_DEVICE, false, "another program has the card for itself, or it is being reset: try again later"},
    {GPU_NO_CARD, GYR_DEVICE, false, "check that the card is there and that this user may use it"},
    {101, GYR_DEVICE, false, "check that the card is there and that this user may use it"},
    {200, GYR_UNSUPPORTED, false, "update the driver"},
    {209, GYR_UNSUPPORTED, false, "update the driver"},
    {214, GYR_DEVICE, true, "the card's memory has a fault: " START_AGAIN ", and look at the system's log"},
    {218, GYR_UNSUPPORTED, false, "update the driver"},
    {220, GYR_DEVICE, true, "the link between cards has a fault: " START_AGAIN ", and look at the system's log"},
    {222, GYR_UNSUPPORTED, false, "update the driver"},
    {226, GYR_DEVICE, true, START_AGAIN},
    {302, GYR_UNSUPPORTED, false, "install the driver again"},
    {303, GYR_UNSUPPORTED, false, "install the driver again"},
    {500, GYR_UNSUPPORTED, false, "this is a fault of gyr: please report it"},
    {700, GYR_DEVICE, true, FAULT},
    {701, GYR_DEVICE, false, "this is a fault of gyr's kernels: please report it"},
    {702, GYR_DEVICE, true, "the card shows a screen, and the system stops what takes seconds there: " START_AGAIN},
    {709, GYR_DEVICE, true, START_AGAIN},
    {710, GYR_DEVICE, true, FAULT},
    {714, GYR_DEVICE, true, FAULT},
    {715, GYR_DEVICE, true, FAULT},
    {716, GYR_DEVICE, true, FAULT},
    {717, GYR_DEVICE, true, FAULT},
    {718, GYR_DEVICE, true, FAULT},
    {719, GYR_DEVICE, true, FAULT},
    {802, GYR_DEVICE, false, "start NVIDIA's fabric manager, which cards that are linked by NVSwitch wait for"},
    {803, GYR_DEVICE, false, "the driver was updated and the old one is still loaded: restart the machine"},
    {804, GYR_DEVICE, false, "the driver's library is not for this card: remove compatibility packages of CUDA"},
    {911, GYR_DEVICE, true, START_AGAIN},
    {999, GYR_DEVICE, true, START_AGAIN ", and look at the system's log"},
    {-1, GYR_DEVICE, false, "look at the system's log"},
};

const struct gpu_failure *gpu_failure(int number) {
    const struct gpu_failure *f = table;
    while (f->number >= 0 && f->number != number) f++;
    return f;
}
