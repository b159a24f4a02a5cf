// Products of one row of activations where two lanes share a segment: a product of few outputs is then the work of as
// many lanes as it takes to have enough of memory on its way. A lane takes every other block of its segment, or, where
// scales are integers, one run of each block. What they add to the segment's sum changes hands, and both add it up, in
// order.
#ifndef DEVICE_GPU_KERNELS_PAIRED_H
#define DEVICE_GPU_KERNELS_PAIRED_H

#include "few.h"

#if PAIRED(TYPE)

enum { PAIR_TEAM = 2 * SEGMENTS, PAIR_AHEAD = PIECE ? 1 : BODY > 20 ? 3 : 4 };

#if TYPE == 12 || TYPE == 13 || TYPE == 14
// Run h of a block, as if it were the block's first: what functions of types.h look at of groups 0 to 3, but for what
// is not in the block's body.
FN void take_run(const uint8_t *body, unsigned h, struct piece *to) {
    const unsigned codes = TYPE == 14 ? 0 : TYPE == 12 ? 16 : 48;
    UNROLL
    for (unsigned k = 0; k < 4; k++) {
        struct quad q = quad_at(body + codes + 64 * h + 16 * k);
        UNROLL
        for (unsigned i = 0; i < 4; i++) to->body[codes / 4 + 4 * k + i] = q.w[i];
    }
    const unsigned more = TYPE == 13 ? 16 : 128, size = TYPE == 12 ? 0 : 2;
    UNROLL
    for (unsigned k = 0; k < size; k++) {
        struct quad q = quad_at(body + more + (TYPE == 14 ? 32 * h : 0) + 16 * k);
        UNROLL
        for (unsigned i = 0; i < 4; i++) to->body[more / 4 + 4 * k + i] = TYPE == 13 ? q.w[i] >> 4 * h : q.w[i];
    }
    to->rest = 0;
#if TYPE == 14
    to->body[48] = word_at(body + 192 + 8 * h);
    to->body[49] = word_at(body + 196 + 8 * h);
#else
    struct quad head = quad_at(body);
    to->body[0] = head.w[0];
    scales_of_head(&head, h, to->body + 1);
#endif
}
FN void fetch_run(const struct chosen_matrix *m, size_t at, unsigned h, struct piece *to) {
    take_run(m->body + at * BODY, h, to);
    if (REST) to->rest = half_at(m->rest + at * REST);
}
#else
FN void fetch_run(const struct chosen_matrix *m, size_t at, unsigned h, struct piece *to) {}
#endif

// A segment of an output, and which of its two lanes this is.
struct share {
    size_t row; // the output's first block
    unsigned n, segment, count, lane;
};

FN unsigned block_of_share(const struct share *s, unsigned t) { return PIECE ? t : 2 * t + s->lane; }

FN void fetch_share(const struct chosen_matrix *m, const struct share *s, unsigned t, struct piece *to) {
    unsigned j = block_of_share(s, t);
    if (j >= s->count) return;
    size_t at = s->row + strip_at(s->n, s->segment, j);
    if (PIECE)
        fetch_run(m, at, s->lane, to);
    else
        fetch(m, at, to);
}

FN void terms_of_share(const struct rounded *x, const struct share *s, const struct piece *p, unsigned t,
                       struct terms *to) {
    struct scales scales = scales_of_block((const uint8_t *)p->body, (const uint8_t *)&p->rest);
    size_t at = (size_t)strip_at(s->n, s->segment, block_of_share(s, t)) * GROUPS + (PIECE ? RUN * s->lane : 0);
    if (PIECE) {
        run_of_integers(x, p, &scales, 0, at, 1, to->a);
        to->b[0] = scale_of_run(x, at, 0);
        return;
    }
    UNROLL
    for (unsigned i = 0; i < GROUPS; i++) {
        uint32_t w[WORDS];
        codes_of_few((const uint8_t *)p->body, i, x->grid, w);
        terms_of_group(x, p, &scales, w, i, at + i, 0, to->a + GROUP_TERMS * i, to->b + GROUP_TERMS * i);
    }
}

