// The CPU's kernels: plain C, compiled once for each instruction set; the portable build defines the bytes.
//
// Everything here works on a slice of rows, on one thread. Sums have a fixed shape (docs/arithmetic.md):
// - quantized matmul: activations rounded to int8 blocks of 32; the dot of a block is an exact int32; blocks are
//   accumulated with fmaf in ascending order within each of 8 contiguous segments of K (block b of n is in segment s
//   when s * n / 8 <= b < (s + 1) * n / 8); the 8 sums are added as a fixed tree ((0+1)+(2+3))+((4+5)+(6+7));
// - float dots, and sums in norms: 16 strided lanes of fmaf, the last ones padded with zeros, then halves folded onto
//   each other: lanes i and i + 8, then i + 4, i + 2, i + 1;
// - attention: a score is one fmaf sum over the head; spans of 512 positions have each their maximum, their sum and
//   their weighted values, and are combined in order.
#ifndef DEVICE_CPU_KERNELS_H
#define DEVICE_CPU_KERNELS_H

#include "device/device.h"

enum { SEGMENTS = 8, LANES = 16, GROUP = 32, SPAN = 512 };

// Activations as int8, x ~ d * q, in the order the product wants them: step j holds block j of each segment, side by
// side, so that a vector lane is a segment. A segment that has no block j holds zeros there (which change no sum).
struct qact {
    float d[SEGMENTS];
    int32_t sum[2][SEGMENTS]; // of q, over each half of the block
    int8_t q[GROUP / 4][SEGMENTS][4];
};

// Steps of a row of n blocks, and where segment s starts.
static inline size_t act_steps(size_t blocks) { return (blocks + SEGMENTS - 1) / SEGMENTS; }
static inline size_t segment_start(size_t blocks, size_t s) {
    return blocks / SEGMENTS * s + blocks % SEGMENTS * s / SEGMENTS;
}

// Queries of `rows` rows, all of one page table, and `heads` query heads, all of one key and value head; at most
// QUERIES in all.
struct queries {
    size_t row, rows, head, heads;
};

enum { QUERIES = 96 };

// What one thread needs for attention.
struct attend {
    float wide[KV_MOST_DIM * PAGE_TOKENS]; // a page's keys or values
    float scale[KV_MOST_DIM];              // and its scales
    float score[QUERIES * SPAN];
};

// The largest score, and the sum of e^(score - max).
struct softmax {
    float max, sum;
};

// A part is that many sums, of which the first value_dim count, and a struct softmax; so many floats in all.
static inline size_t part_cols(const struct attention *a) { return (a->kv.value_dim + 31) / 32 * 32; }
static inline size_t part_floats(const struct attention *a) { return part_cols(a) + 16; }

struct kernels {
    const char *isa;
    // n is a multiple of 32; `out` has act_steps(n / 32). d = max|x| / 127; q = x / d rounded to nearest, ties to even.
    void (*quantize)(const float *x, size_t n, struct qact *out);
    // y[r * ldy + o] for output rows o in [first, last) and activation rows r in [0, rows).
    void (*matmul_q)(const struct weight *w, const struct qact *x, size_t rows, const float *bias, float *y, size_t ldy,
                     size_t first, size_t last);
    void (*matmul_f)(const struct weight *w, const float *x, size_t rows, const float *bias, float *y, size_t ldy,
                     size_t first, size_t last);
    void (*norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, float *y);
    // One span of positions for a block of queries; for each a part: the weighted values, their softmax after them.
    void (*attend)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts);
    // Joins a part to what the query has so far (all->sum is 0 at first), and closes a query after the last.
    void (*join)(const float *part, size_t cols, size_t dim, struct softmax *all, float *out);
    void (*close)(const struct softmax *all, const float *sink, size_t dim, float *out);
    void (*activate)(enum activation kind, float *x, size_t n);
    void (*add)(float *x, const float *y, size_t n);
    // Reads n bytes, a multiple of 128, as fast as it can; the sum keeps the compiler honest. For measuring only.
    uint64_t (*read)(const void *p, size_t n);
};

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512;

#endif
