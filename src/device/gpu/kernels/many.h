// Products of many rows of activations with quantized weights, on tensor cores: exact sums of products of bytes, of
// sixteen outputs and a tile of rows at a time (mma_bytes() of chip.h), then what product.cu makes of the same sums, in
// the same order. Who has what of a tile: tensor.h.
#ifndef DEVICE_GPU_KERNELS_MANY_H
#define DEVICE_GPU_KERNELS_MANY_H

#include "chip.h"

#include "args.h"
#include "strips.h"
#include "tensor.h"
#include "types.h"

// Rows of a block, as many as registers allow; the most tiles that they are.
enum { MANY = PIECE ? MANY_INTEGERS : MANY_FLOATS, MOST_TILES = MANY / LEAST_WIDE };

struct many_room {
    float sum[SEGMENTS][MANY * MANY_OUTPUTS];
};

#ifdef TENSOR

// What a lane has of a block of the weights.
struct lane_outputs {
    const uint8_t *body[2];
    struct scales s[2];
};

// And of a tile of activations: the words that it gives of one row, and the groups of the rows whose sums it takes.
struct tile {
    uint32_t x[2];
    struct group_of_row of[MOST_OWN];
};

// The sum of half h of a group of activations, or of all of it.
FN int sum_of(uint32_t sums, unsigned h) {
    return HALVES == 1 ? half_sum(sums, 0) + half_sum(sums, 1) : half_sum(sums, h);
}

FN uint32_t one_of_four(const uint32_t *w, unsigned i) { return i & 2 ? (i & 1 ? w[3] : w[2]) : i & 1 ? w[1] : w[0]; }

FN void weights_of_group(const struct lane_outputs *own, unsigned i, const uint32_t *grid, uint32_t *w) {
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
        uint32_t all[WORDS];
        codes_of_group(own->body[k], i, grid, all);
        w[k] = one_of_four(all, word_given());
        w[k + OWN_OUTPUTS] = one_of_four(all + 4, word_given());
    }
}

// Codes and groups lie as in product.cu; `codes` and `group` are those of the first row of the tile.
FN struct tile tile_of(const struct product_args *a, const uint8_t *codes, const struct group_of_row *group) {
    const uint8_t *x = codes + (size_t)row_given() * a->w.cols + 4 * word_given();
    struct tile t;
    t.x[0] = word_at(x);
    t.x[1] = word_at(x + 16);
    for (unsigned i = 0; i < OWN_ROWS; i++) t.of[i] = group[(size_t)place_of_row(i) * (a->w.cols / 32)];
    return t;
}

FN void sums_of_half(const uint32_t *w, const struct tile *t, unsigned h, int *c) {
    for (unsigned k = 0; k < 4; k++) c[k] = 0;
    if (HALVES == 1)
        mma_bytes(c, w, t->x);
    else
        mma_half(c, w + OWN_OUTPUTS * h, t->x[h]);
    for (unsigned k = 0; k < 4; k++) c[k] -= ZERO * sum_of(t->of[row_of_element(k)].sums, h);
}

FN void add_tile_of_floats(const struct lane_outputs *own, const uint32_t *w, unsigned i, const struct tile *t,
                           float *acc) {
    for (unsigned h = 0; h < HALVES; h++) {
        int c[4];
        sums_of_half(w, t, h, c);
        for (unsigned k = 0; k < 4; k++) {
            float d = own->s[output_of_element(k)].d;
            float scale = HALVES == 1 ? d : d * (float)scale_of_half(own->body[output_of_element(k)], i, h);
            acc[k] = fmaf(scale * t->of[row_of_element(k)].d, (float)c[k], acc[k]);
        }
    }
    for (unsigned k = 0; OFFSET && k < 4; k++) {
        const struct group_of_row *of = &t->of[row_of_element(k)];
        int sum = half_sum(of->sums, 0) + half_sum(of->sums, 1);
        acc[k] = fmaf(own->s[output_of_element(k)].low, of->d * (float)sum, acc[k]);
    }
}

FN void many_floats(const struct product_args *a, const struct lane_outputs *own, const uint8_t *codes,
                    const struct group_of_row *group, unsigned tiles, float (*acc)[4]) {
    for (unsigned i = 0; i < GROUPS; i++) {
        uint32_t w[4];
        weights_of_group(own, i, a->w.grid, w);
        UNROLL
        for (unsigned n = 0; n < MANY / WIDE; n++) {
            if (n >= tiles) continue;
            struct tile t = tile_of(a, codes + (size_t)n * WIDE * a->w.cols + 32 * i,
                                    group + (size_t)n * WIDE * (a->w.cols / 32) + i);
            add_tile_of_floats(own, w, i, &t, acc[n]);
        }
    }
}

