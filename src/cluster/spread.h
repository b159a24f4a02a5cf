// A device whose products are shared out among ranks: each has some rows of every matrix, or some experts of a mixture,
// and what they make is gathered on all. All ranks make the same calls in the same order, and compute all else
// themselves. No sum is split, so the bytes are those of one.
#ifndef CLUSTER_SPREAD_H
#define CLUSTER_SPREAD_H

#include "cluster/ranks.h"
#include "device/device.h"

struct spread;

// Has the device's operations share their products out: rank i of `ranks` gets part[i] of them, in any unit. Before any
// weight is bound. Fails for a device that keeps weights in a memory of its own.
struct spread *spread_new(struct device *d, struct ranks *ranks, const double *part, gyr_error *e);

// The device is as it was; its weights are to be unbound.
void spread_free(struct spread *s);

// This rank's part of all: 0 to 1.
double spread_own(const struct spread *s);

// A pass begins, which all ranks number alike. What is left of those before it is dropped.
void spread_begin(struct spread *s, uint32_t pass);

// The pass fails here, for a reason that no operation knows of: nobody waits for it.
void spread_fail(struct spread *s, const gyr_error *why);

#endif
