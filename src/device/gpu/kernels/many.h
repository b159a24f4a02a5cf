// Products of many rows of activations with quantized weights, on tensor cores: exact sums of products of bytes, then
// what product.cu makes of the same sums, in the same order. A block has some tiles of outputs by some tiles of rows
// (tile.h); each of its warps has all of them of one segment, and their sums meet in the block's memory at the end. So
// warps wait for each other only there, and what they have to load next is on its way while they multiply.
#ifndef DEVICE_GPU_KERNELS_MANY_H
#define DEVICE_GPU_KERNELS_MANY_H

#include "chip.h"

#include "args.h"
#include "raw.h"
#include "strips.h"
#include "tile.h"

// Tiles of a block at most, and groups whose weights are on their way.
enum { MOST_TALL = 2, MOST_LONG = 4, MOST_AHEAD = 4 };

struct many_room {
    float sum[SEGMENTS * TILE * (MOST_TALL * TILE + PITCH)];
};

#ifdef TENSOR

// Tiles of outputs and of rows of a block, and groups ahead: constants for the compiler.
struct shape {
    unsigned tall, wide, ahead, ahead_rows;
};

// Where a warp's weights and activations are.
struct lane_of_many {
    const uint8_t *body[MOST_TALL][2], *rest[MOST_TALL][2];
    const uint8_t *codes;
    const float *units;
    size_t codes_of_tile, units_of_tile;
    const uint32_t *grid;
    unsigned n, segment, steps; // blocks of a row; the segment's groups
};

FN struct lane_of_many lane_of_many(const struct product_many_args *a, unsigned tall, unsigned output, unsigned row,
                                    unsigned segment) {
    struct lane_of_many l;
    size_t groups = a->w.cols / 32;
    for (unsigned m = 0; m < tall; m++)
        for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
            unsigned at = output + m * TILE + place_of_output(i);
            at = at < a->w.rows ? at : a->w.rows - 1; // of those beyond the last one the last is taken again
            l.body[m][i] = a->w.body + (size_t)at * a->w.blocks * BODY;
            l.rest[m][i] = a->w.rest + (size_t)at * a->w.blocks * REST;
        }
    l.codes_of_tile = groups * TILE_BYTES;
    l.units_of_tile = groups * (2 * TILE);
    l.codes = a->codes + row / TILE * l.codes_of_tile;
    l.units = a->units + row / TILE * l.units_of_tile;
    l.grid = a->w.grid;
    l.n = a->w.blocks;
    l.segment = segment;
    l.steps = strip_length(l.n, segment) * GROUPS;
    return l;
}

// ------------------------------------------------------------------------------- scales that are floats

struct raws {
    struct raw of[MOST_TALL][2];
};
struct tile_of_rows {
    struct given x;
    struct four_floats d, low; // scales, and these times the sums of codes
};

// Of a segment's group `step`; of those beyond the last one the last is taken again.
FN unsigned block_of_step(const struct lane_of_many *l, unsigned step) {
    return strip_at(l->n, l->segment, (step < l->steps ? step : l->steps - 1) / GROUPS);
}

FN void load_weights(const struct lane_of_many *l, unsigned tall, unsigned step, struct raws *to) {
    size_t block = block_of_step(l, step);
    UNROLL
    for (unsigned m = 0; m < tall; m++)
        for (unsigned i = 0; i < OWN_OUTPUTS; i++)
            to->of[m][i] = raw_of_group(l->body[m][i] + block * BODY, l->rest[m][i] + block * REST, step % GROUPS,
                                        l->grid, word_given());
}

FN void load_rows(const struct lane_of_many *l, unsigned tile, unsigned step, struct tile_of_rows *to) {
    size_t group = (size_t)block_of_step(l, step) * GROUPS + step % GROUPS;
    const float *unit = l->units + tile * l->units_of_tile + group * (2 * TILE);
    to->x = given_at(l->codes + tile * l->codes_of_tile + group * TILE_BYTES);
    to->d = scales_at(unit);
    if (OFFSET) to->low = scales_at(unit + TILE);
}

// A group's weights of a tile of outputs, as matrix instructions take them.
struct weights {
    uint32_t w[4];
    float d[2][2], low[2]; // of each output: of halves
};

FN void unpack(const struct raw *r, struct weights *to) {
    for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
        uint32_t w[2];
        codes_of_raw(&r[i], word_given(), w);
        to->w[i] = w[0];
        to->w[i + OWN_OUTPUTS] = w[1];
        for (unsigned h = 0; h < HALVES; h++) to->d[i][h] = scale_of_raw(&r[i], h);
        if (OFFSET) to->low[i] = low_of_raw(&r[i]);
    }
}

