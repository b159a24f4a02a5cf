// What all matrix products have in common: K cut into segments, segments into chunks, and how segment sums are added.
#ifndef DEVICE_CPU_PRODUCT_H
#define DEVICE_CPU_PRODUCT_H

#include "device/cpu/tile.h"
#include "device/cpu/wide.h"

// Sums of the rows of one call for WIDE_TILES tiles: those of the current segment, and of 1, 2 and 4 whole ones.
struct sums {
    float now[BATCH_ROWS * WIDE_TILES * TILE], done[SEGMENTS_LOG][BATCH_ROWS * WIDE_TILES * TILE];
} __attribute__((aligned(64)));

// Where a chunk lies: in which segment, and whether it is its first, its last.
struct part {
    unsigned segment;
    bool first, last;
};

// Where the sum of row r and the t-th tile lies.
#define SUM(r, t) (((r)*WIDE_TILES + (size_t)(t)) * TILE)

// Sum `i` as the chunk begins, and as it ends. A complete segment is added to what it makes a pair with, and the pair
// to what that makes a pair with; the last one leaves the whole sum in `now`.
INLINE wf sum_begin(const struct sums *v, size_t i, struct part p) {
    return p.first ? wf_fill(0) : wf_load(v->now + i);
}

INLINE void sum_end(struct sums *v, size_t i, struct part p, wf sum) {
    float *to = v->now + i;
    if (p.last) {
        unsigned level = 0;
        for (; p.segment >> level & 1; level++) sum = wf_add(wf_load(v->done[level] + i), sum);
        if (level < SEGMENTS_LOG) to = v->done[level] + i;
    }
    wf_store(to, sum);
}

// A row's results may lie in a page of their own, which nothing fetches unasked.
enum { PUT_AHEAD = 8 };

// y, of tiles [first, first + tiles).
static inline void sums_put(const struct sums *v, size_t rows, const struct weight *w, size_t first, size_t tiles,
                            const float *bias, float *y) {
    for (size_t r = 0; r < rows; r++)
        for (size_t t = 0; t < tiles; t++) {
            size_t o = (first + t) * TILE;
            if (r + PUT_AHEAD < rows) __builtin_prefetch(y + (r + PUT_AHEAD) * w->rows + o, 1);
            const float *sum = v->now + (r * WIDE_TILES + t) * TILE;
            if (o + TILE <= w->rows)
                wf_store(y + r * w->rows + o, bias ? wf_add(wf_load(sum), wf_load(bias + o)) : wf_load(sum));
            else
                for (size_t i = 0; o + i < w->rows; i++) y[r * w->rows + o + i] = bias ? sum[i] + bias[o + i] : sum[i];
        }
}

// A tile's units [first, first + n): those in memory, or made here from the file's rows.
static inline const uint8_t *tile_units(const struct weight *w, size_t tile, size_t size, size_t unit, size_t first,
                                        size_t n, uint8_t *room) {
    if (w->own) return (const uint8_t *)w->own + tile * size + first * unit;
    tile_pack(w, tile, first, n, room);
    return room;
}

static inline size_t chunk_size(size_t units, size_t most) {
    size_t chunks = (units + most - 1) / most;
    return chunks ? (units + chunks - 1) / chunks : most;
}

// Rows of the panel that begins at row r.
static inline size_t panel(size_t rows, size_t r, size_t wide) { return rows - r < wide ? rows - r : wide; }

// X(rows, ...) for every number of rows a panel can have: EACH_ROWS where it has WIDE_ROWS, EACH_FEW where FEW_ROWS.
#define ONE_OR_TWO(X, ...)  X(1, __VA_ARGS__) X(2, __VA_ARGS__)
#define UP_TO_THREE(X, ...) ONE_OR_TWO(X, __VA_ARGS__) X(3, __VA_ARGS__)
#define UP_TO_SIX(X, ...)   UP_TO_THREE(X, __VA_ARGS__) X(4, __VA_ARGS__) X(5, __VA_ARGS__) X(6, __VA_ARGS__)
#define UP_TO_EIGHT(X, ...) UP_TO_SIX(X, __VA_ARGS__) X(7, __VA_ARGS__) X(8, __VA_ARGS__)
#if WIDE_ROWS == 6
#define EACH_ROWS UP_TO_SIX
#define EACH_FEW  UP_TO_EIGHT
#elif WIDE_ROWS == 3
#define EACH_ROWS UP_TO_THREE
#define EACH_FEW  UP_TO_THREE
#else
#define EACH_ROWS ONE_OR_TWO
#define EACH_FEW  ONE_OR_TWO
#endif
#define ROWS_NAME(rows, name) name##_##rows,

#endif
