// Products with quantized weights, and rows of a quantized table (docs/arithmetic.md, "Products with quantized
// weights"). Compiled once for each TYPE_NAME. Eight neighbouring lanes have an output, one of its segments each.
// Told nothing, the compiler keeps some registers of these in memory.
#if TYPE == 13 || TYPE == 40
#define BLOCKS 1
#elif TYPE == 11 || TYPE == 12 || TYPE == 14 || TYPE == 18 || TYPE == 19 || TYPE == 29
#define BLOCKS 2
#endif
#include "chip.h"

#include "args.h"
#include "choice.h"
#include "many.h"
#include "strips.h"
#include "types.h"

enum { TEAM = SEGMENTS, RUN = 4, FEW = 4 };

// A block of the weights, and rows of activations that it is multiplied by.
struct here {
    const uint8_t *body, *rest, *codes;
    const struct group_of_row *group;
    const uint32_t *grid;
    size_t cols; // of a row of activations
};

// The exact sum of half h, or of all, of a group: codes without their zero point times activations.
FN int dot_of(const uint32_t *w, const uint8_t *codes, uint32_t sums, unsigned h) {
    int dot = 0, sum = HALVES == 1 ? half_sum(sums, 0) + half_sum(sums, 1) : half_sum(sums, h);
    for (unsigned q = h * 2 / HALVES; q < (h + 1) * 2 / HALVES; q++) {
        struct quad x = quad_at(codes + 16 * q);
        for (int k = 0; k < 4; k++) dot = dot4(w[4 * q + k], x.w[k], dot);
    }
    return dot - ZERO * sum;
}

// Where scales are floats: a group of a row.
FN float add_group(const struct here *at, const struct scales *s, const uint32_t *w, unsigned i, unsigned r,
                   float acc) {
    const struct group_of_row *group = at->group + r * (at->cols / 32) + i;
    const uint8_t *codes = at->codes + r * at->cols + 32 * i;
    float d = group->d;
    for (unsigned h = 0; h < HALVES; h++) {
        float scale = HALVES == 1 ? s->d : s->d * (float)scale_of_half(at->body, i, h);
        acc = fmaf(scale * d, (float)dot_of(w, codes, group->sums, h), acc);
    }
    if (OFFSET) acc = fmaf(s->low, d * (float)(half_sum(group->sums, 0) + half_sum(group->sums, 1)), acc);
    return acc;
}

FN void block_of_floats(const struct here *at, unsigned rows, float *acc) {
    struct scales s = scales_of_block(at->body, at->rest);
    for (unsigned i = 0; i < GROUPS; i++) {
        uint32_t w[WORDS];
        codes_of_group(at->body, i, at->grid, w);
        for (unsigned r = 0; r < rows; r++) acc[r] = add_group(at, &s, w, i, r, acc[r]);
    }
}

// Where scales are integers: the exact sums of a run so far, and of the run's pieces.
struct run_sums {
    int piece, low;
    float run;
};

FN void add_exactly(const struct here *at, const uint32_t *w, unsigned i, unsigned r, struct run_sums *to) {
    const struct group_of_row *group = at->group + r * (at->cols / 32) + i;
    const uint8_t *codes = at->codes + r * at->cols + 32 * i;
    for (unsigned h = 0; h < HALVES; h++) {
        to->piece += scale_of_half(at->body, i, h) * dot_of(w, codes, group->sums, h);
        if (OFFSET)
            to->low += minimum_of_half(at->body, i, h) *
                       (HALVES == 1 ? half_sum(group->sums, 0) + half_sum(group->sums, 1) : half_sum(group->sums, h));
    }
}

FN void block_of_integers(const struct here *at, unsigned rows, float *acc) {
    struct scales s = scales_of_block(at->body, at->rest);
    for (unsigned first = 0; first < GROUPS; first += RUN) {
        struct run_sums sum[FEW] = {{0, 0, 0}};
        for (unsigned i = first; i < first + RUN; i++) {
            uint32_t w[WORDS];
            codes_of_group(at->body, i, at->grid, w);
            for (unsigned r = 0; r < rows; r++) {
                add_exactly(at, w, i, r, &sum[r]);
                if (PIECE == 0 || (i + 1) % (PIECE ? PIECE : 1)) continue;
                sum[r].run = fmaf(s.d, (float)sum[r].piece, sum[r].run);
                sum[r].piece = 0;
            }
        }
        for (unsigned r = 0; r < rows; r++) {
            if (OFFSET) sum[r].run = fmaf(s.low, (float)sum[r].low, sum[r].run);
            acc[r] = fmaf(sum[r].run, at->group[r * (at->cols / 32) + first].d, acc[r]);
        }
    }
}