FN void sums_of_part(const struct weights *w, const struct given *x, unsigned part, unsigned h, uint32_t start,
                     int *c) {
    if (HALVES == 1)
        mma_from(c, (int)start, w->w, x->x + 2 * part);
    else
        mma_half_from(c, (int)start, w->w + OWN_OUTPUTS * h, x->x[2 * part + h]);
}

FN void add_floats(const struct weights *w, const struct tile_of_rows *r, float *acc) {
    UNROLL
    for (unsigned t = 0; t < PARTS; t++) {
        UNROLL
        for (unsigned h = 0; h < HALVES; h++) {
            int c[4];
            sums_of_part(w, &r->x, t, h, START(LIFT), c);
            UNROLL
            for (unsigned k = 0; k < 4; k++)
                acc[4 * t + k] = fmaf(w->d[output_of_element(k)][h] * r->d.f[scale_of_element(t, k)],
                                      float_of_sum(c[k], LIFT), acc[4 * t + k]);
        }
        for (unsigned k = 0; OFFSET && k < 4; k++)
            acc[4 * t + k] = fmaf(w->low[output_of_element(k)], r->low.f[scale_of_element(t, k)], acc[4 * t + k]);
    }
}

FN void many_floats(const struct lane_of_many *l, const struct shape s, float (*acc)[MOST_LONG][4 * MOST_PARTS]) {
    struct raws raw[MOST_AHEAD];
    struct tile_of_rows rows[MOST_AHEAD][MOST_LONG];
    if (!l->steps) return;
    UNROLL
    for (unsigned q = 0; q < s.ahead; q++) load_weights(l, s.tall, q, &raw[q]);
    UNROLL
    for (unsigned q = 0; q < s.ahead_rows; q++)
        for (unsigned n = 0; n < s.wide; n++) load_rows(l, n, q, &rows[q][n]);
    for (unsigned first = 0; first < l->steps; first += s.ahead) {
        UNROLL
        for (unsigned q = 0; q < s.ahead; q++) {
            if (first + q >= l->steps) break;
            struct weights w[MOST_TALL];
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) unpack(raw[q].of[m], &w[m]);
            load_weights(l, s.tall, first + q + s.ahead, &raw[q]);
            struct tile_of_rows *now = rows[q % s.ahead_rows];
            UNROLL
            for (unsigned n = 0; n < s.wide; n++) {
                UNROLL
                for (unsigned m = 0; m < s.tall; m++) add_floats(&w[m], &now[n], acc[m][n]);
                load_rows(l, n, first + q + s.ahead_rows, &now[n]);
            }
        }
    }
}

// ------------------------------------------------------------------------------- scales that are integers

// A run's weights of a tile of outputs: four groups.
enum { RUN_GROUPS = 4 };
struct run_weights {
    struct weights of[RUN_GROUPS];
    int scale[RUN_GROUPS][2][2], minimum[RUN_GROUPS][2][2]; // of outputs, of halves
    struct scales s[2];
};

FN void unpack_run(const struct lane_of_many *l, unsigned m, size_t block, unsigned first, struct run_weights *to) {
    for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
        const uint8_t *body = l->body[m][i] + block * BODY, *rest = l->rest[m][i] + block * REST;
        to->s[i] = scales_of_block(body, rest);
        UNROLL
        for (unsigned g = 0; g < RUN_GROUPS; g++) {
            struct raw r = raw_of_group(body, rest, first + g, l->grid, word_given());
            uint32_t w[2];
            codes_of_raw(&r, word_given(), w);
            to->of[g].w[i] = w[0];
            to->of[g].w[i + OWN_OUTPUTS] = w[1];
            for (unsigned h = 0; h < HALVES; h++) {
                to->scale[g][i][h] = scale_of_half(body, first + g, h);
                if (OFFSET) to->minimum[g][i][h] = minimum_of_half(body, first + g, h);
            }
        }
    }
}

// A tile of rows of a run.
struct run_rows {
    struct given x[RUN_GROUPS];
    struct quad sums[RUN_GROUPS];
    struct four_floats d;
};

FN void load_run(const struct lane_of_many *l, unsigned tile, size_t group, struct run_rows *to) {
    const float *unit = l->units + tile * l->units_of_tile + group * (2 * TILE);
    to->d = scales_at(unit);
    UNROLL
    for (unsigned g = 0; g < RUN_GROUPS; g++) {
        to->x[g] = given_at(l->codes + tile * l->codes_of_tile + (group + g) * TILE_BYTES);
        if (OFFSET) to->sums[g] = sums_at(unit + g * (2 * TILE));
    }
}

