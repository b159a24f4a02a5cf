// Products of a few rows of activations, as fast as memory gives weights: eight neighbouring lanes have an output, one
// of its segments each, and each lane keeps the next blocks of its segment on their way, in registers.
#ifndef DEVICE_GPU_KERNELS_FEW_H
#define DEVICE_GPU_KERNELS_FEW_H

#include "chip.h"

#include "args.h"
#include "choice.h"
#include "output.h"
#include "strips.h"
#include "types.h"

// Some 128 bytes of weights are on their way for a lane: with nine warps on a processor, which is what 4,544 outputs
// are, that is more than memory's delay takes.
enum { TEAM = SEGMENTS, RUN = 4, FEW = 4 };
#if TYPE == 19 // its grid's addresses would not fit in registers besides
#define UNROLL_RUNS
#else
#define UNROLL_RUNS UNROLL
#endif
#if defined(__HIP__) || defined(__HIPCC_RTC__) // more would not fit in a thread's registers
enum { MOST_AHEAD = 2 };
#else
enum { MOST_AHEAD = 8 };
#endif
enum { AHEAD = BODY >= 48 ? 1 : BODY > 20 ? MOST_AHEAD / 2 : MOST_AHEAD, BODY_WORDS = (BODY + 15) / 16 * 4 };

// A block of the weights.
struct piece {
    ALIGNED16 uint32_t body[BODY_WORDS];
    uint32_t rest;
};

FN void fetch(const struct chosen_matrix *m, size_t at, struct piece *to) {
    const uint8_t *body = m->body + at * BODY, *rest = m->rest + at * REST;
    if (BODY % 16 == 0) {
        UNROLL
        for (unsigned k = 0; k < BODY / 16; k++) {
            struct quad q = quad_at(body + 16 * k);
            UNROLL
            for (unsigned i = 0; i < 4; i++) to->body[4 * k + i] = q.w[i];
        }
    } else {
        UNROLL
        for (unsigned k = 0; k < BODY / 4; k++) to->body[k] = word_at(body + 4 * k);
    }
    to->rest = REST == 4 ? word_at(rest) : REST == 2 ? half_at(rest) : REST == 1 ? *rest : 0;
}

// Rows of activations that blocks are multiplied by.
struct rounded {
    const uint8_t *codes;
    const struct group_of_row *group;
    const uint32_t *grid;
    size_t cols;   // of a row
    unsigned last; // row: of those beyond it, it is taken again
    unsigned step; // bytes from 16 codes to the next ones of a block: 16, or as stage.h has them
};

FN size_t row_of(const struct rounded *x, unsigned r) { return r < x->last ? r : x->last; }

// Codes of group i as products take them, times 2^FEW_LIFT and raised by FEW_ZERO. Of nibbles that are raised by eight
// that costs nothing: in the upper half of a byte n - 8 is n with its highest bit turned.
enum { FEW_LIFT = TYPE == 2 ? 4 : 0, FEW_ZERO = TYPE == 2 ? 0 : ZERO };
FN void codes_of_few(const uint8_t *body, unsigned i, const uint32_t *grid, uint32_t *w) {
#if TYPE == 2
    struct quad q = quad_at(body);
    UNROLL
    for (unsigned k = 0; k < 4; k++) {
        uint32_t turned = q.w[k] ^ ALL(0x88);
        FORGET_WORD(turned); // or this is done to each half
        w[k] = turned << 4 & ALL(0xf0);
        w[k + 4] = turned & ALL(0xf0);
    }
#else
    codes_of_group(body, i, grid, w);
#endif
}

// The sum of half h of a group of activations, or of all of it.
FN int sum_of_codes(uint32_t sums, unsigned h) {
    return HALVES == 1 ? half_sum(sums, 0) + half_sum(sums, 1) : half_sum(sums, h);
}

// Row r's group `at`: its codes, and what else there is of it.
FN const uint8_t *codes_of_row(const struct rounded *x, size_t at, unsigned r) {
    return x->codes + row_of(x, r) * x->cols + 2 * x->step * at;
}
FN const struct group_of_row *group_at(const struct rounded *x, size_t at, unsigned r) {
    return x->group + row_of(x, r) * (x->cols / 32) + x->step / 16 * at;
}

