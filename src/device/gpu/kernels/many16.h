// Products of some rows with F16 and BF16 weights on tensor cores. A warp takes segments of sixteen outputs and of
// MANY16 rows.
#ifndef DEVICE_GPU_KERNELS_MANY16_H
#define DEVICE_GPU_KERNELS_MANY16_H

#include "chip.h"

#include "planes16.h"
#include "runs16.h"
#include "tensor.h"

enum { TILES16 = MANY16 / LEAST_WIDE, MANY16_AHEAD = 1 };

struct many16_room {
    float sum[SEGMENTS][MANY16 * MANY_OUTPUTS];
};

#ifdef TENSOR

struct sums16 {
    int high[TILES16][4], cross[TILES16][4];
};

// What a lane reads: planes of its outputs and of its row in the first tile, from a segment on; units of its outputs
// and of the first tile's rows, from the segment's first run on.
struct lane16 {
    const uint8_t *w[2], *x;
    const float *w_unit[2], *x_unit;
    size_t x_tile, x_unit_slab; // from a tile, or slab, to the next one
};

FN void weights_of_lane(struct planes_of_lane *p, const struct lane16 *l, unsigned group) {
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) load_planes(p, k, l->w[k] + (size_t)group * GROUP16);
}

FN void add_group16(struct sums16 *s, const struct planes_of_lane *w, const uint8_t *x, size_t tile, unsigned tiles) {
    UNROLL
    for (unsigned n = 0; n < MANY16 / WIDE; n++) {
        if (n >= tiles) continue;
        struct planes_of_lane v;
        load_planes(&v, 0, x + n * tile);
        mma_planes(s->high[n], w->high, v.high);
        mma_planes(s->cross[n], w->high, v.low);
        mma_planes(s->cross[n], w->low, v.high);
    }
}

// The sums of a run go where they belong, with the units of the lane's outputs and rows, and begin again.
FN void add_run16(struct sums16 *s, const float *w_unit, const float *x_unit, size_t slab, unsigned tiles,
                  float (*acc)[4]) {
    UNROLL
    for (unsigned n = 0; n < MANY16 / WIDE; n++) {
        if (n >= tiles) continue;
        for (unsigned k = 0; k < 4; k++) {
            unsigned row = n * WIDE + place_of_row(row_of_element(k));
            float unit = w_unit[output_of_element(k)] * x_unit[row / SLAB16 * slab + row % SLAB16];
            acc[n][k] = fmaf(unit, (float)(256 * s->high[n][k] + s->cross[n][k]), acc[n][k]);
            s->high[n][k] = s->cross[n][k] = 0;
        }
    }
}

// A segment of n groups.
FN void many16_of_segment(struct lane16 *l, unsigned n, unsigned tiles, float (*acc)[4]) {
    struct walk16 walk = walk16_of(n);
    struct planes_of_lane ahead[MANY16_AHEAD];
    struct sums16 s = {{{0}}, {{0}}};
    UNROLL
    for (unsigned i = 0; i < MANY16_AHEAD; i++)
        if (i < n) weights_of_lane(&ahead[i], l, i);
    for (unsigned first = 0; first < n; first += MANY16_AHEAD) {
        UNROLL
        for (unsigned i = 0; i < MANY16_AHEAD; i++) {
            unsigned g = first + i;
            if (g >= n) continue;
            add_group16(&s, &ahead[i], l->x + (size_t)g * GROUP16, l->x_tile, tiles);
            if (g + MANY16_AHEAD < n) weights_of_lane(&ahead[i], l, g + MANY16_AHEAD);
            if (g + 1 < walk.end) continue;
            float w_unit[2] = {*l->w_unit[0], *l->w_unit[OWN_OUTPUTS - 1]};
            add_run16(&s, w_unit, l->x_unit, l->x_unit_slab, tiles, acc);
            for (unsigned k = 0; k < OWN_OUTPUTS; k++) l->w_unit[k] += SLAB16;
            l->x_unit += SLAB16;
            next_run16(&walk);
        }
    }
}

FN struct lane16 lane16_of(const struct product16_args *a, unsigned segment, unsigned output, unsigned row) {
    unsigned groups = groups16(a->cols), last = (unsigned)slabs16(a->outputs) * SLAB16 - 1;
    size_t group = (size_t)strip_start(groups, segment) * GROUP16 + 16 * word_given();
    size_t run = (size_t)first_run16(groups, segment) * SLAB16;
    struct lane16 l;
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
        unsigned o = output + place_of_output(k) < last ? output + place_of_output(k) : last;
        l.w[k] = a->w + row16_at(o, groups) + group;
        l.w_unit[k] = a->w_unit + unit16_at(o, a->runs) + run;
    }
    l.x = a->x + row16_at(row + row_given(), groups) + group;
    l.x_unit = a->x_unit + unit16_at(row, a->runs) + run;
    l.x_tile = (size_t)(WIDE / SLAB16) * groups * GROUP16;
    l.x_unit_slab = (size_t)a->runs * SLAB16;
    return l;
}

// The tree of the segments, and what comes behind it.
FN void store_many16(const struct product16_args *a, const struct many16_room *room, unsigned output, unsigned row) {
    unsigned left = a->rows - row < MANY16 ? a->rows - row : MANY16;
    barrier();
    for (unsigned e = THREAD; e < left * MANY_OUTPUTS; e += THREADS) {
        unsigned o = output + e % MANY_OUTPUTS;
        if (o >= a->outputs) continue;
        float s[SEGMENTS];
        for (unsigned i = 0; i < SEGMENTS; i++) s[i] = room->sum[i][e];
        float sum = ((s[0] + s[1]) + (s[2] + s[3])) + ((s[4] + s[5]) + (s[6] + s[7]));
        if (a->bias) sum += a->bias[o];
        if (a->by != 1) sum *= a->by;
        a->y[(size_t)(row + e / MANY_OUTPUTS) * a->outputs + o] = sum;
    }
}

// Blocks that have the same outputs follow each other: the second finds the weights nearer than in memory.
FN void multiply_many16(const struct product16_args *a, struct many16_room *room) {
    unsigned blocks = a->rows / MANY16 + (a->rows % MANY16 != 0);
    unsigned row = BLOCK_X % blocks * MANY16, output = BLOCK_X / blocks * MANY_OUTPUTS;
    unsigned tiles = tiles_of(a->rows, row, MANY16);
    for (unsigned s = THREAD / TENSOR_LANES; s < SEGMENTS; s += THREADS / TENSOR_LANES) {
        float acc[TILES16][4] = {{0}};
        struct lane16 l = lane16_of(a, s, output, row);
        many16_of_segment(&l, strip_length(groups16(a->cols), s), tiles, acc);
        UNROLL
        for (unsigned n = 0; n < MANY16 / WIDE; n++) put_tile(&room->sum[0][0], MANY16, s, n, acc[n]);
    }
    store_many16(a, room, output, row);
}

#else // never launched there (struct gpu_chip)

FN void multiply_many16(const struct product16_args *a, struct many16_room *room) {}

#endif

#endif
