// Products of many rows with quantized weights on AMD's RDNA, whose matrix instructions (WMMA) give a lane other sums
// than those that tensor.h has: of a tile of sixteen outputs by sixteen rows those of one output and of every other
// row. A lane has its output's group of weights whole, and of each tile the group of one row. What follows from the
// sums of codes is what many.h makes of them, in the same order.
#ifndef DEVICE_GPU_KERNELS_WAVES_H
#define DEVICE_GPU_KERNELS_WAVES_H

#include "chip.h"

#include "many.h"

#ifdef WAVES

enum { WAVE = 32, WAVE_ROWS = 8, WAVE_WORDS = 8 };

FN unsigned wave_half(void) { return THREAD % WAVE / 16; }
FN unsigned row_of_sum(unsigned k) { return 2 * k + wave_half(); } // of a tile

// What a lane has of its output's group: codes, times 2^LIFT, and scales of halves.
struct wave_weights {
    uint32_t w[WAVE_WORDS];
    float d[2], low;
    int scale[2], minimum[2];
};

FN void wave_group(const uint8_t *body, const uint8_t *rest, unsigned i, const uint32_t *grid,
                   struct wave_weights *to) {
    struct raw r = {{0}};
    UNROLL
    for (unsigned k = 0; k < WAVE_WORDS / 2; k++) {
        uint32_t two[2];
        r = raw_of_group(body, body + 4 * k, rest, i, grid, k);
        codes_of_raw(&r, k, two);
        to->w[k] = two[0];
        to->w[k + 4] = two[1];
    }
    UNROLL
    for (unsigned h = 0; h < HALVES; h++) {
        if (PIECE == 0) to->d[h] = scale_of_raw(&r, h);
        if (PIECE) to->scale[h] = scale_of_half(body, i, h);
        if (PIECE && OFFSET) to->minimum[h] = minimum_of_half(body, i, h);
    }
    if (PIECE == 0 && OFFSET) to->low = low_of_raw(&r);
}

// A lane's row of a tile, and what belongs to the rows of its sums: what round_many() left beside their scales.
struct wave_rows {
    uint32_t x[WAVE_WORDS], beside[WAVE_ROWS];
};
struct wave_scales {
    uint32_t d[WAVE_ROWS];
};

FN void words_at(const void *p, unsigned n, uint32_t *to) {
    UNROLL
    for (unsigned i = 0; i < n; i += 4) {
        struct quad q = quad_at((const uint8_t *)p + 4 * i);
        for (unsigned k = 0; k < 4; k++) to[i + k] = q.w[k];
    }
}

// The sums of half h of a group, or of all of it.
FN void wave_sums(const struct wave_weights *w, const struct wave_rows *r, unsigned h, int start, int *c) {
    UNROLL
    for (unsigned k = 0; k < WAVE_ROWS; k++) c[k] = start;
    wave_bytes(c, w->w + 4 * h, r->x + 4 * h);
    if (HALVES == 1) wave_bytes(c, w->w + 4, r->x + 4);
}

FN void wave_floats(const struct wave_weights *w, const struct wave_rows *r, const struct wave_scales *s, float *acc) {
    UNROLL
    for (unsigned h = 0; h < HALVES; h++) {
        int c[WAVE_ROWS];
        wave_sums(w, r, h, (int)START(LIFT), c);
        UNROLL
        for (unsigned k = 0; k < WAVE_ROWS; k++)
            acc[k] = fmaf(w->d[h] * float_of_bits(s->d[k]), float_of_sum(c[k], LIFT), acc[k]);
    }
    for (unsigned k = 0; OFFSET && k < WAVE_ROWS; k++) acc[k] = fmaf(w->low, float_of_bits(r->beside[k]), acc[k]);
}

// A run of four groups, where scales are integers: its sums so far, and those of the piece (docs/arithmetic.md).
struct wave_run {
    int piece[WAVE_ROWS];
    uint32_t low[WAVE_ROWS]; // of rows beyond the last one that is anything, and wraps
    float sum[WAVE_ROWS];
};