// `from` and the exact sum of half h, or of all, of a group: codes without their zero point times activations, which
// lie `step` bytes apart, 16 and 16.
FN int dot_of(const uint32_t *w, const uint8_t *codes, unsigned step, uint32_t sums, unsigned h, int from) {
    if (FEW_ZERO) from -= FEW_ZERO * sum_of_codes(sums, h);
    int second = 0; // two sums wait for each other less
    UNROLL
    for (unsigned q = h * 2 / HALVES; q < (h + 1) * 2 / HALVES; q++) {
        struct quad x = quad_at(codes + step * q);
        UNROLL
        for (int k = 0; k < 4; k += 2) {
            from = dot4(w[4 * q + k], x.w[k], from);
            second = dot4(w[4 * q + k + 1], x.w[k + 1], second);
        }
    }
    return from + second;
}

// A sum below 2^22 that began at the bits of SHIFT, or of SHIFT / 2^FEW_LIFT: as a float it is that and the sum.
enum { SHIFT_BITS = 0x4b400000, LIFTED_BITS = SHIFT_BITS - FEW_LIFT * (1 << 23) };
FN float float_of_shifted(int sum) { return float_of_bits((uint32_t)sum) - SHIFT; }
FN float float_of_lifted(int sum) { return float_of_bits((uint32_t)sum) - float_of_bits(LIFTED_BITS); }

// What is added to a segment's sum by a block where scales are floats, or by a run: a[i] * b[i], one after the other.
enum { GROUP_TERMS = HALVES + OFFSET, TERMS = PIECE ? 1 : GROUPS * GROUP_TERMS };
struct terms {
    float a[TERMS], b[TERMS];
};

// Where scales are floats: group i of the block, which is group `at` of the row.
FN void terms_of_group(const struct rounded *x, const struct piece *p, const struct scales *s, const uint32_t *w,
                       unsigned i, size_t at, unsigned r, float *a, float *b) {
    const struct group_of_row *group = group_at(x, at, r);
    const uint8_t *codes = codes_of_row(x, at, r), *body = (const uint8_t *)p->body;
    float d = group->d;
    UNROLL
    for (unsigned h = 0; h < HALVES; h++) {
        float scale = HALVES == 1 ? s->d : s->d * (float)scale_of_half(body, i, h);
        a[h] = scale * d;
        b[h] = float_of_lifted(dot_of(w, codes, x->step, group->sums, h, LIFTED_BITS));
    }
    if (!OFFSET) return;
    a[GROUP_TERMS - 1] = s->low;
    b[GROUP_TERMS - 1] = d * float_of_shifted(SHIFT_BITS + half_sum(group->sums, 0) + half_sum(group->sums, 1));
}

FN void block_of_floats(const struct rounded *x, const struct piece *p, size_t at, unsigned rows, float *acc) {
    const uint8_t *body = (const uint8_t *)p->body;
    struct scales s = scales_of_block(body, (const uint8_t *)&p->rest);
    UNROLL
    for (unsigned i = 0; i < GROUPS; i++) {
        uint32_t w[WORDS];
        codes_of_few(body, i, x->grid, w);
        UNROLL
        for (unsigned r = 0; r < rows; r++) {
            float a[GROUP_TERMS], b[GROUP_TERMS];
            terms_of_group(x, p, &s, w, i, at + i, r, a, b);
            UNROLL
            for (unsigned k = 0; k < GROUP_TERMS; k++) acc[r] = fmaf(a[k], b[k], acc[r]);
        }
    }
}

// Where scales are integers: the exact sums of a run so far, and of the run's pieces.
struct run_sums {
    int piece, low;
    float run;
};

FN void add_exactly(const struct rounded *x, const struct piece *p, const uint32_t *w, unsigned i, size_t at,
                    unsigned r, struct run_sums *to) {
    const struct group_of_row *group = group_at(x, at, r);
    const uint8_t *codes = codes_of_row(x, at, r), *body = (const uint8_t *)p->body;
    UNROLL
    for (unsigned h = 0; h < HALVES; h++) {
        to->piece += scale_of_half(body, i, h) * dot_of(w, codes, x->step, group->sums, h, 0);
        if (OFFSET) to->low += minimum_of_half(body, i, h) * sum_of_codes(group->sums, h);
    }
}

