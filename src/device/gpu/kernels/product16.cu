// Products of a row with F16 or BF16 weights as integers in two planes (docs/arithmetic.md). Few registers: all blocks of
// a matrix of a few thousand outputs are to be on the card at a time, since the last ones would read alone.
#define BLOCKS 5
#include "chip.h"

#include "args.h"
#include "choice.h"
#include "output.h"
#include "runs16.h"

// Of F16 and BF16 a warp has a slab of outputs in 32 lanes, two in 64, and takes segments in turn: four lanes have an
// output, each 16 neighbours of a group's 64. So many groups are on their way from memory.
enum { AHEAD = 2 };

struct piece16 {
    struct quad high, low;
};

FN struct piece16 piece16_at(const uint8_t *p) {
    struct piece16 piece = {quad_at(p), quad_at(p + PLANE16)};
    return piece;
}

// Sums of products of high bytes, and of high and low ones.
struct sums_of_lane {
    int high, cross;
};

FN void add_piece16(struct sums_of_lane *s, const struct piece16 *w, const struct piece16 *x) {
    for (unsigned i = 0; i < 4; i++) {
        s->high = dot4(w->high.w[i], x->high.w[i], s->high);
        s->cross = dot4(w->low.w[i], x->high.w[i], dot4(w->high.w[i], x->low.w[i], s->cross));
    }
}

// What the four lanes have of a run together.
FN int sum_of_run(const struct sums_of_lane *s) {
    int sum = 256 * s->high + s->cross;
    sum += (int)swap_word((uint32_t)sum, 1);
    return sum + (int)swap_word((uint32_t)sum, 2);
}

// A segment of n groups; planes from its first group on, units from its first run on.
FN float segment16(const uint8_t *w, const uint8_t *x, const float *w_unit, const float *x_unit, unsigned n) {
    struct walk16 walk = walk16_of(n);
    struct piece16 ahead[AHEAD];
    struct sums_of_lane s = {0, 0};
    float acc = 0, wu = n ? *w_unit : 0;
    UNROLL
    for (unsigned i = 0; i < AHEAD; i++)
        if (i < n) ahead[i] = piece16_at(w + i * GROUP16);
    after_earlier();
    float xu = n ? *x_unit : 0;
    for (unsigned first = 0; first < n; first += AHEAD) {
        w += AHEAD * GROUP16;
        UNROLL
        for (unsigned i = 0; i < AHEAD; i++) {
            unsigned g = first + i;
            if (g >= n) continue;
            struct piece16 v = piece16_at(x + i * GROUP16);
            add_piece16(&s, &ahead[i], &v);
            if (g + AHEAD < n) ahead[i] = piece16_at(w + i * GROUP16);
            if (g + 1 < walk.end) continue;
            acc = fmaf(wu * xu, (float)sum_of_run(&s), acc);
            s.high = s.cross = 0;
            if (g + 1 == n) continue;
            next_run16(&walk);
            wu = *(w_unit += SLAB16);
            xu = *(x_unit += SLAB16);
        }
        x += AHEAD * GROUP16;
    }
    return acc;
}

struct segments_room {
    float sum[SEGMENTS][64 / 4];
};

// Looked up twice, which takes less registers than to keep it.
FN bool matrix16(const struct product16_args *a, struct chosen_matrix *m) {
    struct chosen_matrix own = {a->w, (const uint8_t *)0, a->w_unit, a->bias, a->by, 0};
    *m = own;
    return choose_matrix(&a->choice, BLOCK_Y, m);
}

// Segment s of output o, which its four lanes come for.
FN float segment16_of(const struct product16_args *a, unsigned o, unsigned s) {
    struct chosen_matrix m;
    matrix16(a, &m);
    unsigned groups = groups16(a->cols), first = strip_start(groups, s), run = first_run16(groups, s);
    size_t group = (size_t)first * GROUP16 + THREAD % 4 * 16, unit = (size_t)run * SLAB16;
    return segment16(m.body + row16_at(o, groups) + group, a->x + row16_at(BLOCK_Y, groups) + group,
                     m.unit + unit16_at(o, a->runs) + unit, a->x_unit + unit16_at(BLOCK_Y, a->runs) + unit,
                     strip_length(groups, s));
}

// BLOCK_X has WARP / 4 outputs, BLOCK_Y is the row.
EARLY_KERNEL(product16, product16_args) {
    SHARED(struct segments_room, room);
    struct chosen_matrix m;
    if (a.choice.table) after_earlier();
    if (!matrix16(&a, &m)) return;
    unsigned outputs = WARP / 4, place = THREAD % WARP / 4, mine = BLOCK_X * outputs + place;
    unsigned most = (unsigned)slabs16(a.outputs) * SLAB16 - 1, s = THREAD / WARP;
    do {
        float sum = segment16_of(&a, mine < most ? mine : most, s);
        if (THREAD % 4 == 0) room->sum[s][place] = sum;
        s += THREADS / WARP;
    } while (THREADS / WARP < SEGMENTS && s < SEGMENTS);
    barrier();
    unsigned o = BLOCK_X * outputs + THREAD;
    if (THREAD >= outputs || o >= a.outputs) return;
    float of[SEGMENTS];
    for (unsigned i = 0; i < SEGMENTS; i++) of[i] = room->sum[i][THREAD];
    float sum = ((of[0] + of[1]) + (of[2] + of[3])) + ((of[4] + of[5]) + (of[6] + of[7]));
    matrix16(&a, &m);
    if (m.bias) sum += m.bias[o];
    give_output(a.y, a.plus, (size_t)BLOCK_Y * a.outputs + o, m.by != 1 ? sum * m.by : sum);
}
