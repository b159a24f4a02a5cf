// What this machine draws while it computes, where no counter says: what its maker does, times the share of it that is
// usual.
#ifndef PLAN_POWER_H
#define PLAN_POWER_H

#include "gyr.h"
#include "plan/catalogue.h"

// Of the most that a card or machine may draw, what it does: decode, which waits for memory, does not keep the
// arithmetic busy.
extern const double share_watts;

// The catalogue's row of a machine that is sold as one, by its processor's name; NULL: there is none.
const struct accelerator *accelerator_of_cpu(const char *cpu);

// Watts; 0: not known.
double machine_watts(void);

#endif
