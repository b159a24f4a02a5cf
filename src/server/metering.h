// Whose energy it was: what the machine took between two moments, shared by those who computed between them, by their
// work. The scheduler's thread alone.
#ifndef SERVER_METERING_H
#define SERVER_METERING_H

#include "base/energy.h"

struct meter;

// What a job took; all zero at first.
struct share {
    double joules, seconds; // the seconds in which it computed
    double least;           // of fewer nothing is known
    bool counted, gap;      // by a counter; some of it is not known
    double work;            // since the last settling
    struct share *next;
};

// NULL: no memory. The counters stay the caller's; NULL: nothing is known.
struct meter *meter_new(struct energy *counters);
void meter_free(struct meter *m);

// Before a step: what was taken while nobody computed is nobody's. `m` may be NULL, here and below.
void meter_begin(struct meter *m);

// After it: what a job did in it, in any unit. Until the next settling the share has to stay.
void meter_add(struct meter *m, struct share *s, double work);

// Shares out what was taken since the last time. meter_tick(): if that was a second ago.
void meter_settle(struct meter *m);
void meter_tick(struct meter *m);

struct energy_spent share_spent(const struct share *s);

#endif
