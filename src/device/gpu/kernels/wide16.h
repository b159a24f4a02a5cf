// Products of several and of many rows with F16 and BF16 weights on tensor cores. A block has WIDE16_OUTPUTS outputs of
// ROWS16 rows, and goes through the groups of some segments: while one group of the weights and rows is multiplied the
// next ones come to the block's memory, where each is read by several warps. Few registers and little memory: several
// blocks are to be on a processor, one of which computes while the other waits. The program says, before it includes
// this: ROWS16; OUTPUT_TILES and ROW_TILES of a warp (tensor.h); STAGES, groups that there is room for.
#ifndef DEVICE_GPU_KERNELS_WIDE16_H
#define DEVICE_GPU_KERNELS_WIDE16_H

#include "chip.h"

#include "args.h"
#include "output.h"
#include "runs16.h"
#include "tensor.h"

#ifndef ROWS16
#define ROWS16       WIDE16_ROWS
#define OUTPUT_TILES 2
#define ROW_TILES    2
#define STAGES       2
#endif

// Elements of a lane; warps beside each other that have all outputs; lines of 16 bytes of a stage, the slabs of the
// weights and then those of the rows; copies of a thread for a stage.
enum {
    ELEMENTS16 = OUTPUT_TILES * ROW_TILES * 4,
    OUTPUT_WARPS = WIDE16_OUTPUTS / (OUTPUT_TILES * MANY_OUTPUTS),
    LINES16 = (WIDE16_OUTPUTS + ROWS16) / SLAB16 * GROUP16 / 16,
    STAGE16 = LINES16 * 16,
    COPIES16 = (LINES16 + THREADS - 1) / THREADS
};

struct wide16_room {
    ALIGNED16 uint8_t stage[STAGES * STAGE16];
    float waiting[ELEMENTS16][THREADS];
};

#ifdef TENSOR

// Element e of a lane is element e % 4 of tile e / 4; of tiles, those of rows come first.
struct sums_of_warp {
    int high[OUTPUT_TILES * ROW_TILES][4], cross[OUTPUT_TILES * ROW_TILES][4];
};

FN unsigned output_tile(unsigned tile) { return tile / ROW_TILES; }
FN unsigned row_tile(unsigned tile) { return tile % ROW_TILES; }

struct wide16 {
    const uint8_t *from[COPIES16]; // what this thread copies of the next group
    unsigned left;                 // groups to be copied
    unsigned to, w[2], x;          // of a stage: where copies go; what the lane points to, of the weights in two steps
    unsigned copied, used;         // stages
    const float *w_unit, *x_unit;  // of the lane's first output, of the warp's first row
};

// Where the block's slab i is, its weights' first.
FN const uint8_t *slab_of_block(const struct product16_args *a, unsigned output, unsigned row, unsigned i) {
    unsigned groups = groups16(a->cols), last = (unsigned)slabs16(a->outputs) - 1, slab = output / SLAB16 + i;
    if (i >= WIDE16_OUTPUTS / SLAB16) return a->x + row16_at(row + (i * SLAB16 - WIDE16_OUTPUTS), groups);
    return a->w + row16_at((size_t)(slab < last ? slab : last) * SLAB16, groups);
}

// Sixteen bytes number `at` of a row, in a stage: eight rows' ones are in eight different places of the memory's width.
FN unsigned place_in_stage(unsigned row, unsigned at) { return (unsigned)row16_at(row, 1) + 16 * (at ^ row / 2 % 4); }

FN unsigned next_stage(unsigned stage) { return stage == (STAGES - 1) * STAGE16 ? 0 : stage + STAGE16; }

FN void copy_group(struct wide16 *t, struct wide16_room *room) {
    UNROLL
    for (unsigned i = 0; i < COPIES16; i++) {
        bool has = i < LINES16 / THREADS || i * THREADS + THREAD < LINES16;
        if (has && t->left) copy_later(room->stage + t->copied + t->to + i * THREADS * 16, t->from[i]);
        t->from[i] += GROUP16;
    }
    if (t->left) t->left--;
    t->copied = next_stage(t->copied);
    send_copies();
}

// The first of the warp's outputs and rows in its block.
FN unsigned outputs_of_warp(void) { return THREAD / TENSOR_LANES % OUTPUT_WARPS * (OUTPUT_TILES * MANY_OUTPUTS); }
FN unsigned rows_of_warp(void) { return THREAD / TENSOR_LANES / OUTPUT_WARPS * ROW_TILES * WIDE; }

