// Attention of training, beside its sums (sums.cu): scores of a row, which is a block's, become weights, and gradients
// of weights those of scores. Each number is made as train/attention.c makes it; what is summed along a row is one
// thread's, in order.
#include "chip.h"

#include "args.h"
#include "rows.h"

// Of a row, so many at a time are in the block's memory. Behind what a row sees lie zeros, as far as tiles of sums may
// read.
enum { AT_ONCE = 2048, ZEROS = CAUSAL_BLOCK + 128 };

// As host_exps() has it: a NaN weighs nothing.
FN float weight_of(float x, float from) { return x == from ? 1.0f : x >= -INFINITY ? exp_f(x - from) : 0.0f; }

struct row_of_scores {
    float *x;
    size_t at;          // of [rows][heads]
    unsigned seen, end; // end: of the zeros
};

FN struct row_of_scores row_of_scores(const struct weigh_args *a, float *all) {
    struct row_of_scores r;
    unsigned t = BLOCK_X, last = t + 1 + ZEROS;
    r.x = all + ((size_t)BLOCK_Y * a->rows + t) * a->rows;
    r.at = (size_t)t * a->heads + a->first + BLOCK_Y;
    r.seen = t + 1;
    r.end = last < a->rows ? last : a->rows;
    return r;
}

struct weigh_room {
    float some[AT_ONCE], peak[THREADS / 32];
};

KERNEL(weigh_rows, weigh_args) {
    SHARED(struct weigh_room, room);
    struct row_of_scores r = row_of_scores(&a, a.score);
    float most = -INFINITY, sum = 0;
    for (unsigned i = THREAD; i < r.seen; i += THREADS) {
        float x = r.x[i] * a.scale;
        r.x[i] = x;
        most = x > most ? x : most;
    }
    most = max_of_block(most, room->peak);
    for (unsigned first = 0; first < r.seen; first += AT_ONCE) {
        unsigned n = r.seen - first < AT_ONCE ? r.seen - first : AT_ONCE;
        for (unsigned i = THREAD; i < n; i += THREADS) {
            float w = weight_of(r.x[first + i], most);
            room->some[i] = w;
            r.x[first + i] = w;
        }
        barrier();
        if (THREAD == 0)
            for (unsigned i = 0; i < n; i++) sum += room->some[i];
        barrier();
    }
    for (unsigned i = r.seen + THREAD; i < r.end; i += THREADS) r.x[i] = 0;
    if (THREAD) return;
    a.sum[r.at] = sum;
    a.saved[r.at] = most + log_f(sum);
}

// What is not seen of the row's block has a weight of 0, and its gradient that of one.
KERNEL(slope_rows, weigh_args) {
    SHARED(float, all);
    struct row_of_scores r = row_of_scores(&a, a.score), d = row_of_scores(&a, a.slope);
    unsigned end = (BLOCK_X / CAUSAL_BLOCK + 1) * CAUSAL_BLOCK;
    float from = a.saved[r.at];
    if (THREAD == 0) {
        float sum = 0;
        for (unsigned i = 0; i < a.dim; i++) sum += a.dy[r.at * a.dim + i] * a.y[r.at * a.dim + i];
        *all = sum;
    }
    barrier();
    for (unsigned i = THREAD; i < r.end; i += THREADS) {
        float p = i < r.seen ? weight_of(r.x[i] * a.scale, from) : 0;
        r.x[i] = p;
        d.x[i] = i < end ? p * (d.x[i] - *all) * a.scale : 0;
    }
}

// BLOCK_X is the row.
KERNEL(divide_rows, divide_args) {
    float by = a.sum[BLOCK_X];
    for (unsigned i = THREAD; i < a.dim; i += THREADS) a.y[(size_t)BLOCK_X * a.dim + i] /= by;
}

// BLOCK_X is the row, BLOCK_Y the head of keys and values.
KERNEL(join_heads, join_heads_args) {
    size_t part = (size_t)a.rows * a.dim;
    const float *x = a.x + BLOCK_Y * a.share * part + (size_t)BLOCK_X * a.dim;
    float *y = a.y + ((size_t)BLOCK_X * a.kv_heads + BLOCK_Y) * a.dim;
    for (unsigned i = THREAD; i < a.dim; i += THREADS) {
        float sum = 0;
        for (unsigned h = 0; h < a.share; h++) sum += x[h * part + i];
        y[i] = sum;
    }
}
