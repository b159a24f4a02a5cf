// What blocks have in common that have one query head of a row, or four that share a key head, and one span.
#ifndef DEVICE_GPU_KERNELS_ATTEND_HEADS_H
#define DEVICE_GPU_KERNELS_ATTEND_HEADS_H

#include "attend.h"

enum {
    FEW_DIM = 256, // of keys and values, at most
    FEW_HEADS = 4,
    SUM_THREADS = FEW_HEADS * LANES
};

// Weights of positions, [position][head], their largest score and their sums.
struct weighed {
    float weight[FEW_HEADS * SPAN];
    float max[FEW_HEADS * (THREADS / 32)], sum[FEW_HEADS];
};

// The block's heads, its row, and what it sees of the span.
struct few {
    const struct attend_args *a;
    unsigned row, head, heads, start; // heads: fewer than the kernel has room for where a key head has no more
    unsigned kv_head, tile, tiles;    // the block's among those of its key head
    struct seen seen;
};

FN struct few few_of(const struct attend_args *a, unsigned room) {
    unsigned group = a->heads / a->kv.heads, tiles = (group + room - 1) / room;
    unsigned kv_head = BLOCK_Y / tiles, tile = BLOCK_Y - kv_head * tiles, first = tile * room;
    struct few f = {a,
                    BLOCK_Z,
                    kv_head * group + first,
                    group - first < room ? group - first : room,
                    BLOCK_X * SPAN,
                    kv_head,
                    tile,
                    tiles,
                    {0, 0}};
    f.seen = seen_by(a, a->row + f.row, f.start);
    return f;
}

// Whether any of the warp's positions is seen, of which a thread has two.
FN bool warp_sees(const struct few *f) {
    unsigned t = THREAD / WARP * WARP * 2;
    return t < f->seen.last && t + 2 * WARP > f->seen.first;
}

// The largest score of each head, and in place of the scores e^(score - max); 0 where nothing is seen.
FN void weigh_scores(const struct few *f, unsigned heads, struct weighed *room, float *score, float *max) {
    unsigned t = 2 * THREAD;
    bool sees = warp_sees(f);
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        float x = -INFINITY;
        if (sees) {
            x = score[h] > x ? score[h] : x;
            x = score[FEW_HEADS + h] > x ? score[FEW_HEADS + h] : x;
            UNROLL
            for (unsigned mask = 1; mask < 32; mask *= 2) {
                float other = swap_float(x, mask);
                x = other > x ? other : x;
            }
        }
        if (THREAD % 32 == 0) room->max[h * (THREADS / 32) + THREAD / 32] = x;
    }
    barrier();
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        float x = -INFINITY;
        UNROLL
        for (unsigned i = 0; i < THREADS / 32; i++) {
            float other = room->max[h * (THREADS / 32) + i];
            x = other > x ? other : x;
        }
        max[h] = x;
        UNROLL
        for (unsigned i = 0; i < 2; i++) {
            bool seen = t + i >= f->seen.first && t + i < f->seen.last;
            room->weight[(t + i) * heads + h] = sees ? either(seen, exp_f(score[i * FEW_HEADS + h] - x), 0) : 0;
        }
    }
}

// The weights' sums in lanes, by the block's last threads.
FN void sum_weights(unsigned heads, struct weighed *room) {
    if (THREAD < THREADS - SUM_THREADS) return;
    unsigned lane = (THREAD - (THREADS - SUM_THREADS)) % LANES, h = (THREAD - (THREADS - SUM_THREADS)) / LANES;
    float w[SPAN / LANES], sum = 0;
    UNROLL
    for (unsigned k = 0; k < SPAN / LANES; k++) w[k] = h < heads ? room->weight[(k * LANES + lane) * heads + h] : 0;
    UNROLL
    for (unsigned k = 0; k < SPAN / LANES; k++) sum += w[k];
    sum = fold_lanes(sum);
    if (lane == 0 && h < heads) room->sum[h] = sum;
}

// Where nothing is seen, that is all there is to say.
FN void put_nothing(const struct few *f) {
    if (THREAD < f->heads && f->a->spans > 1)
        part_of(f->a, f->row, f->head + THREAD, BLOCK_X)[f->a->kv.value_dim + PART_SUM] = 0;
}

// Whether a product will want what the block puts.
FN bool is_rounded(const struct few *f) { return f->a->spans == 1 && f->a->round.codes; }

// A thread's four outputs, and where their codes go.
FN unsigned four_of_block(const struct few *f) { return f->head * f->a->kv.value_dim / 4 + THREAD; }
FN unsigned place_of_outputs(const struct few *f) {
    return is_rounded(f) ? place_of_codes(&f->a->round, four_of_block(f)) : 0;
}

// Element i of what head h of the block gets, which stays in the block's memory too, at `out_there`.
FN void put_output(const struct few *f, unsigned h, unsigned i, float max, float sum, float out, float *out_there) {
    const struct attend_args *a = f->a;
    unsigned dim = a->kv.value_dim;
    if (a->spans == 1) {
        out *= share_of(a, f->head + h, max, sum);
        a->out[((size_t)f->row * a->heads + f->head + h) * dim + i] = out;
        out_there[h * dim + i] = out;
        return;
    }
    float *part = part_of(a, f->row, f->head + h, BLOCK_X);
    part[i] = out;
    if (i) return;
    part[dim + PART_MAX] = max;
    part[dim + PART_SUM] = sum;
}

// What the block put, as a product will want it.
FN void round_outputs(const struct few *f, unsigned place, const float *out_there) {
    if (!is_rounded(f)) return;
    barrier();
    bool mine = 4 * THREAD < f->heads * f->a->kv.value_dim;
    float v[4];
    for (unsigned k = 0; k < 4; k++) v[k] = mine ? out_there[4 * THREAD + k] : 0;
    round_four_at(&f->a->round, f->row, mine ? four_of_block(f) : f->a->round.cols, place, v);
}

#endif
