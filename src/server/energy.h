// Energy that the machine's processors take, as their own counters say (Linux' powercap). Many machines, above all
// virtual ones, do not tell: then nothing is known, which is not the same as nothing.
#ifndef SERVER_ENERGY_H
#define SERVER_ENERGY_H

#include <stdbool.h>

struct energy;

// NULL: the system's folder. The result is NULL where there is nothing that can be read.
struct energy *energy_open(const char *folder);
void energy_free(struct energy *e);

// To be called each second or so: the counters begin again after some minutes. Any thread, one at a time.
void energy_tick(struct energy *e, double now);

// Joules since it was opened, by the last tick. False: not known.
bool energy_since_start(const struct energy *e, double *joules);

#endif
