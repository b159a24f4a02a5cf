// Products of many rows with F16 and BF16 weights on tensor cores. A block has WIDE16_OUTPUTS outputs of WIDE16_ROWS
// rows, and goes through the groups of some segments: those of the weights and of the rows come to its memory some
// groups ahead, where each is read by several warps. A warp has two tiles of outputs by two of rows (tensor.h).
// Segments are added in pairs, and these in pairs, as they end (docs/arithmetic.md): sums of one, two and four wait for
// the next.
#ifndef DEVICE_GPU_KERNELS_WIDE16_H
#define DEVICE_GPU_KERNELS_WIDE16_H

#include "chip.h"

#include "planes16.h"
#include "runs16.h"
#include "tensor.h"

enum {
    WIDE16_STAGES = 3,
    WIDE16_SLABS = (WIDE16_OUTPUTS + WIDE16_ROWS) / SLAB16,
    WIDE16_COPIES = WIDE16_SLABS * GROUP16 / 16 / THREADS, // of a thread, for a group
    LEVELS16 = 3
};

// Of each stage the slabs of the weights, then those of the rows.
struct wide16_room {
    ALIGNED16 uint8_t stage[WIDE16_STAGES][WIDE16_SLABS * GROUP16];
};

#ifdef TENSOR

// Tiles of outputs, of rows, elements of a lane.
typedef float floats_of_warp[2][2][4];

struct sums_of_warp {
    int high[2][2][4], cross[2][2][4];
};

struct wide16 {
    const uint8_t *from[WIDE16_COPIES];    // what this thread copies of the next group
    unsigned next, end;                    // groups
    unsigned w, x;                         // of a stage, where the lane's planes of its first output and row are
    const float *w_unit[2][2], *x_unit[2]; // of the lane's outputs; of the first row of a tile
    size_t x_unit_slab;
};

// Where the block's slab i is, its weights' first.
FN const uint8_t *slab_of_block(const struct product16_args *a, unsigned output, unsigned row, unsigned i) {
    unsigned groups = groups16(a->cols), last = (unsigned)slabs16(a->outputs) - 1, slab = output / SLAB16 + i;
    if (i >= WIDE16_OUTPUTS / SLAB16) return a->x + row16_at(row + (i * SLAB16 - WIDE16_OUTPUTS), groups);
    return a->w + row16_at((size_t)(slab < last ? slab : last) * SLAB16, groups);
}

FN void copy_group(struct wide16 *t, struct wide16_room *room, unsigned stage) {
    UNROLL
    for (unsigned i = 0; i < WIDE16_COPIES; i++) {
        if (t->next < t->end) copy_later(&room->stage[stage][(i * THREADS + THREAD) * 16], t->from[i]);
        t->from[i] += GROUP16;
    }
    t->next++;
    send_copies();
}

FN unsigned row_tiles_of_block(void) { return THREADS / TENSOR_LANES / 2; }

// The first of the warp's outputs and rows in its block.
FN unsigned outputs_of_warp(void) { return THREAD / TENSOR_LANES % 2 * 32; }
FN unsigned rows_of_warp(void) { return THREAD / TENSOR_LANES / 2 * 2 * WIDE; }

FN struct wide16 wide16_of(const struct product16_args *a, unsigned output, unsigned row, unsigned segment) {
    unsigned groups = groups16(a->cols), last = (unsigned)slabs16(a->outputs) * SLAB16 - 1;
    size_t run = (size_t)first_run16(groups, segment) * SLAB16;
    struct wide16 t;
    t.next = strip_start(groups, segment);
    t.end = strip_start(groups, segment + a->segments);
    for (unsigned i = 0; i < WIDE16_COPIES; i++) {
        unsigned at = i * THREADS + THREAD;
        t.from[i] =
            slab_of_block(a, output, row, at / (GROUP16 / 16)) + (size_t)t.next * GROUP16 + at % (GROUP16 / 16) * 16;
    }
    t.w = (unsigned)row16_at(outputs_of_warp() + place_of_output(0), 1) + 16 * word_given();
    t.x = (unsigned)row16_at(WIDE16_OUTPUTS + rows_of_warp() + row_given(), 1) + 16 * word_given();
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            unsigned o = output + outputs_of_warp() + m * MANY_OUTPUTS + place_of_output(k);
            t.w_unit[m][k] = a->w_unit + unit16_at(o < last ? o : last, a->runs) + run;
        }
        t.x_unit[m] = a->x_unit + unit16_at(row + rows_of_warp() + m * WIDE, a->runs) + run;
    }
    t.x_unit_slab = (size_t)a->runs * SLAB16;
    return t;
}

FN void multiply_group(struct sums_of_warp *s, const struct wide16 *t, const uint8_t *stage) {
    struct planes_of_lane w, x[2];
    UNROLL
    for (unsigned n = 0; n < 2; n++) load_planes(&x[n], 0, stage + t->x + n * (WIDE / SLAB16) * GROUP16);
    UNROLL
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned k = 0; k < OWN_OUTPUTS; k++)
            load_planes(&w, k, stage + t->w + (m * MANY_OUTPUTS / SLAB16 + k) * GROUP16);
        UNROLL
        for (unsigned n = 0; n < 2; n++) {
            mma_planes(s->high[m][n], w.high, x[n].high);
            mma_planes(s->cross[m][n], w.high, x[n].low);
            mma_planes(s->cross[m][n], w.low, x[n].high);
        }
    }
}