// Of what round_many() left of a group of activations, the sum of half h, or of all of it.
FN int wave_sum_of(uint32_t beside, unsigned h) {
    if (HALVES == 2) return half_sum(beside, h);
    return TYPE == 13 ? half_sum(beside, 0) + half_sum(beside, 1) : (int)beside;
}

FN void wave_integers(const struct wave_weights *w, const struct wave_rows *r, float d, unsigned g,
                      struct wave_run *run) {
    UNROLL
    for (unsigned h = 0; h < HALVES; h++) {
        int c[WAVE_ROWS];
        wave_sums(w, r, h, 0, c);
        bool ends = PIECE && (g + 1) % (PIECE ? PIECE : 1) == 0 && h + 1 == HALVES;
        UNROLL
        for (unsigned k = 0; k < WAVE_ROWS; k++) {
            run->piece[k] += w->scale[h] * c[k];
            if (OFFSET) run->low[k] += (uint32_t)w->minimum[h] * (uint32_t)wave_sum_of(r->beside[k], h);
            if (!ends) continue;
            run->sum[k] = fmaf(d, (float)run->piece[k], run->sum[k]);
            run->piece[k] = 0;
        }
    }
}

FN void end_wave_run(const struct scales *s, const struct wave_scales *rows, const struct wave_run *run, float *acc) {
    UNROLL
    for (unsigned k = 0; k < WAVE_ROWS; k++) {
        float sum = run->sum[k];
        if (OFFSET) sum = fmaf(s->low, (float)(int)run->low[k], sum);
        acc[k] = fmaf(sum, float_of_bits(rows->d[k]), acc[k]);
    }
}

// ------------------------------------------------------------------------------- a block

enum { RUN_OF_WAVE = 4 };

typedef float wave_sums_of[MOST_TALL][MOST_LONG][WAVE_ROWS];

// Where a lane's outputs and a block's rows are.
struct wave_place {
    const struct product_many_args *a;
    size_t row[MOST_TALL];  // of the matrix, in blocks
    unsigned first, output; // of the rows, and of the outputs
    size_t tile;            // the first, of rows
};

FN void wave_rows_at(const struct wave_place *p, size_t group, unsigned n, struct wave_rows *to) {
    size_t tile = p->tile + group * SLAB_TILES + n;
    words_at(p->a->codes + tile * TILE_BYTES + wave_row() * (4 * WAVE_WORDS), WAVE_WORDS, to->x);
    if (OFFSET) words_at(p->a->units + tile * (2 * TILE) + TILE + wave_half() * WAVE_ROWS, WAVE_ROWS, to->beside);
}

FN void wave_scales_at(const struct wave_place *p, size_t group, unsigned n, struct wave_scales *to) {
    size_t tile = p->tile + group * SLAB_TILES + n;
    words_at(p->a->units + tile * (2 * TILE) + wave_half() * WAVE_ROWS, WAVE_ROWS, to->d);
}

FN void wave_block_of_floats(const struct wave_place *p, const struct shape s, size_t block, wave_sums_of acc) {
    for (unsigned i = 0; i < GROUPS; i++) {
        struct wave_weights w[MOST_TALL];
        UNROLL
        for (unsigned m = 0; m < s.tall; m++)
            wave_group(p->a->w.body + (p->row[m] + block) * BODY, p->a->w.rest + (p->row[m] + block) * REST, i,
                       p->a->w.grid, &w[m]);
        UNROLL
        for (unsigned n = 0; n < s.wide; n++) {
            struct wave_rows r;
            struct wave_scales d;
            wave_apart();
            wave_rows_at(p, block * GROUPS + i, n, &r);
            wave_scales_at(p, block * GROUPS + i, n, &d);
            UNROLL
            for (unsigned m = 0; m < s.tall; m++) wave_floats(&w[m], &r, &d, acc[m][n]);
        }
    }
}

