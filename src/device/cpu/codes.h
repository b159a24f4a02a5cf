// Scores of queries and keys that are codes: exact integers, then two products.
#ifndef DEVICE_CPU_CODES_H
#define DEVICE_CPU_CODES_H

#include "device/cpu/kernels.h"
#include "device/cpu/wide.h"

// Queries and vectors of sixteen tokens that fit the registers together.
#if defined(__AVX512VNNI__)
enum { SCORE_ROWS = 8, SCORE_COLS = 2 };
#elif defined(__AVX2__)
enum { SCORE_ROWS = 4, SCORE_COLS = 1 };
#elif defined(__ARM_FEATURE_DOTPROD)
enum { SCORE_ROWS = 6, SCORE_COLS = 1 };
#else
enum { SCORE_ROWS = 1, SCORE_COLS = 1 };
#endif
#define EACH_SCORE_ROWS(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)

enum { FOURS = KV_FOUR * PAGE_TOKENS, TOKENS = 16 }; // bytes of four dimensions of a page's keys; tokens of a vector

// Query i of a block; its scores will be multiplied by its scale times `by`.
static inline void code_query(const float *q, size_t dim, float by, size_t i, struct coded *out) {
    float x[KV_MOST_DIM];
    size_t room = kv_room(TYPE_Q8_0, dim);
    int8_t *code = out->code + i * room;
    memcpy(x, q, dim * sizeof *x);
    spread(x, dim);
    out->by[i] = kv_round(x, dim, code) * by;
    int32_t sum = 0;
    for (size_t k = 0; k < dim; k++) sum += code[k];
    for (size_t k = dim; k < room; k++) code[k] = 0;
    out->start[i] = -WIDE_SIGNED_ZERO * sum;
}

// One page's keys: of `rows` queries from i on, the scores of its tokens go to out, SPAN apart. What lies `ahead` bytes
// on is fetched meanwhile.
INLINE void score_rows(const uint8_t *keys, size_t room, size_t ahead, const struct coded *q, size_t i, int rows,
                       float *out) {
    const uint8_t *scale = keys + room * PAGE_TOKENS;
    for (int col = 0; col < PAGE_TOKENS / TOKENS; col += SCORE_COLS) {
        w32 acc[SCORE_ROWS][SCORE_COLS];
        UNROLL(8)
        for (int r = 0; r < rows; r++) UNROLL(2)
        for (int c = 0; c < SCORE_COLS; c++) acc[r][c] = w32_fill(&q->start[i + (size_t)r]);
        const uint8_t *k = keys + col * TOKENS * KV_FOUR;
        for (size_t d = 0; d < room; d += KV_FOUR, k += FOURS) {
            w8 key[SCORE_COLS];
            UNROLL(2)
            for (int c = 0; c < SCORE_COLS; c++) {
                if (ahead) __builtin_prefetch(k + ahead + c * TOKENS * KV_FOUR, 0, 2);
                key[c] = w8_codes(w8_load(k + c * TOKENS * KV_FOUR));
            }
            UNROLL(8)
            for (int r = 0; r < rows; r++) {
                w32 a = w32_fill(q->code + (i + (size_t)r) * room + d);
                UNROLL(2)
                for (int c = 0; c < SCORE_COLS; c++) acc[r][c] = w32_dot_low(acc[r][c], key[c], a);
            }
        }
        UNROLL(8)
        for (int r = 0; r < rows; r++) {
            wf by = wf_fill(q->by[i + (size_t)r]);
            UNROLL(2)
            for (int c = 0; c < SCORE_COLS; c++) {
                int token = (col + c) * TOKENS;
                wf x = wf_mul(wf_of(acc[r][c]), wf_load(scale + 4 * token));
                wf_store(out + r * SPAN + token, wf_mul(x, by));
            }
        }
    }
}

static inline void score_codes(const uint8_t *keys, size_t room, size_t ahead, const struct coded *q, size_t i,
                               size_t rows, float *out) {
#define SCORE_CASE(n)                                                                                                  \
    case n:                                                                                                            \
        if (n <= SCORE_ROWS) score_rows(keys, room, ahead, q, i, n <= SCORE_ROWS ? n : 1, out);                        \
        return;
    switch (rows) { EACH_SCORE_ROWS(SCORE_CASE) }
#undef SCORE_CASE
}

#endif
