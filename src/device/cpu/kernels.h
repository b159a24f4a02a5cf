// The CPU's kernels: plain C, compiled once for each instruction set; the portable build defines the bytes.
//
// Everything here works on a slice of rows, on one thread. Sums have a fixed shape (docs/arithmetic.md):
// - products: K is cut into 8 contiguous segments (unit u of n is in segment s when s * n / 8 <= u < (s + 1) * n / 8),
//   each summed with fmaf in ascending order from zero; the 8 sums are added as a fixed tree
//   ((0+1)+(2+3))+((4+5)+(6+7)). With quantized weights a step is a group of 32, or a run of 4 such where scales are
//   integers, and the integer dots inside are exact;
// - sums in norms: 16 strided lanes, the last ones padded with zeros, then halves folded onto each other: lanes i and
//   i + 8, then i + 4, i + 2, i + 1;
// - attention: a score is one fmaf sum over the head, or an exact integer with TYPE_Q8_0; spans of 512 positions have
//   each their maximum, their sum and their weighted values, and are combined in order.
#ifndef DEVICE_CPU_KERNELS_H
#define DEVICE_CPU_KERNELS_H

#include "device/device.h"
#include "device/host.h"

enum { SEGMENTS = 8, SEGMENTS_LOG = 3, LANES = 16, GROUP = 32, RUN = 4, SPAN = 512 };

// Rows of activations that one call of a product takes.
enum { BATCH_ROWS = 528 };

// 32 activations of a row as int8, x ~ d * q. Where the weights' scales are integers, the RUN groups of a run have one
// d. For both halves, or the whole in the first where the weights' type has one scale a group: what the integer sum
// begins with, minus the zero point of the weights times the sum of q; and, where the weights' scales are floats, d
// times the sum of q. Where they are integers, the first records of a run, as many as a group has scales, have its sums
// of q as digits of a number to the base 256, four high ones and four low ones, from -128 to 127.
struct act {
    int8_t q[GROUP];
    float d;
    int32_t start[2];
    union {
        float low[2];
        int8_t digits[2][4];
    };
} __attribute__((aligned(64)));

struct form; // of a type's tiles: tile.h

// The zero point of types whose codes are signed bytes.
enum { SIGNED = 128 };

// Rows are packed by the segments of K, all rows of a segment together, and in a segment in panels of `wide` rows, the
// last one of fewer: where row r's items [first, first + n) of a segment begin, and how far apart they are. Items are
// records or floats.
static inline size_t act_at(size_t wide, size_t rows, size_t r, size_t first, size_t n, size_t *stride) {
    size_t start = r / wide * wide;
    *stride = rows - start < wide ? rows - start : wide;
    return rows * first + start * n + (r - start);
}

// Where segment s of a row of n blocks starts.
static inline size_t segment_start(size_t blocks, size_t s) {
    return blocks / SEGMENTS * s + blocks % SEGMENTS * s / SEGMENTS;
}

// Segments [first, end) of a row.
struct segments {
    unsigned first, end;
};

// Queries of `rows` rows, all of one page table, and `heads` query heads, all of one key and value head; at most
// QUERIES in all.
struct queries {
    size_t row, rows, head, heads;
};

enum { QUERIES = 96 };

// Queries as codes: the scores' codes are multiplied by `by`, and their sums begin with `start`.
struct coded {
    int8_t code[QUERIES * KV_MOST_DIM]; // kv_room() of each query
    float by[QUERIES];
    int32_t start[QUERIES];
};

// What one thread needs for attention.
struct attend {
    float wide[KV_MOST_DIM * PAGE_TOKENS];                   // a page's keys or values
    uint8_t page[KV_MOST_DIM * PAGE_TOKENS * sizeof(float)]; // a page put together from others
    float score[QUERIES * SPAN];
    // For TYPE_Q8_0: the queries; the weights in two digits, what their sums begin with, and what they are multiples
    // of; the values' scales; a span's pages put together from others.
    struct coded query;
    int8_t digit[2][QUERIES * SPAN];
    int32_t start[2][QUERIES];
    float unit[QUERIES], scale[SPAN];
    uint8_t pages[SPAN * (KV_MOST_DIM + sizeof(float))];
} __attribute__((aligned(64)));

// The largest score, and the sum of e^(score - max).
struct softmax {
    float max, sum;
};

// The positions chosen for a row; NULL: it sees all.
static inline const int32_t *chosen_of(const struct attention *a, size_t row) {
    return a->chosen && a->at.row[row].position >= a->most ? a->chosen + row * a->most : NULL;
}

// Positions [first, end), or places in the list of those chosen, that a row sees.
struct sight {
    size_t first, end;
};

