// How fast a device reads memory of its own.
#ifndef DEVICE_READ_RATE_H
#define DEVICE_READ_RATE_H

#include "device/device.h"

// Whether it has such memory, and not the host's.
bool device_has_read_rate(const struct device *d);

// Bytes a second, measured in some milliseconds, while nothing else is asked for.
bool device_read_rate(struct device *d, double *rate, gyr_error *e);

#endif
