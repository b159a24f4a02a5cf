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
    unsigned row, output; // the block's first ones, which need no registers until its sums are stored
    float sum[SEGMENTS * TILE * (MOST_TALL * TILE + PITCH)];
};

#ifdef TENSOR

// Tiles of outputs and of rows of a block; groups at a time, and those ahead: constants for the compiler.
struct shape {
    unsigned tall, wide, step, ahead, ahead_rows;
    bool late; // scales of rows are loaded when they are needed, which other warps' work hides
};

// Where a block of the weights is, in the block of threads' first row, and its activations, in the first tile of rows;
// `own` is where the lane's word of it is. Pointers that move: told where they come from, the compiler computes them
// anew.
struct walk {
    const uint8_t *body, *own, *rest, *codes;
    const float *units;
};

// From a group of activations to the next one.
enum { CODES_OF_GROUP = SLAB_TILES * TILE_BYTES, UNITS_OF_GROUP = SLAB_TILES * 2 * TILE };

FN void walk_on(struct walk *at, int blocks) {
    at->body += blocks * BODY;
    at->own += blocks * BODY;
    at->rest += blocks * REST;
    at->codes += (long)blocks * (GROUPS * CODES_OF_GROUP);
    at->units += (long)blocks * (GROUPS * UNITS_OF_GROUP);
    FORGET(at->body);
    FORGET(at->own);
    FORGET(at->rest);
    FORGET(at->codes);
    FORGET(at->units);
}

// A lane's outputs: so many blocks further than the first row of the block of threads. Less to keep than pointers.
struct lane_of_many {
    uint32_t at[MOST_TALL][2];
    const uint32_t *grid;
};

FN struct lane_of_many lane_of_many(const struct product_many_args *a, unsigned tall, unsigned output) {
    struct lane_of_many l;
    for (unsigned m = 0; m < tall; m++)
        for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
            unsigned at = m * TILE + place_of_output(i), last = a->w.rows - 1 - output;
            l.at[m][i] = (at < last ? at : last) * a->w.blocks; // of those beyond the last one the last again
        }
    l.grid = a->w.grid;
    return l;
}

// The first block of a segment, or where it would be if all segments had one.
FN struct walk walk_of(const struct product_many_args *a, unsigned output, unsigned row, unsigned segment) {
    size_t tile = (size_t)(row / MANY_SLAB) * (a->w.cols / 32) * SLAB_TILES + row % MANY_SLAB / TILE;
    size_t block = (size_t)output * a->w.blocks;
    struct walk at;
    at.body = a->w.body + block * BODY;
    at.own = at.body + 4 * word_given();
    at.rest = a->w.rest + block * REST;
    at.codes = a->codes + tile * TILE_BYTES + place_of_given();
    at.units = a->units + tile * (2 * TILE) + first_scale();
    walk_on(&at, (int)segment);
    return at;
}

// The weights of all the warp's outputs come as near as the second-level cache, so many turns of eight blocks before
// they are wanted: registers hold too few of them to wait for memory that is further away.
enum { LINE = 128, LINES = (BODY + LINE - 1) / LINE };
FN void hint_weights(const struct lane_of_many *l, unsigned tall, const struct walk *at, unsigned turns) {
    unsigned part = tensor_lane() % 4;
    UNROLL
    for (unsigned m = 0; m < tall; m++)
        for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
            size_t block = l->at[m][i] + turns * SEGMENTS;
            if (part < LINES) hint_at(at->body + block * BODY + part * LINE);
            if (REST && part == 3) hint_at(at->rest + block * REST);
        }
}

// Not those of Q3_K, which has no registers left for their addresses.
enum { HINTED = TYPE != 11 };

// How many turns ahead. Of short blocks a turn is a line or two, and one of eight warps asks for it.
enum { HINT_TURNS = PIECE ? 2 : SEGMENTS };

// Those of the first turns of a row of so many blocks, before there is anything to multiply them by.
FN void hint_first(const struct lane_of_many *l, unsigned tall, const struct walk *at, unsigned blocks,
                   unsigned segment) {
    if (!PIECE && segment * SEGMENTS < blocks) hint_weights(l, tall, at, segment);
    for (unsigned t = 0; PIECE && t < HINT_TURNS; t++)
        if (t * SEGMENTS + segment < blocks) hint_weights(l, tall, at, t);
}

