// The stand-in: a device for tests, as a GPU would be one. It computes with the CPU's kernels, but later, on a thread
// of its own; its memory cannot be read or written by the host; and it fails when it is told to.
#ifndef TESTS_DEVICE_STAND_IN_H
#define TESTS_DEVICE_STAND_IN_H

#include "device/device.h"

// A source that has this file is linked with stand_in.c, which registers the device by the name "stand-in" before
// main(): it is the device that is opened where none is named.

// How a call fails: there is no memory, it took too long, or the device is lost and with it all that comes after.
enum failure { FAIL_NO_MEMORY, FAIL_TIMED_OUT, FAIL_LOST, FAILURES };

// The n-th call from now on, from 1, fails; 0: none does.
void stand_in_fail(size_t n, enum failure how);

// What was called since the last time this was asked, of all stand-ins together.
struct stand_in_calls {
    size_t all;           // of any kind
    size_t writes, reads; // crossings between host and device
    size_t syncs;
    size_t held; // bytes of memory now
};
struct stand_in_calls stand_in_calls(void);

#endif
