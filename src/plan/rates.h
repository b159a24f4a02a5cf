// How fast a device does what a step asks of it: measured here, or what its maker says times the share of it that cards
// which were measured reach.
#ifndef PLAN_RATES_H
#define PLAN_RATES_H

#include "plan/catalogue.h"
#include "plan/demand.h"

enum basis { BASIS_UNKNOWN, BASIS_ESTIMATED, BASIS_SPECIFIED, BASIS_MEASURED };
const char *basis_name(enum basis b);

// Seconds that a product takes for each byte of its weights, by how many rows are multiplied at once.
enum { ROW_COUNTS = 5, MAX_TIMED = 12 };
extern const size_t row_counts[ROW_COUNTS];

struct timed {
    enum type type;
    double seconds[ROW_COUNTS];
};

struct rates {
    enum basis basis;
    double read;                       // bytes a second, attained
    double quantized, halves, singles; // operations a second in products with weights of so many bits, attained
    double attend_one, attend;         // the same in attention, of a row for each sequence, and of many
    double call, product;              // seconds that an operation takes in any case, and a product
    double stream;                     // and for each byte of activations,
    double activation, rotation;       // those of activations, and of queries and keys
    struct timed timed[MAX_TIMED];     // products that were timed; of others, and without, the rates above count
    size_t n_timed;
    double slow, fast; // what is reckoned lies between these shares of it
};

// What bounds a step.
struct spent {
    double seconds, read, compute, other; // the last three add up to the first
};

// 0 seconds: a rate that it needs is not known.
struct spent step_seconds(const struct rates *r, const struct step *s);

// A card of the catalogue.
struct rates rates_of_card(const struct accelerator *a);

// This machine, by timing what the steps have in them. Takes a second or so.
bool rates_here(struct rates *r, struct device *d, const struct checkpoint *c, const struct demand *need, gyr_error *e);

#endif