// ------------------------------------------------------------------------------- scales that are floats

struct raws {
    struct raw of[MOST_TALL][2];
};
struct tile_of_rows {
    struct given x;
    struct four_floats d, low; // scales, and these times the sums of codes
};

// Group q from there on, where all segments have one. Segments' blocks lie side by side (strips.h).
FN void load_weights(const struct lane_of_many *l, unsigned tall, const struct walk *at, unsigned q, struct raws *to) {
    unsigned block = q / GROUPS * SEGMENTS;
    UNROLL
    for (unsigned m = 0; m < tall; m++)
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            size_t row = l->at[m][k];
            to->of[m][k] = raw_of_group(at->body + row * BODY + block * BODY, at->own + row * BODY + block * BODY,
                                        at->rest + row * REST + block * REST, q % GROUPS, l->grid, word_given());
        }
}

FN void load_rows(const struct walk *at, unsigned tile, unsigned q, struct tile_of_rows *to) {
    unsigned group = q / GROUPS * SEGMENTS * GROUPS + q % GROUPS;
    to->x = given_at(at->codes + group * CODES_OF_GROUP + tile * TILE_BYTES);
}

FN void load_scales(const struct walk *at, unsigned tile, unsigned q, struct tile_of_rows *to) {
    unsigned group = q / GROUPS * SEGMENTS * GROUPS + q % GROUPS;
    const float *units = at->units + group * UNITS_OF_GROUP + tile * (2 * TILE);
    to->d = scales_at(units);
    if (OFFSET) to->low = scales_at(units + TILE);
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

typedef float many_sums[MOST_TALL][MOST_LONG][4 * MOST_PARTS];

// A block, whatever comes next.
FN void add_block(const struct lane_of_many *l, const struct shape s, const struct walk *at, many_sums acc) {
    UNROLL
    for (unsigned i = 0; i < GROUPS; i++) {
        struct raws raw;
        struct weights w[MOST_TALL];
        load_weights(l, s.tall, at, i, &raw);
        UNROLL
        for (unsigned m = 0; m < s.tall; m++) unpack(raw.of[m], &w[m]);
        UNROLL
        for (unsigned n = 0; n < s.wide; n++) {
            struct tile_of_rows rows;
            load_rows(at, n, i, &rows);
            load_scales(at, n, i, &rows);
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) add_floats(&w[m], &rows, acc[m][n]);
        }
    }
}

// Some groups at a time, of blocks that all segments have. Of the next ones the weights of `ahead` groups are on their
// way, and the activations of `ahead_rows`: where a group's registers are free those of a later one are loaded into
// them. At the end that is what nobody uses, of the next row or behind the last one, where there is room (BEHIND of
// args.h). Returns how many blocks are left.
FN unsigned add_even_blocks(const struct lane_of_many *l, const struct shape s, unsigned segment, unsigned blocks,
                            struct walk *at, many_sums acc) {
    struct raws raw[MOST_AHEAD];
    struct tile_of_rows rows[MOST_AHEAD][MOST_LONG];
    unsigned step = s.step > GROUPS ? s.step : GROUPS;
    UNROLL
    for (unsigned q = 0; q < s.ahead; q++) {
        load_weights(l, s.tall, at, q, &raw[q]);
        UNROLL
        for (unsigned n = 0; n < s.wide && q < s.ahead_rows; n++) {
            load_rows(at, n, q, &rows[q][n]);
            if (!s.late) load_scales(at, n, q, &rows[q][n]);
        }
    }
    for (; blocks >= step / GROUPS; blocks -= step / GROUPS) {
        if (step == 1 && blocks > HINT_TURNS && blocks % SEGMENTS == segment) hint_weights(l, s.tall, at, HINT_TURNS);
        UNROLL
        for (unsigned q = 0; q < step; q++) {
            struct weights w[MOST_TALL];
            UNROLL
            for (unsigned n = 0; n < s.wide && s.late; n++) load_scales(at, n, q, &rows[q % s.ahead_rows][n]);
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) unpack(raw[q % s.ahead].of[m], &w[m]);
            load_weights(l, s.tall, at, q + s.ahead, &raw[q % s.ahead]);
            UNROLL
            for (unsigned n = 0; n < s.wide; n++) {
                struct tile_of_rows *now = &rows[q % s.ahead_rows][n];
                UNROLL
                for (unsigned m = 0; m < s.tall; m++) add_floats(&w[m], now, acc[m][n]);
                load_rows(at, n, q + s.ahead_rows, now);
                if (!s.late) load_scales(at, n, q + s.ahead_rows, now);
            }
        }
        walk_on(at, (int)(step / GROUPS * SEGMENTS));
    }
    return blocks;
}