FN struct wide16 wide16_of(const struct product16_args *a, unsigned output, unsigned row, unsigned segment) {
    unsigned groups = groups16(a->cols), first = strip_start(groups, segment), lane = tensor_lane();
    size_t run = (size_t)first_run16(groups, segment) * SLAB16;
    struct wide16 t;
    t.left = strip_start(groups, segment + a->segments) - first;
    t.copied = t.used = 0;
    for (unsigned i = 0; i < COPIES16; i++) {
        unsigned at = i * THREADS + THREAD, lines = GROUP16 / 16;
        t.from[i] = slab_of_block(a, output, row, at / lines) + (size_t)first * GROUP16 + at % lines * 16;
    }
    t.to = kept((THREAD ^ THREAD / 8 % 4) * 16); // place_in_stage() of that
    for (unsigned i = 0; i < 2; i++) {
        unsigned own = IS_WIDE_WARP ? row_given() : lane % 16, at = IS_WIDE_WARP ? word_given() : 2 * i + lane / 16;
        t.w[i] = kept(place_in_stage(outputs_of_warp() + own, at));
    }
    t.x = kept(place_in_stage(WIDE16_OUTPUTS + rows_of_warp() + (IS_WIDE_WARP ? row_given() : lane % 8),
                              IS_WIDE_WARP ? word_given() : lane / 8));
    t.w_unit = a->w_unit + unit16_at(output + outputs_of_warp() + place_of_output(0), a->runs) + run;
    t.x_unit = a->x_unit + unit16_at(row + rows_of_warp(), a->runs) + run;
    return t;
}

// What a lane gives of a tile's plane: for each step of 32 bytes what mma_bytes() takes.
struct weights_of_step {
    uint32_t of[2][4];
};

FN void load_weights(struct weights_of_step *w, const struct wide16 *t, const uint8_t *plane) {
    if (IS_WIDE_WARP) {
        struct quad q = quad_at(plane + t->w[0]);
        for (unsigned i = 0; i < 4; i++) w->of[i / 2][i % 2] = q.w[i];
        return;
    }
    for (unsigned i = 0; i < 2; i++) rows_at(w->of[i], plane + t->w[i]);
}

// Two words for each step.
FN void load_rows(uint32_t *x, const struct wide16 *t, const uint8_t *plane) {
    if (!IS_WIDE_WARP) {
        rows_at(x, plane + t->x);
        return;
    }
    struct quad q = quad_at(plane + t->x);
    for (unsigned i = 0; i < 4; i++) x[i] = q.w[i];
}

FN void multiply_group(struct sums_of_warp *s, struct wide16 *t, const struct wide16_room *room) {
    const uint8_t *stage = room->stage + t->used;
    uint32_t high[ROW_TILES][4], low[ROW_TILES][4];
    UNROLL
    for (unsigned n = 0; n < ROW_TILES; n++) {
        load_rows(high[n], t, stage + n * (WIDE / SLAB16) * GROUP16);
        load_rows(low[n], t, stage + n * (WIDE / SLAB16) * GROUP16 + PLANE16);
    }
    UNROLL
    for (unsigned m = 0; m < OUTPUT_TILES; m++) {
        struct weights_of_step w_high, w_low;
        load_weights(&w_high, t, stage + m * (MANY_OUTPUTS / SLAB16) * GROUP16);
        load_weights(&w_low, t, stage + m * (MANY_OUTPUTS / SLAB16) * GROUP16 + PLANE16);
        UNROLL
        for (unsigned i = 0; i < 2 * ROW_TILES; i++) {
            unsigned n = i % ROW_TILES, step = i / ROW_TILES, tile = m * ROW_TILES + n;
            mma_bytes(s->high[tile], w_high.of[step], high[n] + 2 * step);
            mma_bytes(s->cross[tile], w_high.of[step], low[n] + 2 * step);
            mma_bytes(s->cross[tile], w_low.of[step], high[n] + 2 * step);
        }
    }
    t->used = next_stage(t->used);
}

// Units of a run: asked for when it begins, since they come from far.
struct units_of_warp {
    float w[OUTPUT_TILES][2], x[ROW_TILES][MOST_OWN];
};

FN void next_units(struct units_of_warp *u, struct wide16 *t, unsigned runs) {
    unsigned slab = runs * SLAB16;
    UNROLL
    for (unsigned m = 0; m < OUTPUT_TILES; m++)
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) u->w[m][k] = t->w_unit[(m * (MANY_OUTPUTS / SLAB16) + k) * slab];
    UNROLL
    for (unsigned n = 0; n < ROW_TILES; n++)
        for (unsigned i = 0; i < OWN_ROWS; i++) {
            unsigned row = n * WIDE + place_of_row(i);
            u->x[n][i] = t->x_unit[row / SLAB16 * slab + row % SLAB16];
        }
    t->w_unit += SLAB16;
    t->x_unit += SLAB16;
}

