// Products of many rows of activations with quantized weights, on tensor cores: exact sums of products of bytes, sixteen
// outputs by eight rows at a time (mma_bytes() of chip.h), then what product.cu makes of the same sums, in the same order.
// Each of a block's eight warps has one of the eight segments.
#ifndef DEVICE_GPU_KERNELS_MANY_H
#define DEVICE_GPU_KERNELS_MANY_H

#include "chip.h"

#include "args.h"
#include "strips.h"
#include "tensor.h"
#include "types.h"

// Tiles of a block, as many as registers allow; their rows.
enum { TILES = PIECE ? MANY_INTEGERS / WIDE : MANY_FLOATS / WIDE, MANY = TILES * WIDE };

struct many_room {
    float sum[SEGMENTS][MANY * MANY_OUTPUTS];
};

#ifdef TENSOR

// What a lane has of a block of the weights: outputs `own` and own + 8.
struct two_outputs {
    const uint8_t *body[2];
    struct scales s[2];
};

// And of a tile of activations: the words that mma_bytes() takes of one row, and the groups of the two rows whose sums it
// gives.
struct tile {
    uint32_t x[2];
    struct group_of_row of[2];
};

// The sum of half h of a group of activations, or of all of it.
FN int sum_of(uint32_t sums, unsigned h) {
    return HALVES == 1 ? half_sum(sums, 0) + half_sum(sums, 1) : half_sum(sums, h);
}

FN uint32_t one_of_four(const uint32_t *w, unsigned i) { return i & 2 ? (i & 1 ? w[3] : w[2]) : i & 1 ? w[1] : w[0]; }

FN void weights_of_group(const struct two_outputs *two, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (unsigned k = 0; k < 2; k++) {
        uint32_t all[WORDS];
        codes_of_group(two->body[k], i, grid, all);
        w[k] = one_of_four(all, THREAD % 4);
        w[k + 2] = one_of_four(all + 4, THREAD % 4);
    }
}

// Codes and groups lie as in product.cu; `codes` and `group` are those of the first row of the tile.
FN struct tile tile_of(const struct product_args *a, const uint8_t *codes, const struct group_of_row *group) {
    unsigned lane = THREAD % 32, groups = a->w.cols / 32;
    const uint8_t *x = codes + (size_t)(lane / 4) * a->w.cols + 4 * (lane % 4);
    group += (size_t)(2 * (lane % 4)) * groups;
    struct tile t = {{word_at(x), word_at(x + 16)}, {group[0], group[groups]}};
    return t;
}

// Of element k of a tile's sums the output is k / 2, the row k % 2.
FN void sums_of_half(const uint32_t *w, const struct tile *t, unsigned h, int *c) {
    for (int k = 0; k < 4; k++) c[k] = 0;
    if (HALVES == 1)
        mma_bytes(c, w, t->x);
    else
        mma_half(c, w + 2 * h, t->x[h]);
    for (int k = 0; k < 4; k++) c[k] -= ZERO * sum_of(t->of[k % 2].sums, h);
}

FN void add_tile_of_floats(const struct two_outputs *two, const uint32_t *w, unsigned i, const struct tile *t,
                           float *acc) {
    for (unsigned h = 0; h < HALVES; h++) {
        int c[4];
        sums_of_half(w, t, h, c);
        for (int k = 0; k < 4; k++) {
            float d = two->s[k / 2].d;
            float scale = HALVES == 1 ? d : d * (float)scale_of_half(two->body[k / 2], i, h);
            acc[k] = fmaf(scale * t->of[k % 2].d, (float)c[k], acc[k]);
        }
    }
    for (int k = 0; OFFSET && k < 4; k++) {
        uint32_t sums = t->of[k % 2].sums;
        acc[k] = fmaf(two->s[k / 2].low, t->of[k % 2].d * (float)(half_sum(sums, 0) + half_sum(sums, 1)), acc[k]);
    }
}

FN void many_floats(const struct product_args *a, const struct two_outputs *two, const uint8_t *codes,
                    const struct group_of_row *group, unsigned tiles, float (*acc)[4]) {
    for (unsigned i = 0; i < GROUPS; i++) {
        uint32_t w[4];
        weights_of_group(two, i, a->w.grid, w);
        UNROLL
        for (unsigned n = 0; n < TILES; n++) {
            if (n >= tiles) continue;
            struct tile t = tile_of(a, codes + (size_t)n * WIDE * a->w.cols + 32 * i,
                                    group + (size_t)n * WIDE * (a->w.cols / 32) + i);
            add_tile_of_floats(two, w, i, &t, acc[n]);
        }
    }
}