FN void wave_block_of_runs(const struct wave_place *p, const struct shape s, size_t block, wave_sums_of acc) {
    UNROLL
    for (unsigned m = 0; m < s.tall; m++) {
        wave_apart();
        const uint8_t *body = p->a->w.body + (p->row[m] + block) * BODY;
        const uint8_t *rest = p->a->w.rest + (p->row[m] + block) * REST;
        struct scales scales = scales_of_block(body, rest);
        for (unsigned first = 0; first < GROUPS; first += RUN_OF_WAVE) {
            struct wave_weights w[RUN_OF_WAVE];
            UNROLL
            for (unsigned g = 0; g < RUN_OF_WAVE; g++) {
                wave_apart();
                wave_group(body, rest, first + g, p->a->w.grid, &w[g]);
            }
            UNROLL
            for (unsigned n = 0; n < s.wide; n++) {
                struct wave_run run = {{0}, {0}, {0}};
                struct wave_scales d;
                UNROLL
                for (unsigned g = 0; g < RUN_OF_WAVE; g++) {
                    struct wave_rows r;
                    wave_apart();
                    wave_rows_at(p, block * GROUPS + first + g, n, &r);
                    wave_integers(&w[g], &r, scales.d, g, &run);
                }
                wave_scales_at(p, block * GROUPS + first, n, &d); // the run's
                end_wave_run(&scales, &d, &run, acc[m][n]);
            }
        }
    }
}

FN void put_wave(float *room, unsigned outputs, unsigned segment, unsigned first_output, const float *acc) {
    room += (size_t)segment * TILE * (outputs + PITCH) + first_output + THREAD % 16;
    UNROLL
    for (unsigned k = 0; k < WAVE_ROWS; k++) room[row_of_sum(k) * (outputs + PITCH)] = acc[k];
}

// A wave has a segment of all tiles of `s`, as in multiply_many().
FN void multiply_tiles(const struct wave_place *p, const struct shape s, struct many_room *room) {
    const struct product_many_args *a = p->a;
    unsigned outputs = s.tall * TILE, segment = THREAD / WAVE;
    wave_sums_of acc;
    UNROLL
    for (unsigned m = 0; m < s.tall; m++)
        for (unsigned n = 0; n < s.wide; n++)
            for (unsigned k = 0; k < WAVE_ROWS; k++) acc[m][n][k] = 0;
    for (unsigned j = 0; j < strip_length(a->w.blocks, segment); j++) {
        size_t block = strip_at(a->w.blocks, segment, j);
        if (PIECE)
            wave_block_of_runs(p, s, block, acc);
        else
            wave_block_of_floats(p, s, block, acc);
    }
    UNROLL
    for (unsigned n = 0; n < s.wide; n++) {
        UNROLL
        for (unsigned m = 0; m < s.tall; m++) put_wave(room->sum, outputs, segment, m * TILE, acc[m][n]);
        barrier();
        if (p->first + n * TILE < a->rows) store_sums(room->sum, outputs, p->first + n * TILE, p->output, a);
        barrier();
    }
}

// Where minima take registers too, a tile or two of rows at a time: the weights are read again for the others.
FN void multiply_waves(const struct product_many_args *a, const struct shape s, struct many_room *room) {
    unsigned rows = s.wide * TILE, outputs = s.tall * TILE, high = (a->rows - a->first + rows - 1) / rows;
    const struct shape part = {s.tall, PIECE && OFFSET && s.wide > 2 ? 3 - HALVES : s.wide};
    struct wave_place p = {a, {0}, a->first + BLOCK_X % high * rows, BLOCK_X / high * outputs, 0};
    UNROLL
    for (unsigned m = 0; m < s.tall; m++) {
        unsigned at = p.output + m * TILE + THREAD % 16, last = a->w.rows - 1;
        p.row[m] = (size_t)(at < last ? at : last) * a->w.blocks; // of those beyond the last one the last again
    }
    for (unsigned n = 0; n < s.wide; n += part.wide, p.first += part.wide * TILE) {
        p.tile = (size_t)(p.first / MANY_SLAB) * (a->w.cols / 32) * SLAB_TILES + p.first % MANY_SLAB / TILE;
        multiply_tiles(&p, part, room);
    }
}

#endif

// Whichever matrix instructions the chip has.
FN void multiply_rows(const struct product_many_args *a, const struct shape s, struct many_room *room) {
#ifdef WAVES
    if (IS_WAVE) {
        after_earlier();
        multiply_waves(a, s, room);
        return;
    }
#endif
    multiply_many(a, s, room);
}

#endif