// From behind the blocks that all segments have to the one that this one has more; false: it has none.
FN bool walk_to_last(unsigned n, unsigned segment, struct walk *at) {
    unsigned even = n / SEGMENTS;
    if (strip_length(n, segment) == even) return false;
    walk_on(at, (int)strip_at(n, segment, even) - (int)(even * SEGMENTS + segment));
    return true;
}

FN void many_floats(const struct lane_of_many *l, const struct shape s, unsigned n, unsigned segment, struct walk at,
                    many_sums acc) {
    for (unsigned left = add_even_blocks(l, s, segment, n / SEGMENTS, &at, acc); left; left--) {
        add_block(l, s, &at, acc);
        walk_on(&at, SEGMENTS);
    }
    if (!walk_to_last(n, segment, &at)) return;
    add_block(l, s, &at, acc);
}

// ------------------------------------------------------------------------------- scales that are integers

// A run's weights of a tile of outputs: four groups.
enum { RUN_GROUPS = 4 };
struct run_weights {
    struct weights of[RUN_GROUPS];
    int scale[RUN_GROUPS][2][2], minimum[RUN_GROUPS][2][2]; // of outputs, of halves
    struct scales s[2];
};

// What scales, minima and their scales of a run are read from. Where that is the first 16 bytes of a block they are
// made registers that have it as of the first run, or each byte would be a load.
struct run_head {
    ALIGNED16 uint32_t w[3];
};
#if TYPE == 12 || TYPE == 13
FN const uint8_t *head_of(const uint8_t *body, bool second, struct run_head *h) {
    struct quad q = quad_at(body);
    h->w[0] = q.w[0];
    scales_of_head(&q, second, h->w + 1);
    return (const uint8_t *)h->w;
}
FN unsigned first_of_head(unsigned first) { return 0; }
#else
FN const uint8_t *head_of(const uint8_t *body, bool second, struct run_head *h) { return body; }
FN unsigned first_of_head(unsigned first) { return first; }
#endif