// The sum of half h of a group of activations, or of all of it.
FN int sum_of(uint32_t sums, unsigned h) {
    return HALVES == 1 ? half_sum(sums, 0) + half_sum(sums, 1) : half_sum(sums, h);
}

FN void add_run(const struct run_weights *w, const struct run_rows *r, float *acc) {
    UNROLL
    for (unsigned t = 0; t < PARTS; t++) {
        int piece[4] = {0}, low[4] = {0};
        float run[4] = {0};
        UNROLL
        for (unsigned g = 0; g < RUN_GROUPS; g++)
            for (unsigned h = 0; h < HALVES; h++) {
                int c[4];
                sums_of_part(&w->of[g], &r->x[g], t, h, 0, c);
                UNROLL
                for (unsigned k = 0; k < 4; k++) {
                    piece[k] += w->scale[g][output_of_element(k)][h] * c[k];
                    if (OFFSET)
                        low[k] +=
                            w->minimum[g][output_of_element(k)][h] * sum_of(r->sums[g].w[scale_of_element(t, k)], h);
                    if (PIECE == 0 || (g + 1) % (PIECE ? PIECE : 1) || h + 1 < HALVES) continue;
                    run[k] = fmaf(w->s[output_of_element(k)].d, (float)piece[k], run[k]);
                    piece[k] = 0;
                }
            }
        UNROLL
        for (unsigned k = 0; k < 4; k++) {
            if (OFFSET) run[k] = fmaf(w->s[output_of_element(k)].low, (float)low[k], run[k]);
            acc[4 * t + k] = fmaf(run[k], r->d.f[scale_of_element(t, k)], acc[4 * t + k]);
        }
    }
}

FN void many_integers(const struct lane_of_many *l, const struct shape s, float (*acc)[MOST_LONG][4 * MOST_PARTS]) {
    for (unsigned step = 0; step < l->steps; step += RUN_GROUPS) {
        struct run_weights w[MOST_TALL];
        size_t block = block_of_step(l, step);
        UNROLL
        for (unsigned m = 0; m < s.tall; m++) unpack_run(l, m, block, step % GROUPS, &w[m]);
        UNROLL
        for (unsigned n = 0; n < s.wide; n++) {
            struct run_rows r;
            load_run(l, n, block * GROUPS + step % GROUPS, &r);
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) add_run(&w[m], &r, acc[m][n]);
        }
    }
}

// ------------------------------------------------------------------------------- a block

// A block's warps have two segments each where they are of 64 lanes.
enum { MOST_PASSES = 2 };
#define PASSES (IS_WIDE_WARP ? 2u : 1u)
FN unsigned segment_of_pass(unsigned p) { return p * (THREADS / TENSOR_LANES) + THREAD / TENSOR_LANES; }

// Blocks that share weights are neighbours: those of all rows of the same outputs.
FN void multiply_many(const struct product_many_args *a, const struct shape s, struct many_room *room) {
    unsigned rows = s.wide * TILE, outputs = s.tall * TILE, high = (a->rows - a->first + rows - 1) / rows;
    unsigned row = a->first + BLOCK_X % high * rows, output = BLOCK_X / high * outputs;
    float acc[MOST_PASSES][MOST_TALL][MOST_LONG][4 * MOST_PARTS];
    UNROLL
    for (unsigned p = 0; p < PASSES; p++) {
        struct lane_of_many l = lane_of_many(a, s.tall, output, row, segment_of_pass(p));
        UNROLL
        for (unsigned m = 0; m < s.tall; m++)
            for (unsigned n = 0; n < s.wide; n++)
                for (unsigned k = 0; k < 4 * PARTS; k++) acc[p][m][n][k] = 0;
        if (PIECE)
            many_integers(&l, s, acc[p]);
        else
            many_floats(&l, s, acc[p]);
    }
    UNROLL
    for (unsigned n = 0; n < s.wide; n++) {
        UNROLL
        for (unsigned p = 0; p < PASSES; p++) {
            UNROLL
            for (unsigned m = 0; m < s.tall; m++)
                put_sums(room->sum, outputs, segment_of_pass(p), m * TILE, acc[p][m][n]);
        }
        barrier();
        if (row + n * TILE < a->rows) store_sums(room->sum, outputs, row + n * TILE, output, a);
        barrier();
    }
}

#else // never launched there (struct gpu_chip)

struct shape {
    unsigned tall, wide, ahead, ahead_rows;
};
FN void multiply_many(const struct product_many_args *a, const struct shape s, struct many_room *room) {}

#endif

#endif
