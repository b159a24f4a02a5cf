// F16 and BF16 weights as integers of 16 bits, in two planes of bytes: a weight is 2^e (256 high + low), an activation
// d (256 high + low), with one e and one d for a run of a row (docs/arithmetic.md).
//
// K is counted in groups of 64, the last one padded with zeros. A segment's groups are cut into as few runs of at most
// eight as will do, of nearly the same length; an empty segment is an empty run. A tile is its runs, one after the
// other. A run is the sixteen rows' scales, floats, and for each group the high plane and the low plane: byte
// 4 r + i of vector j is row r, weight 4 j + i, raised by 128.
//
// Activations of a batch lie run by run, in a run row by row, and in a row as weights do: for each group 64 high bytes
// and 64 low ones, not raised. So one row's planes are a constant distance from the next one's. After them all, run by
// run and row by row, what belongs to a run.
#ifndef DEVICE_CPU_TILE_W16_H
#define DEVICE_CPU_TILE_W16_H

#include <limits.h>

#include "device/cpu/tile.h"

enum { W16_GROUP = 64, W16_RUN = 8, W16_WORDS = W16_GROUP / 4, MAX_W16 = 127 * 256 + 127 };
enum { W16_HEAD = TILE * 4, W16_PLANE = TILE * W16_GROUP, W16_ROW = 2 * W16_GROUP };
enum { W16_RUN_BYTES = W16_HEAD + W16_RUN * 2 * W16_PLANE };

static inline bool is_w16(enum type type) { return type == TYPE_F16 || type == TYPE_BF16; }

// Groups [first, first + n) of a row: piece `piece` of the segment [start, end), which has `pieces`.
struct run {
    size_t number, first, n;
    size_t start, end, piece, pieces;
    unsigned segment;
    bool begins, ends; // the segment
};

static inline size_t w16_groups(size_t cols) { return (cols + W16_GROUP - 1) / W16_GROUP; }

// Runs of a segment of n groups. An empty segment has an empty run.
static inline size_t w16_pieces(size_t n) { return n ? (n + W16_RUN - 1) / W16_RUN : 1; }

static inline size_t w16_runs(size_t cols) {
    size_t groups = w16_groups(cols), runs = 0;
    for (size_t s = 0; s < SEGMENTS; s++) runs += w16_pieces(segment_start(groups, s + 1) - segment_start(groups, s));
    return runs;
}

// for (struct run r = w16_begin(); w16_next(groups, &r);)
static inline struct run w16_begin(void) { return (struct run){.number = SIZE_MAX, .segment = UINT_MAX, .ends = true}; }

static inline bool w16_next(size_t groups, struct run *r) {
    r->begins = r->ends;
    r->piece++;
    if (r->begins) {
        if (++r->segment == SEGMENTS) return false;
        r->start = segment_start(groups, r->segment);
        r->end = segment_start(groups, r->segment + 1);
        r->pieces = w16_pieces(r->end - r->start);
        r->piece = 0;
    }
    size_t n = r->end - r->start;
    r->number++;
    r->first = r->start + n * r->piece / r->pieces;
    r->n = r->start + n * (r->piece + 1) / r->pieces - r->first;
    r->ends = r->piece + 1 == r->pieces;
    return true;
}

// Where a run begins in its tile, and how many bytes it has.
static inline size_t w16_at(const struct run *r) { return r->number * W16_HEAD + r->first * 2 * W16_PLANE; }
static inline size_t w16_run_bytes(const struct run *r) { return W16_HEAD + r->n * 2 * W16_PLANE; }

static inline size_t w16_tile_bytes(size_t cols) {
    return w16_runs(cols) * W16_HEAD + w16_groups(cols) * 2 * W16_PLANE;
}

// A run of a row of activations: its unit, and what an instruction set that multiplies raised bytes has to add.
struct act16 {
    float d;
    uint32_t start;
};

static inline size_t w16_row_bytes(size_t cols) {
    return (w16_groups(cols) * W16_ROW + w16_runs(cols) * sizeof(struct act16) + 63) / 64 * 64;
}

// Of a batch of `rows` rows at x: row r's planes of a run, and its unit.
static inline uint8_t *w16_planes(void *x, size_t rows, const struct run *run, size_t r) {
    return (uint8_t *)x + (rows * run->first + r * run->n) * W16_ROW;
}

static inline struct act16 *w16_units(void *x, size_t cols, size_t rows, const struct run *run, size_t r) {
    return (struct act16 *)((uint8_t *)x + rows * w16_groups(cols) * W16_ROW) + run->number * rows + r;
}

#endif
