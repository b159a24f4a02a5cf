// Products of many rows with F16 and BF16 weights on tensor cores: planes of bytes, three products of them, exact sums
// for a run (docs/arithmetic.md). Of the 64 bytes of a plane's group a lane has sixteen neighbours, for weights and
// activations alike: which of them meet in one instruction does not matter.
#ifndef DEVICE_GPU_KERNELS_MANY16_H
#define DEVICE_GPU_KERNELS_MANY16_H

#include "chip.h"

#include "runs16.h"
#include "tensor.h"

enum { MANY16 = MANY_INTEGERS, TILES16 = MANY16 / LEAST_WIDE };

struct many16_room {
    float sum[SEGMENTS][MANY16 * MANY_OUTPUTS];
};

#ifdef TENSOR

// A group's planes of the lane's outputs, or of one row in [0].
struct planes_of_lane {
    struct quad high[2], low[2];
};

FN void load_planes(struct planes_of_lane *p, unsigned k, const uint8_t *group) {
    p->high[k] = quad_at(group + 16 * word_given());
    p->low[k] = quad_at(group + 64 + 16 * word_given());
}

// c + 64 products, in two steps.
FN void mma_planes(int *c, const struct quad *w, const struct quad *x) {
    for (unsigned i = 0; i < 4; i += 2) {
        uint32_t a[4];
        const uint32_t b[2] = {x->w[i], x->w[i + 1]};
        for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
            a[k] = w[k].w[i];
            a[k + OWN_OUTPUTS] = w[k].w[i + 1];
        }
        mma_bytes(c, a, b);
    }
}

struct sums16 {
    int high[TILES16][4], cross[TILES16][4];
};

FN void add_group16(struct sums16 *s, const uint8_t *const *own, size_t at, const uint8_t *x, size_t row,
                    unsigned tiles) {
    struct planes_of_lane w;
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) load_planes(&w, k, own[k] + at);
    UNROLL
    for (unsigned n = 0; n < MANY16 / WIDE; n++) {
        if (n >= tiles) continue;
        struct planes_of_lane v;
        load_planes(&v, 0, x + at + ((size_t)n * WIDE + row_given()) * row);
        mma_planes(s->high[n], w.high, v.high);
        mma_planes(s->cross[n], w.high, v.low);
        mma_planes(s->cross[n], w.low, v.high);
    }
}

// A run's sums, with the units of the lane's outputs and rows.
FN void add_run16(const struct product16_args *a, const unsigned *output, unsigned row, unsigned number,
                  const struct sums16 *s, unsigned tiles, float (*acc)[4]) {
    UNROLL
    for (unsigned n = 0; n < MANY16 / WIDE; n++)
        for (unsigned k = 0; k < 4; k++) {
            if (n >= tiles) continue;
            float w = a->w_unit[(size_t)output[output_of_element(k)] * a->runs + number];
            float x = a->x_unit[(size_t)(row + n * WIDE + place_of_row(row_of_element(k))) * a->runs + number];
            acc[n][k] = fmaf(w * x, (float)(256 * s->high[n][k] + s->cross[n][k]), acc[n][k]);
        }
}

FN void many16_of_segment(const struct product16_args *a, unsigned segment, unsigned row, unsigned tiles,
                          float (*acc)[4]) {
    unsigned groups = groups16(a->cols), number = 0, end = runs16_of(strip_length(groups, segment)), output[2];
    size_t bytes = (size_t)groups * 128;
    const uint8_t *own[2];
    for (unsigned k = 0; k < OWN_OUTPUTS; k++) {
        output[k] = output_of_lane(k, a->outputs);
        own[k] = a->w + output[k] * bytes;
    }
    for (unsigned i = 0; i < segment; i++) number += runs16_of(strip_length(groups, i));
    for (end += number; number < end; number++) {
        struct run16 run = run16_of(groups, number);
        struct sums16 s = {{{0}}, {{0}}};
        for (unsigned g = run.first; g < run.first + run.n; g++)
            add_group16(&s, own, (size_t)g * 128, a->x + row * bytes, bytes, tiles);
        add_run16(a, output, row, number, &s, tiles, acc);
    }
}

FN void multiply_many16(const struct product16_args *a, struct many16_room *room) {
    struct outputs_of_many to = {a->bias, a->y, a->by, a->rows, a->outputs};
    unsigned row = BLOCK_Y * MANY16;
    for (unsigned s = THREAD / TENSOR_LANES; s < SEGMENTS; s += THREADS / TENSOR_LANES) {
        float acc[TILES16][4] = {{0}};
        many16_of_segment(a, s, row, tiles_of(a->rows, row, MANY16), acc);
        UNROLL
        for (unsigned n = 0; n < MANY16 / WIDE; n++) put_tile(&room->sum[0][0], MANY16, s, n, acc[n]);
    }
    store_many(&room->sum[0][0], MANY16, row, &to);
}

#else // never launched there (struct gpu_chip)

FN void multiply_many16(const struct product16_args *a, struct many16_room *room) {}

#endif

#endif
