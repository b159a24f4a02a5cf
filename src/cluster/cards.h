// Several cards of one process that are one device, by output rows: each has some rows of every matrix, an expert's
// too, and makes those of each product; what it has made the others take from it (device_ops.take()), or get by way of
// the host. All have the rest, activations, keys, values and states among it, and compute it themselves. No sum is
// split, so the bytes are those of one.
//
// Memory has a piece on each card, and the address of the first one's stands for all.
#ifndef CLUSTER_CARDS_H
#define CLUSTER_CARDS_H

#include "device/device.h"

enum { MOST_CARDS = 16 };

// Card i makes part[i] of what is made, in any unit. The cards, up to MOST_CARDS, are the device's from then on; where
// NULL comes back, they stay the caller's.
struct device *cards_join(struct device *const *card, uint32_t n, const double *part, gyr_error *e);

// Whether every card has all of a matrix that is multiplied.
bool cards_have_whole(const struct weight *w);

#endif