// The other lane's terms are before this one's, or behind them. All lanes of a warp come here.
FN float add_shares(const struct share *s, const struct terms *own, unsigned t, float acc) {
    struct terms other;
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) {
        other.a[k] = swap_float(own->a[k], SEGMENTS);
        other.b[k] = swap_float(own->b[k], SEGMENTS);
    }
    bool first = PIECE ? t < s->count : 2 * t < s->count, second = PIECE ? first : 2 * t + 1 < s->count;
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) {
        float sum = fmaf(s->lane ? other.a[k] : own->a[k], s->lane ? other.b[k] : own->b[k], acc);
        acc = first ? sum : acc;
    }
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) {
        float sum = fmaf(s->lane ? own->a[k] : other.a[k], s->lane ? own->b[k] : other.b[k], acc);
        acc = second ? sum : acc;
    }
    return acc;
}

// The same where the first lane alone has the sum: its terms, then the other's; what the other lane makes of that is
// not used. Terms that a lane does not have are zeros, which change nothing.
FN float add_terms(const struct terms *own, float acc) {
    struct terms other;
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) {
        other.a[k] = swap_float(own->a[k], SEGMENTS);
        other.b[k] = swap_float(own->b[k], SEGMENTS);
    }
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) acc = fmaf(own->a[k], own->b[k], acc);
    UNROLL
    for (unsigned k = 0; k < TERMS; k++) acc = fmaf(other.a[k], other.b[k], acc);
    return acc;
}

// Outputs of which this is the first, each `step` behind the one before.
FN unsigned outputs_of_team(const struct product_args *a, unsigned output, unsigned step) {
    return output < a->w.rows ? (a->w.rows - output - 1) / step + 1 : 0;
}

FN float sum_of_segment(const struct rounded *x, const struct chosen_matrix *m, const struct share *s) {
    unsigned whole = PIECE ? s->n / SEGMENTS : s->n / SEGMENTS / 2, t = 0; // which both lanes of all segments have
    unsigned most = s->n / SEGMENTS + (s->n % SEGMENTS != 0), turns = PIECE ? most : (most + 1) / 2;
    float acc = 0;
    struct piece next[PAIR_AHEAD];
    UNROLL
    for (unsigned k = 0; k < PAIR_AHEAD; k++) fetch_share(m, s, k, &next[k]);
    after_earlier();
    for (; t + PAIR_AHEAD <= whole; t += PAIR_AHEAD) {
        UNROLL
        for (unsigned k = 0; k < PAIR_AHEAD; k++) {
            struct piece now = next[k];
            struct terms own;
            fetch_share(m, s, t + k + PAIR_AHEAD, &next[k]);
            terms_of_share(x, s, &now, t + k, &own);
            acc = add_shares(s, &own, t + k, acc);
        }
    }
    UNROLL
    for (unsigned k = 0; k < PAIR_AHEAD; k++) {
        if (t + k >= turns) continue;
        struct terms own = {{0}, {0}};
        if (block_of_share(s, t + k) < s->count) terms_of_share(x, s, &next[k], t + k, &own);
        acc = add_shares(s, &own, t + k, acc);
    }
    return acc;
}

// What row `r` of activations gives an output.
FN void give_product(const struct product_args *a, const struct chosen_matrix *m, unsigned r, size_t output,
                     float sum) {
    if (m->bias) sum += m->bias[output];
    if (m->by != 1) sum *= m->by;
    give_output(a->y, a->plus, (size_t)r * a->w.rows + output, sum);
}

// Row `r` of activations; outputs in turns of so many as the blocks of threads have together.
FN void multiply_paired(const struct product_args *a, unsigned r) {
    struct chosen_matrix m = {a->w.body, a->w.rest, (const float *)0, a->bias, a->by, TYPE};
    if (a->choice.table) after_earlier();
    if (!choose_matrix(&a->choice, r, &m)) return;
    struct rounded x = {
        a->codes + (size_t)r * a->w.cols, a->group + (size_t)r * (a->w.cols / 32), a->w.grid, a->w.cols, 0, 16};
    struct share s = {0, a->w.blocks, THREAD % SEGMENTS, strip_length(a->w.blocks, THREAD % SEGMENTS),
                      THREAD / SEGMENTS % 2};
    for (size_t block = BLOCK_X; block * (THREADS / PAIR_TEAM) < a->w.rows; block += a->blocks) {
        size_t output = block * (THREADS / PAIR_TEAM) + THREAD / PAIR_TEAM, last = a->w.rows - 1;
        s.row = (output < last ? output : last) * s.n;
        float sum = sum_of_segment(&x, &m, &s);
        for (unsigned mask = 1; mask < SEGMENTS; mask *= 2) sum += swap_float(sum, mask);
        if (output > last || THREAD % PAIR_TEAM) continue;
        give_product(a, &m, r, output, sum);
    }
}

#endif

#endif