// Rows [first, first + rows) of activations. `rows` is a constant for the compiler; of those beyond the last one the
// last is taken again.
FN void multiply(const struct product_args *a, unsigned first, unsigned rows) {
    unsigned output = (BLOCK_X * THREADS + THREAD) / TEAM, segment = THREAD % TEAM, n = a->w.blocks;
    bool mine = output < a->w.rows;
    struct chosen_matrix m = {a->w.body, a->w.rest, (const float *)0, a->bias, a->by, TYPE};
    if (rows == 1 && !choose_matrix(&a->choice, first, &m)) return;
    unsigned count = mine ? strip_length(n, segment) : 0;
    size_t row = (size_t)output * n;
    float acc[FEW] = {0};
    for (unsigned j = 0; j < count; j++) {
        unsigned block = strip_at(n, segment, j);
        struct here at = {m.body + (row + block) * BODY,
                          m.rest + (row + block) * REST,
                          a->codes + (size_t)first * a->w.cols + (size_t)block * (GROUPS * 32),
                          a->group + (size_t)first * (a->w.cols / 32) + (size_t)block * GROUPS,
                          a->w.grid,
                          a->w.cols};
        if (PIECE)
            block_of_integers(&at, rows, acc);
        else
            block_of_floats(&at, rows, acc);
    }
    for (unsigned r = 0; r < rows; r++) {
        float sum = acc[r];
        for (unsigned mask = 1; mask < TEAM; mask *= 2) sum += swap_float(sum, mask);
        if (m.bias && mine) sum += m.bias[output];
        if (m.by != 1) sum *= m.by;
        if (mine && segment == 0) a->y[(size_t)(first + r) * a->w.rows + output] = sum;
    }
}

KERNEL(product, product_args) { multiply(&a, BLOCK_Y, 1); }

// FEW rows at a time, BLOCK_Y of them; there are whole ones only.
KERNEL(product_few, product_args) { multiply(&a, BLOCK_Y * FEW, FEW); }

#ifdef BLOCKS // a tile's sums and what comes next fill a thread's registers
#undef BLOCKS
#define BLOCKS 1
#endif

// Many rows, on tensor cores, up to so many to a block. Of few rows the weights are what takes time, and more groups of
// them have to be on their way.
KERNEL(product_many16, product_many_args) {
    const struct shape s = {1, 1, 4, 4};
    SHARED(struct many_room, room);
    multiply_many(&a, s, room);
}
KERNEL(product_many32, product_many_args) {
    const struct shape s = {2, 2, 2, 1};
    SHARED(struct many_room, room);
    multiply_many(&a, s, room);
}
KERNEL(product_many64, product_many_args) {
    const struct shape s = {2, 4, 2, 1};
    SHARED(struct many_room, room);
    multiply_many(&a, s, room);
}

// Rows of a table: BLOCK_X is the row, a thread takes a group.
KERNEL(embed, embed_args) {
    unsigned n = a.table.blocks;
    size_t row = (size_t)a.ids[BLOCK_X] * n;
    unsigned g = BLOCK_Y * THREADS + THREAD;
    if (g >= n * GROUPS) return;
    size_t block = row + strip_of(n, g / GROUPS);
    unsigned i = g % GROUPS;
    const uint8_t *body = a.table.body + block * BODY;
    struct scales s = scales_of_block(body, a.table.rest + block * REST);
    float *y = a.y + (size_t)BLOCK_X * a.table.cols + (size_t)g * 32;
    uint32_t w[WORDS];
    codes_of_group(body, i, a.table.grid, w);
    for (unsigned k = 0; k < 32; k++) {
        unsigned h = k / 16;
        float code = (float)((int)(int8_t)(w[k / 4] >> 8 * (k % 4)) - ZERO);
        float x = s.d * (float)scale_of_half(body, i, h) * code;
        y[k] = OFFSET ? x + s.low * (float)minimum_of_half(body, i, h) : x;
    }
}