// The run that begins with group `first` of the block, which is group `at` of the row.
FN void run_of_integers(const struct rounded *x, const struct piece *p, const struct scales *s, unsigned first,
                        size_t at, unsigned rows, float *run) {
    struct run_sums sum[FEW] = {{0, 0, 0}};
    UNROLL
    for (unsigned i = first; i < first + RUN; i++) {
        uint32_t w[WORDS];
        codes_of_group((const uint8_t *)p->body, i, x->grid, w);
        UNROLL
        for (unsigned r = 0; r < rows; r++) {
            add_exactly(x, p, w, i, at + i - first, r, &sum[r]);
            if (PIECE == 0 || (i + 1) % (PIECE ? PIECE : 1)) continue;
            sum[r].run = fmaf(s->d, (float)sum[r].piece, sum[r].run);
            sum[r].piece = 0;
        }
    }
    UNROLL
    for (unsigned r = 0; r < rows; r++) run[r] = OFFSET ? fmaf(s->low, (float)sum[r].low, sum[r].run) : sum[r].run;
}

FN float scale_of_run(const struct rounded *x, size_t at, unsigned r) { return group_at(x, at, r)->d; }

FN void block_of_integers(const struct rounded *x, const struct piece *p, size_t at, unsigned rows, float *acc) {
    struct scales s = scales_of_block((const uint8_t *)p->body, (const uint8_t *)&p->rest);
    UNROLL_RUNS
    for (unsigned first = 0; first < GROUPS; first += RUN) {
        float run[FEW];
        run_of_integers(x, p, &s, first, at + first, rows, run);
        UNROLL
        for (unsigned r = 0; r < rows; r++) acc[r] = fmaf(run[r], scale_of_run(x, at + first, r), acc[r]);
    }
}

FN void add_block(const struct rounded *x, const struct piece *p, size_t block, unsigned rows, float *acc) {
    if (PIECE)
        block_of_integers(x, p, block * GROUPS, rows, acc);
    else
        block_of_floats(x, p, block * GROUPS, rows, acc);
}

// A segment of an output's row, which begins at block `row` of the matrix.
FN void add_segment(const struct rounded *x, const struct chosen_matrix *m, size_t row, unsigned n, unsigned segment,
                    unsigned rows, float *acc) {
    unsigned count = strip_length(n, segment), j = 0;
    struct piece next[AHEAD];
    UNROLL
    for (unsigned k = 0; k < AHEAD; k++)
        if (k < count) fetch(m, row + strip_at(n, segment, k), &next[k]);
    after_earlier();
    // Every segment has so many blocks, so that lanes go together.
    for (; j + AHEAD <= n / SEGMENTS; j += AHEAD) {
        UNROLL
        for (unsigned k = 0; k < AHEAD; k++) {
            struct piece now = next[k];
            if (j + k + AHEAD < count) fetch(m, row + strip_at(n, segment, j + k + AHEAD), &next[k]);
            add_block(x, &now, (size_t)(j + k) * SEGMENTS + segment, rows, acc);
        }
    }
    UNROLL
    for (unsigned k = 0; k < AHEAD; k++)
        if (j + k < count) add_block(x, &next[k], strip_at(n, segment, j + k), rows, acc);
}

// Rows [first, first + rows) of activations, `rows` a constant for the compiler; those that there are.
FN void multiply(const struct product_args *a, unsigned first, unsigned rows) {
    unsigned output = (BLOCK_X * THREADS + THREAD) / TEAM, segment = THREAD % TEAM;
    bool mine = output < a->w.rows;
    struct chosen_matrix m = {a->w.body, a->w.rest, (const float *)0, a->bias, a->by, TYPE};
    if (a->choice.table) after_earlier();
    if (rows == 1 && !choose_matrix(&a->choice, first, &m)) return;
    struct rounded x = {a->codes + (size_t)first * a->w.cols,
                        a->group + (size_t)first * (a->w.cols / 32),
                        a->w.grid,
                        a->w.cols,
                        rows == 1 ? 0 : a->rows - 1 - first,
                        16};
    float acc[FEW] = {0};
    if (mine) add_segment(&x, &m, (size_t)output * a->w.blocks, a->w.blocks, segment, rows, acc);
    UNROLL
    for (unsigned r = 0; r < rows; r++) {
        float sum = acc[r];
        for (unsigned mask = 1; mask < TEAM; mask *= 2) sum += swap_float(sum, mask);
        if (m.bias && mine) sum += m.bias[output];
        if (m.by != 1) sum *= m.by;
        if (mine && segment == 0 && r <= x.last)
            give_output(a->y, a->plus, (size_t)(first + r) * a->w.rows + output, sum);
    }
}

#endif
