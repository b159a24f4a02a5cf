// Who has what, where a device's products are shared out by rows, among ranks (spread.h) or among cards of one process
// (cards.h): neighbouring rows, in units of 32. Private to src/cluster.
#ifndef CLUSTER_SHARES_H
#define CLUSTER_SHARES_H

#include "device/device.h"

struct shares {
    uint32_t count;
    double *end; // [count]: where each one's part ends, of 1
};

// Of n things.
struct range {
    size_t first, n;
};

// part[i] is in any unit. False: no memory.
bool shares_new(struct shares *s, uint32_t count, const double *part);
void shares_free(struct shares *s);

// Which of n things the i-th has: in multiples of `grain`.
struct range shares_range(const struct shares *s, uint32_t i, size_t n, size_t grain);

// And which rows of a matrix, of which each has some.
struct range shares_rows(const struct shares *s, uint32_t i, size_t rows);

// Whether all have all of a matrix: one that is said to be whole, or that has few rows, which are not worth a message.
// Experts of which one has all are another matter.
bool shares_is_whole(const struct weight *w);

// Columns [first, first + n) of y, `rows` times, that one has made; a row of y is `row` long.
struct piece {
    dfloat *y;
    size_t row, rows;
    size_t first, n;
};

#endif