FN void unpack_run(const struct lane_of_many *l, unsigned m, const struct walk *at, unsigned first,
                   struct run_weights *to) {
    for (unsigned i = 0; i < OWN_OUTPUTS; i++) {
        const uint8_t *body = at->body + (size_t)l->at[m][i] * BODY, *rest = at->rest + (size_t)l->at[m][i] * REST;
        struct run_head h;
        const uint8_t *head = head_of(body, first != 0, &h);
        to->s[i] = scales_of_block(head, rest);
        UNROLL
        for (unsigned g = 0; g < RUN_GROUPS; g++) {
            struct raw r = raw_of_group(body, body + 4 * word_given(), rest, first + g, l->grid, word_given());
            uint32_t w[2];
            codes_of_raw(&r, word_given(), w);
            to->of[g].w[i] = w[0];
            to->of[g].w[i + OWN_OUTPUTS] = w[1];
            for (unsigned k = 0; k < HALVES; k++) {
                to->scale[g][i][k] = scale_of_half(head, first_of_head(first) + g, k);
                if (OFFSET) to->minimum[g][i][k] = minimum_of_half(head, first_of_head(first) + g, k);
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

FN void load_run(const struct walk *at, unsigned tile, unsigned first, struct run_rows *to) {
    const float *unit = at->units + first * UNITS_OF_GROUP + tile * (2 * TILE);
    const uint8_t *codes = at->codes + first * CODES_OF_GROUP + tile * TILE_BYTES;
    to->d = scales_at(unit);
    UNROLL
    for (unsigned g = 0; g < RUN_GROUPS; g++) {
        to->x[g] = given_at(codes + g * CODES_OF_GROUP);
        if (OFFSET) to->sums[g] = quad_at(unit + TILE + g * UNITS_OF_GROUP);
    }
}

// The sum of half h of a group of activations, or of all of it. (Q5_K has no register left for the latter.)
FN int sum_of(uint32_t sums, unsigned h) {
    if (HALVES == 2) return half_sum(sums, h);
    return TYPE == 13 ? half_sum(sums, 0) + half_sum(sums, 1) : (int)sums;
}

FN void add_run(const struct run_weights *w, const struct run_rows *r, float *acc) {
    UNROLL
    for (unsigned t = 0; t < PARTS; t++) {
        int piece[4] = {0};
        uint32_t low[4] = {0}; // of rows beyond the last one that is anything, and wraps
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
                        low[k] += (uint32_t)w->minimum[g][output_of_element(k)][h] *
                                  (uint32_t)sum_of(r->sums[g].w[scale_of_element(t, k)], h);
                    if (PIECE == 0 || (g + 1) % (PIECE ? PIECE : 1) || h + 1 < HALVES) continue;
                    run[k] = fmaf(w->s[output_of_element(k)].d, (float)piece[k], run[k]);
                    piece[k] = 0;
                }
            }
        UNROLL
        for (unsigned k = 0; k < 4; k++) {
            if (OFFSET) run[k] = fmaf(w->s[output_of_element(k)].low, (float)(int)low[k], run[k]);
            acc[4 * t + k] = fmaf(run[k], r->d.f[scale_of_element(t, k)], acc[4 * t + k]);
        }
    }
}

FN void add_runs(const struct lane_of_many *l, const struct shape s, const struct walk *at, many_sums acc) {
    for (unsigned first = 0; first < GROUPS; first += RUN_GROUPS) {
        struct run_weights w[MOST_TALL];
        UNROLL
        for (unsigned m = 0; m < s.tall; m++) unpack_run(l, m, at, first, &w[m]);
        UNROLL
        for (unsigned n = 0; n < s.wide; n++) {
            struct run_rows r;
            load_run(at, n, first, &r);
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) add_run(&w[m], &r, acc[m][n]);
        }
    }
}

FN void many_integers(const struct lane_of_many *l, const struct shape s, unsigned n, unsigned segment, struct walk at,
                      many_sums acc) {
    unsigned left = n / SEGMENTS;
    while (left || walk_to_last(n, segment, &at)) {
        add_runs(l, s, &at, acc);
        if (!left) break;
        walk_on(&at, SEGMENTS);
        if (HINTED && left > HINT_TURNS) hint_weights(l, s.tall, &at, HINT_TURNS - 1);
        left--;
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
    many_sums acc[MOST_PASSES];
    if (THREAD == 0) {
        room->row = row;
        room->output = output;
    }
    UNROLL
    for (unsigned p = 0; p < PASSES; p++) {
        struct lane_of_many l = lane_of_many(a, s.tall, output);
        struct walk at = walk_of(a, output, row, segment_of_pass(p));
        hint_first(&l, s.tall, &at, a->w.blocks, segment_of_pass(p));
        if (p == 0) after_earlier();
        UNROLL
        for (unsigned m = 0; m < s.tall; m++)
            for (unsigned n = 0; n < s.wide; n++)
                for (unsigned k = 0; k < 4 * PARTS; k++) acc[p][m][n][k] = 0;
        if (PIECE)
            many_integers(&l, s, a->w.blocks, segment_of_pass(p), at, acc[p]);
        else
            many_floats(&l, s, a->w.blocks, segment_of_pass(p), at, acc[p]);
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
        if (room->row + n * TILE < a->rows) store_sums(room->sum, outputs, room->row + n * TILE, room->output, a);
        barrier();
    }
}

#else // never launched there (struct gpu_chip)

struct shape {
    unsigned tall, wide, step, ahead, ahead_rows;
    bool late; // scales of rows are loaded when they are needed, which other warps' work hides
};
FN void multiply_many(const struct product_many_args *a, const struct shape s, struct many_room *room) {}

#endif

#endif
