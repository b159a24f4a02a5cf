// What blocks have in common that have one query head of a row, or four that share a key head, and one span.
#ifndef DEVICE_GPU_KERNELS_ATTEND_HEADS_H
#define DEVICE_GPU_KERNELS_ATTEND_HEADS_H

#include "attend.h"

enum {
    FEW_DIM = 256, // of keys and values, at most
    FEW_HEADS = 4,
    SUM_THREADS = FEW_HEADS * LANES
};

// Weights of positions, their largest score and their sums.
struct weighed {
    float weight[FEW_HEADS * SPAN];
    float max[FEW_HEADS * (THREADS / 32)], sum[FEW_HEADS];
};

// The block's heads, its row, and what it sees of the span.
struct few {
    const struct attend_args *a;
    unsigned row, head, heads, start; // heads: fewer than the kernel has room for where a key head has no more
    struct seen seen;
};

FN struct few few_of(const struct attend_args *a, unsigned room) {
    unsigned group = a->heads / a->kv.heads, tiles = (group + room - 1) / room;
    unsigned kv_head = BLOCK_Y / tiles, first = BLOCK_Y % tiles * room;
    struct few f = {
        a, BLOCK_Z, kv_head * group + first, group - first < room ? group - first : room, BLOCK_X * SPAN, {0, 0}};
    f.seen = seen_by(a, a->row + f.row, f.start);
    return f;
}

// The largest score of each head, and in place of the scores e^(score - max); 0 where nothing is seen.
FN void weigh_scores(const struct few *f, unsigned heads, struct weighed *room, float *score, float *max) {
    unsigned t = 2 * THREAD;
    UNROLL
    for (unsigned h = 0; h < heads; h++) {
        float x = -INFINITY;
        x = score[h] > x ? score[h] : x;
        x = score[FEW_HEADS + h] > x ? score[FEW_HEADS + h] : x;
        for (unsigned mask = 1; mask < 32; mask *= 2) {
            float other = swap_float(x, mask);
            x = other > x ? other : x;
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
            room->weight[h * SPAN + t + i] = either(seen, exp_f(score[i * FEW_HEADS + h] - x), 0);
        }
    }
}

// The weights' sums in lanes, by the block's last threads.
FN void sum_weights(unsigned heads, struct weighed *room) {
    if (THREAD < THREADS - SUM_THREADS) return;
    unsigned lane = (THREAD - (THREADS - SUM_THREADS)) % LANES, h = (THREAD - (THREADS - SUM_THREADS)) / LANES;
    float w[SPAN / LANES], sum = 0;
    UNROLL
    for (unsigned k = 0; k < SPAN / LANES; k++) w[k] = h < heads ? room->weight[h * SPAN + k * LANES + lane] : 0;
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

// What the block put, as a product will want it.
FN void round_outputs(const struct few *f) {
    const struct attend_args *a = f->a;
    unsigned dim = a->kv.value_dim;
    if (a->spans > 1 || !a->round.codes) return;
    barrier();
    round_share(&a->round, f->row, f->head * dim, (f->head + f->heads) * dim, a->out + (size_t)f->row * a->heads * dim);
}

// Element i of what head h of the block gets.
FN void put_output(const struct few *f, unsigned h, unsigned i, float max, float sum, float out) {
    const struct attend_args *a = f->a;
    unsigned dim = a->kv.value_dim;
    if (a->spans == 1) {
        a->out[((size_t)f->row * a->heads + f->head + h) * dim + i] = out * share_of(a, f->head + h, max, sum);
        return;
    }
    float *part = part_of(a, f->row, f->head + h, BLOCK_X);
    part[i] = out;
    if (i) return;
    part[dim + PART_MAX] = max;
    part[dim + PART_SUM] = sum;
}

#endif
