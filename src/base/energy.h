// Energy that the machine takes, whoever uses it, as its own counters say: of the processors' packages and their memory
// (Linux' powercap), or of a battery that is being discharged. Many machines, above all virtual ones, do not tell: then
// nothing is known, which is not the same as nothing.
#ifndef BASE_ENERGY_H
#define BASE_ENERGY_H

#include <stdbool.h>
#include <stddef.h>

struct energy;

enum { ENERGY_SECONDS = 5 }; // a window of so many and more is measured

// Cards bring their counters up to date every 20 to 100 milliseconds: of a shorter window with a card nothing is known.
#define ENERGY_CARD_SECONDS 0.5

enum energy_basis { ENERGY_UNKNOWN, ENERGY_ESTIMATED, ENERGY_MEASURED };

// "unknown", "estimated", "measured".
const char *energy_basis_name(enum energy_basis b);

// `root` stands for "/sys"; NULL: $GYR_SYSFS, or that. `watts`: what the machine draws while it computes, for where
// there is no counter; 0: not known. Any thread may use it. NULL: no memory.
struct energy *energy_open(const char *root, double watts, double now);
void energy_free(struct energy *e);

// What computes is a card: its energy is counted too, from now on, and without it nothing is known (card_energy.h has
// `kind` and `bus`). One that is counted already is not counted twice.
void energy_add_card(struct energy *e, const char *kind, const char *bus, const char *name);

// Seconds that a window has to have, for something to be known of it.
double energy_least_seconds(struct energy *e);

// Whether a counter, or a battery, tells.
bool energy_counts(struct energy *e);

// What is read ("package-0, dram", "card (NVIDIA H200)", "card (NVIDIA H200) and processor (package-0, dram)"; "" if
// nothing is), and why no counter is, or not all ("" if all are).
const char *energy_source(const struct energy *e);
const char *energy_why(const struct energy *e);

// Reads the counters if a second has passed since the last time: they begin again after some minutes.
void energy_tick(struct energy *e, double now);

// What all has been at a moment. Reads the counters.
struct energy_mark {
    double joules, at;
    unsigned gaps;
};
struct energy_mark energy_now(struct energy *e, double now);

struct energy_spent {
    double joules, seconds;
    enum energy_basis basis;
};

// Between two moments. What a counter says of a window shorter than five seconds is *estimated*: counters are brought
// up to date in steps of their own, and where one has not moved nothing is known. So it is where one began anew
// between. The window may be a part of one that is longer: energy_least_seconds() is the caller's to heed.
struct energy_spent energy_between(struct energy *e, const struct energy_mark *from, const struct energy_mark *to);

// Joules of the counters since it was opened, by the last reading. False: not known.
bool energy_since_start(struct energy *e, double *joules);

#endif