static inline struct sight sight_of(const struct attention *a, size_t row) {
    if (chosen_of(a, row)) return (struct sight){0, a->most};
    size_t own = a->at.row[row].position, ahead = a->at.row[row].ahead;
    if (!a->window) return (struct sight){0, own + ahead + 1};
    if (ahead >= a->window) ahead = a->window - 1;
    return (struct sight){own + 1 > a->window ? own + 1 - a->window : 0, own + ahead + 1};
}

// A part is that many sums, of which the first value_dim count, and a struct softmax; this is the number of floats in
// all.
static inline size_t part_cols(const struct attention *a) { return (a->kv.value_dim + 31) / 32 * 32; }
static inline size_t part_floats(const struct attention *a) { return part_cols(a) + 16; }

// Rows of one sequence, and the channels or the head of one task.
struct stretch {
    size_t row, rows, first, n;
};

// Channels that a task of conv or of RECUR_CHANNELS takes at most.
enum { CHANNELS = 64 };

struct run;

struct kernels {
    const char *isa;
    // Rows of a panel of floats; tiles that many rows of quantized or 16-bit weights are best multiplied by at once.
    size_t wide_rows, wide_tiles;
    // Rows from which weights are fetched ahead by instruction (docs/measurements.md).
    size_t fetched;
    // Segments of row r of a batch of `rows`, `cols` floats at x, rounded for quantized weights of a type, as
    // matmul_q() takes it.
    void (*round_q)(enum type type, const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch);
    // y[r * w->rows + o] for the outputs o of tiles [first, last) and at most BATCH_ROWS rows r.
    void (*matmul_q)(const struct weight *w, const void *x, size_t rows, size_t fetched, const float *bias, float *y,
                     size_t first, size_t last);
    // The same for F32 weights: floats padded with zeros to a multiple of 32.
    void (*pack)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch);
    void (*matmul_f)(const struct weight *w, const uint32_t *x, size_t rows, const float *bias, float *y, size_t first,
                     size_t last);
    // The same for F16 and BF16 (tile_w16.h); and a run of a tile's rows from the file's to `out`.
    void (*tile_w16)(const struct weight *w, size_t tile, const struct run *run, uint8_t *out);
    void (*round_w16)(const float *x, size_t cols, size_t rows, size_t r, struct segments s, void *batch);
    void (*matmul_w16)(const struct weight *w, void *x, size_t rows, const float *bias, float *y, size_t first,
                       size_t last);
    void (*norm)(enum norm_kind kind, const float *x, const float *w, const float *b, float eps, size_t dim, float *y);
    // One span of positions for a block of queries; for each a part: the weighted values, their softmax after them.
    void (*attend)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts);
    // The same for TYPE_Q8_0, after the block's queries were made codes, once for all spans.
    void (*code_queries)(const struct attention *a, const struct queries *q, struct attend *s);
    void (*attend_q8)(const struct attention *a, const struct queries *q, size_t span, struct attend *s, float *parts);
    // Joins a part to what the query has so far (all->sum is 0 at first), and closes a query after the last.
    void (*join)(const float *part, size_t cols, size_t dim, struct softmax *all, float *out);
    void (*close)(const struct softmax *all, const float *sink, size_t dim, float *out);
    // The indexer's scores of the positions of pages [first, last), for a row; scores[0] is that of the first.
    void (*score_pages)(const struct choice *a, size_t row, size_t first, size_t last, float *scores);
    // Channels `first` on, n of them; or head `first`.
    void (*conv)(const struct conv *a, struct stretch s);
    void (*recur_channels)(const struct recur *a, struct stretch s);
    void (*recur_head)(const struct recur *a, struct stretch s);
    void (*activate)(enum activation kind, float *x, size_t n);
    void (*gate)(enum activation kind, const float *gate, const float *up, size_t n, float *out);
    void (*gate_clamped)(float limit, float alpha, const float *gate, const float *up, size_t n, float *out);
    void (*sum_rows)(const struct sum_rows *a, size_t row);
    void (*halves)(const float *x, size_t n, uint16_t *out);
    void (*add)(float *x, const float *y, size_t n);
    void (*scale)(float *x, float by, size_t n);
    void (*clamp)(float *x, float most, size_t n);
    void (*cap)(float *x, float most, size_t n);
    host_exps *exps;
    host_peaks *peaks;
    struct host_gradients gradients;
    // Reads n bytes, a multiple of 128, as fast as it can; the sum keeps the compiler honest. For measuring only.
    uint64_t (*read)(const void *p, size_t n);
    // n steps of multiply-adds that touch no memory; returns how many operations that were. For measuring only.
    double (*roof_int8)(size_t n), (*roof_fp32)(size_t n);
};

extern const struct kernels kernels_scalar, kernels_avx2, kernels_avx512, kernels_amx, kernels_neon;

#endif