struct many_sums {
    int piece[TILES][4], low[TILES][4];
    float run[TILES][4];
};

FN void add_tile_exactly(const struct two_outputs *two, const uint32_t *w, unsigned i, const struct tile *t, int *piece,
                         int *low) {
    for (unsigned h = 0; h < HALVES; h++) {
        int c[4];
        sums_of_half(w, t, h, c);
        for (int k = 0; k < 4; k++) {
            piece[k] += scale_of_half(two->body[k / 2], i, h) * c[k];
            if (OFFSET) low[k] += minimum_of_half(two->body[k / 2], i, h) * sum_of(t->of[k % 2].sums, h);
        }
    }
}

// A run of four groups, from `first` on.
FN void many_integers(const struct product_args *a, const struct two_outputs *two, unsigned first,
                      const uint8_t *codes, const struct group_of_row *group, unsigned tiles, float (*acc)[4]) {
    struct many_sums sum = {{{0}}, {{0}}, {{0}}};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t w[4];
        weights_of_group(two, first + i, a->w.grid, w);
        UNROLL
        for (unsigned n = 0; n < TILES; n++) {
            if (n >= tiles) continue;
            struct tile t = tile_of(a, codes + (size_t)n * WIDE * a->w.cols + 32 * (first + i),
                                    group + (size_t)n * WIDE * (a->w.cols / 32) + first + i);
            add_tile_exactly(two, w, first + i, &t, sum.piece[n], sum.low[n]);
            for (int k = 0; k < 4; k++) {
                if ((i + 1) % (PIECE ? PIECE : 1) == 0) {
                    sum.run[n][k] = fmaf(two->s[k / 2].d, (float)sum.piece[n][k], sum.run[n][k]);
                    sum.piece[n][k] = 0;
                }
                if (i < 3) continue;
                if (OFFSET) sum.run[n][k] = fmaf(two->s[k / 2].low, (float)sum.low[n][k], sum.run[n][k]);
                acc[n][k] = fmaf(sum.run[n][k], t.of[k % 2].d, acc[n][k]);
            }
        }
    }
}

// What a segment's warp adds up.
FN void many_of_segment(const struct product_args *a, unsigned row, unsigned tiles, float (*acc)[4]) {
    unsigned n = a->w.blocks, s = THREAD / 32, count = strip_length(n, s);
    unsigned output[2] = {output_of_lane(0, a->w.rows), output_of_lane(1, a->w.rows)};
    for (unsigned j = 0; j < count; j++) {
        unsigned block = strip_at(n, s, j);
        const uint8_t *codes = a->codes + (size_t)row * a->w.cols + (size_t)block * (GROUPS * 32);
        const struct group_of_row *group = a->group + (size_t)row * (a->w.cols / 32) + (size_t)block * GROUPS;
        struct two_outputs two;
        for (unsigned k = 0; k < 2; k++) {
            size_t at = (size_t)output[k] * n + block;
            two.body[k] = a->w.body + at * BODY;
            two.s[k] = scales_of_block(two.body[k], a->w.rest + at * REST);
        }
        if (!PIECE) {
            many_floats(a, &two, codes, group, tiles, acc);
            continue;
        }
        for (unsigned first = 0; first < GROUPS; first += 4)
            many_integers(a, &two, first, codes, group, tiles, acc);
    }
}

// BLOCK_Y has MANY rows; behind the last one there is room for as many (../ops_product.c).
FN void multiply_many(const struct product_args *a, struct many_room *room) {
    struct outputs_of_many to = {a->bias, a->y, a->by, a->rows, a->w.rows};
    unsigned row = BLOCK_Y * MANY;
    float acc[TILES][4] = {{0}};
    many_of_segment(a, row, tiles_of(a->rows, row, MANY), acc);
    UNROLL
    for (unsigned n = 0; n < TILES; n++) put_tile(&room->sum[0][0], MANY, n, acc[n]);
    store_many(&room->sum[0][0], MANY, row, &to);
}

#else // never launched there (struct gpu_chip)

FN void multiply_many(const struct product_args *a, struct many_room *room) {}

#endif

#endif