// Units of a run: asked for when it begins, since they come from far.
struct units_of_warp {
    float w[2][2], x[2][MOST_OWN];
};

FN void next_units(struct units_of_warp *u, struct wide16 *t) {
    UNROLL
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            u->w[m][k] = *t->w_unit[m][k];
            t->w_unit[m][k] += SLAB16;
        }
        for (unsigned i = 0; i < OWN_ROWS; i++) {
            unsigned row = place_of_row(i);
            u->x[m][i] = t->x_unit[m][row / SLAB16 * t->x_unit_slab + row % SLAB16];
        }
        t->x_unit[m] += SLAB16;
    }
}

FN void end_run(struct sums_of_warp *s, const struct units_of_warp *u, floats_of_warp acc) {
    UNROLL
    for (unsigned m = 0; m < 2; m++) UNROLL
    for (unsigned n = 0; n < 2; n++) UNROLL
    for (unsigned k = 0; k < 4; k++) {
        float unit = u->w[m][output_of_element(k)] * u->x[n][row_of_element(k)];
        acc[m][n][k] = fmaf(unit, (float)(256 * s->high[m][n][k] + s->cross[m][n][k]), acc[m][n][k]);
        s->high[m][n][k] = s->cross[m][n][k] = 0;
    }
}

// The i-th segment's sums take those that wait for them, as carries go up when counting; what is left waits, or is all.
FN void end_segment(floats_of_warp acc, floats_of_warp *waiting, unsigned i) {
    bool carried = true;
    UNROLL
    for (unsigned level = 0; level < LEVELS16; level++) {
        bool takes = i >> level & 1;
        UNROLL
        for (unsigned e = 0; e < 16; e++) {
            float *sum = &acc[e / 8][e / 4 % 2][e % 4], *other = &waiting[level][e / 8][e / 4 % 2][e % 4];
            if (carried && takes) *sum = *other + *sum;
            if (carried && !takes) *other = *sum;
        }
        carried = carried && takes;
    }
}

FN void store_wide16(const struct product16_args *a, unsigned output, unsigned row, floats_of_warp sum) {
    float *y = a->y + (a->segments < SEGMENTS ? (size_t)BLOCK_Y * a->rows * a->outputs : 0);
    UNROLL
    for (unsigned m = 0; m < 2; m++) UNROLL
    for (unsigned n = 0; n < 2; n++) UNROLL
    for (unsigned k = 0; k < 4; k++) {
        unsigned o = output + outputs_of_warp() + m * MANY_OUTPUTS + place_of_output(output_of_element(k));
        unsigned r = row + rows_of_warp() + n * WIDE + place_of_row(row_of_element(k));
        if (o >= a->outputs || r >= a->rows) continue;
        float v = sum[m][n][k];
        if (a->bias) v += a->bias[o];
        if (a->by != 1) v *= a->by;
        y[(size_t)r * a->outputs + o] = v;
    }
}

// BLOCK_X: of rows, then of outputs, so that blocks that share weights run together; BLOCK_Y: a->segments segments.
FN void multiply_wide16(const struct product16_args *a, struct wide16_room *room) {
    unsigned blocks = a->rows / WIDE16_ROWS + (a->rows % WIDE16_ROWS != 0), groups = groups16(a->cols), stage = 0;
    unsigned row = BLOCK_X % blocks * WIDE16_ROWS, output = BLOCK_X / blocks * WIDE16_OUTPUTS;
    struct wide16 t = wide16_of(a, output, row, BLOCK_Y * a->segments);
    struct sums_of_warp s = {{{{0}}}, {{{0}}}};
    struct units_of_warp u;
    floats_of_warp acc, waiting[LEVELS16];
    for (unsigned i = 0; i < WIDE16_STAGES - 1; i++) copy_group(&t, room, i);
    for (unsigned segment = 0; segment < a->segments; segment++) {
        unsigned n = strip_length(groups, BLOCK_Y * a->segments + segment);
        struct walk16 walk = walk16_of(n);
        UNROLL
        for (unsigned e = 0; e < 16; e++) acc[e / 8][e / 4 % 2][e % 4] = 0;
        if (n) next_units(&u, &t);
        for (unsigned g = 0; g < n; g++) {
            await_copies(WIDE16_STAGES - 2);
            barrier(); // this group has come for all, and all are done with the stage before it
            copy_group(&t, room, (stage + WIDE16_STAGES - 1) % WIDE16_STAGES);
            multiply_group(&s, &t, room->stage[stage]);
            stage = (stage + 1) % WIDE16_STAGES;
            if (g + 1 < walk.end) continue;
            end_run(&s, &u, acc);
            next_run16(&walk);
            if (g + 1 < n) next_units(&u, &t);
        }
        end_segment(acc, waiting, segment);
    }
    await_copies(0);
    store_wide16(a, output, row, acc);
}

#else // never launched there (struct gpu_chip)

FN void multiply_wide16(const struct product16_args *a, struct wide16_room *room) {}

#endif

#endif