FN void end_run(struct sums_of_warp *s, const struct units_of_warp *u, float *acc) {
    UNROLL
    for (unsigned e = 0; e < ELEMENTS16; e++) {
        unsigned tile = e / 4, k = e % 4;
        float unit = u->w[output_tile(tile)][output_of_element(k)] * u->x[row_tile(tile)][row_of_element(k)];
        acc[e] = fmaf(unit, (float)(256 * s->high[tile][k] + s->cross[tile][k]), acc[e]);
        s->high[tile][k] = s->cross[tile][k] = 0;
    }
}

// Where an element of the block's outputs goes; NULL: there is none.
FN float *place_of_element(const struct product16_args *a, unsigned output, unsigned row, unsigned e, unsigned *o) {
    unsigned r = row + rows_of_warp() + row_tile(e / 4) * WIDE + place_of_row(row_of_element(e % 4));
    *o = output + outputs_of_warp() + output_tile(e / 4) * MANY_OUTPUTS + place_of_output(output_of_element(e % 4));
    if (*o >= a->outputs || r >= a->rows) return (float *)0;
    return a->y + ((size_t)(a->segments < SEGMENTS ? BLOCK_Y : 0) * a->rows + r) * a->outputs + *o;
}

// Segments are added in pairs, these in pairs, and so on, as carries go when one counts. The i-th one's sums, or what
// they are together with those that waited for them, wait in turn: one in the block's memory, two in registers, four
// where outputs go.
FN void end_segment(const struct product16_args *a, struct wide16_room *room, unsigned output, unsigned row, unsigned i,
                    float *acc, float *pair) {
    UNROLL
    for (unsigned e = 0; e < ELEMENTS16; e++) {
        float *one = &room->waiting[e][THREAD];
        if (i % 2)
            acc[e] = *one + acc[e];
        else
            *one = acc[e];
        if (i % 4 == 3) acc[e] = pair[e] + acc[e];
        if (i % 4 == 1) pair[e] = acc[e];
    }
    if (i % 4 < 3 || a->segments < SEGMENTS) return;
    UNROLL
    for (unsigned e = 0; e < ELEMENTS16; e++) {
        unsigned o;
        float *four = place_of_element(a, output, row, e, &o);
        if (four && i == 3) *four = acc[e];
        if (four && i == 7) acc[e] = *four + acc[e];
    }
}

FN void store_wide16(const struct product16_args *a, unsigned output, unsigned row, const float *sum) {
    UNROLL
    for (unsigned e = 0; e < ELEMENTS16; e++) {
        unsigned o;
        float *y = place_of_element(a, output, row, e, &o), v = sum[e];
        if (!y) continue;
        if (a->bias) v += a->bias[o];
        give_output(a->y, a->plus, (size_t)(y - a->y), a->by != 1 ? v * a->by : v);
    }
}

// BLOCK_X: of rows, then of outputs, so that blocks that share weights run together; BLOCK_Y: a->segments segments.
FN void multiply_wide16(const struct product16_args *a, struct wide16_room *room) {
    unsigned blocks = a->rows / ROWS16 + (a->rows % ROWS16 != 0), groups = groups16(a->cols);
    unsigned row = BLOCK_X % blocks * ROWS16, output = BLOCK_X / blocks * WIDE16_OUTPUTS;
    struct wide16 t = wide16_of(a, output, row, BLOCK_Y * a->segments);
    struct sums_of_warp s = {{{0}}, {{0}}};
    struct units_of_warp u;
    float acc[ELEMENTS16], pair[ELEMENTS16];
    for (unsigned i = 0; i < STAGES - 1; i++) copy_group(&t, room);
    for (unsigned segment = 0; segment < a->segments; segment++) {
        unsigned n = strip_length(groups, BLOCK_Y * a->segments + segment);
        struct walk16 walk = walk16_of(n);
        UNROLL
        for (unsigned e = 0; e < ELEMENTS16; e++) acc[e] = 0;
        if (n) next_units(&u, &t, a->runs);
        for (unsigned g = 1; g <= n; g++) {
            await_copies(STAGES - 2);
            barrier(); // this group has come for all, and all are done with the one before it
            copy_group(&t, room);
            multiply_group(&s, &t, room);
            if (g < walk.end) continue;
            end_run(&s, &u, acc);
            next_run16(&walk);
            if (g < n) next_units(&u, &t, a->runs);
        }
        end_segment(a, room, output, row, segment, acc, pair);
    }
    await_copies(0);
    store_wide16(a, output, row, acc);
}

#else // never launched there (struct gpu_chip)

FN void multiply_wide16(const struct product16_args *a, struct wide16_room *room) {}

#endif

#endif
