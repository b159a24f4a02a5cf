// A device whose products are shared out among ranks: each has some rows of every matrix, or some experts of a mixture,
// and what they make is gathered on all. All ranks make the same calls in the same order, and compute all else
// themselves. No sum is split, so the bytes are those of one.
//
// Of CPUs an expert is one rank's; of cards, which do not tell the host where rows go, each has some rows of every
// expert (cards.h). So all ranks have a card, or none has. What cards have made goes by their vendor's library of
// collectives, where all have the same one (link.c); else by way of the hosts.
#ifndef CLUSTER_SPREAD_H
#define CLUSTER_SPREAD_H

#include "cluster/ranks.h"
#include "device/device.h"

struct spread;

// Has the device's operations share their products out: rank i of `ranks` gets part[i] of them, in any unit. Before any
// weight is bound.
struct spread *spread_new(struct device *d, struct ranks *ranks, const double *part, gyr_error *e);

// Of cards, a step that all ranks take behind it: how they gather. `s` NULL: it could not be had here, and `why` says
// why. False on all ranks if it went wrong on one.
bool spread_meet(struct spread *s, struct ranks *ranks, const gyr_error *why, gyr_error *e);

// The device that a model is to be bound to: of a CPU the one that was given.
struct device *spread_device(struct spread *s);

// The device that was given is as it was, and comes back; its weights are to be unbound before. NULL of NULL.
struct device *spread_free(struct spread *s);

// This rank's part of all: 0 to 1.
double spread_own(const struct spread *s);

// How what cards have made is gathered, for a person; "" of CPUs.
const char *spread_way(const struct spread *s);

// Whether it is gathered by the library: rank 0 says so of each pass, and the others do the same.
bool spread_linked(const struct spread *s);

// The library is not used any more here, and what is on its way ends.
void spread_unlink(struct spread *s);

// A pass begins, which all ranks number alike. What is left of those before it is dropped.
void spread_begin(struct spread *s, uint32_t pass, bool linked);

// The pass fails here, for a reason that no operation knows of: nobody waits for it.
void spread_fail(struct spread *s, const gyr_error *why);

#endif