struct many_sums {
    int piece[MOST_TILES][4], low[MOST_TILES][4];
    float run[MOST_TILES][4];
};

FN void add_tile_exactly(const struct lane_outputs *own, const uint32_t *w, unsigned i, const struct tile *t,
                         int *piece, int *low) {
    for (unsigned h = 0; h < HALVES; h++) {
        int c[4];
        sums_of_half(w, t, h, c);
        for (unsigned k = 0; k < 4; k++) {
            const uint8_t *body = own->body[output_of_element(k)];
            piece[k] += scale_of_half(body, i, h) * c[k];
            if (OFFSET) low[k] += minimum_of_half(body, i, h) * sum_of(t->of[row_of_element(k)].sums, h);
        }
    }
}

// A run of four groups, from `first` on.
FN void many_integers(const struct product_args *a, const struct lane_outputs *own, unsigned first,
                      const uint8_t *codes, const struct group_of_row *group, unsigned tiles, float (*acc)[4]) {
    struct many_sums sum = {{{0}}, {{0}}, {{0}}};
    for (unsigned i = 0; i < 4; i++) {
        uint32_t w[4];
        weights_of_group(own, first + i, a->w.grid, w);
        UNROLL
        for (unsigned n = 0; n < MANY / WIDE; n++) {
            if (n >= tiles) continue;
            struct tile t = tile_of(a, codes + (size_t)n * WIDE * a->w.cols + 32 * (first + i),
                                    group + (size_t)n * WIDE * (a->w.cols / 32) + first + i);
            add_tile_exactly(own, w, first + i, &t, sum.piece[n], sum.low[n]);
            for (unsigned k = 0; k < 4; k++) {
                if ((i + 1) % (PIECE ? PIECE : 1) == 0) {
                    sum.run[n][k] = fmaf(own->s[output_of_element(k)].d, (float)sum.piece[n][k], sum.run[n][k]);
                    sum.piece[n][k] = 0;
                }
                if (i < 3) continue;
                if (OFFSET) sum.run[n][k] = fmaf(own->s[output_of_element(k)].low, (float)sum.low[n][k], sum.run[n][k]);
                acc[n][k] = fmaf(sum.run[n][k], t.of[row_of_element(k)].d, acc[n][k]);
            }
        }
    }
}

// What a segment's warp adds up.
FN void many_of_segment(const struct product_args *a, unsigned s, unsigned row, unsigned tiles, float (*acc)[4]) {
    unsigned n = a->w.blocks, count = strip_length(n, s);
    unsigned output[2];
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) output[k] = output_of_lane(k, a->w.rows);
    for (unsigned j = 0; j < count; j++) {
        unsigned block = strip_at(n, s, j);
        const uint8_t *codes = a->codes + (size_t)row * a->w.cols + (size_t)block * (GROUPS * 32);
        const struct group_of_row *group = a->group + (size_t)row * (a->w.cols / 32) + (size_t)block * GROUPS;
        struct lane_outputs own;
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            size_t at = (size_t)output[k] * n + block;
            own.body[k] = a->w.body + at * BODY;
            own.s[k] = scales_of_block(own.body[k], a->w.rest + at * REST);
        }
        if (!PIECE) {
            many_floats(a, &own, codes, group, tiles, acc);
            continue;
        }
        for (unsigned first = 0; first < GROUPS; first += 4) many_integers(a, &own, first, codes, group, tiles, acc);
    }
}

// BLOCK_Y has MANY rows; behind the last one there is room for as many (../ops_product.c).
FN void multiply_many(const struct product_args *a, struct many_room *room) {
    struct outputs_of_many to = {a->bias, a->y, a->by, a->rows, a->w.rows};
    unsigned row = BLOCK_Y * MANY;
    for (unsigned s = THREAD / TENSOR_LANES; s < SEGMENTS; s += THREADS / TENSOR_LANES) {
        float acc[MOST_TILES][4] = {{0}};
        many_of_segment(a, s, row, tiles_of(a->rows, row, MANY), acc);
        UNROLL
        for (unsigned n = 0; n < MANY / WIDE; n++) put_tile(&room->sum[0][0], MANY, s, n, acc[n]);
    }
    store_many(&room->sum[0][0], MANY, row, &to);
}

#else // never launched there (struct gpu_chip)

FN void multiply_many(const struct product_args *a, struct many_room *room) {}

#endif

#endif
