// The most probable tokens first, sorted as far as somebody asks: a draw mostly ends among the first few.
#ifndef ENGINE_RANKING_H
#define ENGINE_RANKING_H

#include "device/host.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct candidate {
    float score; // or probability, times a constant
    int32_t id;
};

// Descending; of equals the smaller id.
static inline bool better(struct candidate a, struct candidate b) {
    return a.score > b.score || (a.score == b.score && a.id < b.id);
}

// Elements of which the highest is kept: a block's peak.
enum { BLOCK = HOST_BLOCK };
static inline size_t blocks_of(size_t n) { return (n + BLOCK - 1) / BLOCK; }

// The m-th highest of n peaks, 1 <= m <= n: at least m elements are that high. `work` is [n].
float peak_number(const float *peak, size_t n, size_t m, float *work);

// Moves the n best to the front (Hoare's quickselect), in no order.
void select_best(struct candidate *c, size_t size, size_t n);

// Sorts candidates that are in ascending order of id; `spare` is [n]. Scores are not negative.
void sort_best(struct candidate *c, size_t n, struct candidate *spare);

struct ranking {
    const float *p, *peak; // [n], not negative, and their peaks
    size_t n;
    double floor;                   // what is less is left out, but for what is 1
    struct candidate *list, *spare; // [n]
    float *work;                    // [blocks_of(n)]
    size_t listed;                  // sorted in `list`
    float above;                    // all that is this high is listed
    size_t peaks;                   // how many were asked for last
};

// Lists more of them; false if there are no more.
bool rank_more(struct ranking *r);

#endif
