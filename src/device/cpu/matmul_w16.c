// Products with F16 and BF16 weights: integers of 16 bits in two planes of bytes (tile_w16.h), a tile's sixteen rows in
// the lanes of a vector. The sum over a run is 256 * (high * high) + (high * low + low * high), exact; one float
// operation adds it.
#include "device/cpu/isa.h"
#include "device/cpu/job_w16.h"

// How far ahead of what is multiplied memory is asked for weights, and from how many rows on: with fewer, what it sends
// unasked is sooner there, as long as weights are read in one line.
enum { AHEAD = 4 << 10, ASKED = FETCHED > 1 ? 5 : 1 };

INLINE void ask(const uint8_t *w, int rows) {
    if (rows >= ASKED) __builtin_prefetch(w + AHEAD, 0, 2);
}

// A few rows: each weight is loaded once, as it comes from memory.
INLINE void few(const struct job *j, int rows, struct sums *sums, size_t at, struct part p) {
    w32 sum[FEW_ROWS], cross[FEW_ROWS];
    UNROLL(8)
    for (int r = 0; r < rows; r++) sum[r] = cross[r] = w32_zero();
    const uint8_t *w = j->w + W16_HEAD, *x = j->x;
    for (size_t g = 0; g < j->n; g++, w += 2 * W16_PLANE, x += W16_ROW) {
        UNROLL(4)
        for (int k = 0; k < W16_WORDS; k++) {
            w8 high = w8_signed(w8_load(w + k * VECTOR));
            ask(w + k * VECTOR, rows);
            UNROLL(8)
            for (int r = 0; r < rows; r++) {
                const uint8_t *from = x + (size_t)r * j->stride + 4 * k;
                sum[r] = w32_dot_signed(sum[r], high, w32_fill(from));
                cross[r] = w32_dot_low(cross[r], high, w32_fill(from + W16_GROUP));
            }
        }
        UNROLL(4)
        for (int k = 0; k < W16_WORDS; k++) {
            w8 low = w8_signed(w8_load(w + k * VECTOR + W16_PLANE));
            ask(w + k * VECTOR + W16_PLANE, rows);
            UNROLL(8)
            for (int r = 0; r < rows; r++)
                cross[r] = w32_dot_signed(cross[r], low, w32_fill(x + (size_t)r * j->stride + 4 * k));
        }
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) {
        size_t i = SUM(at + (size_t)r, 0);
        w32 all = w32_add(w32_shift8(sum[r]), cross[r]);
        sum_end(sums, i, p, scaled(j, 0, (size_t)r, all, sum_begin(sums, i, p)));
    }
}

typedef void job_fn(const struct job *j, struct sums *sums, size_t at, struct part p);

#define JOB(rows, name)                                                                                                \
    static void name##_##rows(const struct job *j, struct sums *sums, size_t at, struct part p) {                      \
        name(j, rows, sums, at, p);                                                                                    \
    }
EACH_FEW(JOB, few)
static job_fn *const few_rows[FEW_ROWS + 1] = {NULL, EACH_FEW(ROWS_NAME, few)};

#ifdef AMX_HERE
#include "device/cpu/panel_w16_amx.h"
#else
enum { MANY_ROWS16 = WIDE_ROWS, PAIRS = 1, BLOCK_ROWS = BATCH_ROWS };

// Many rows: first the high planes alone, so that one integer sum for each row and tile is enough.
INLINE void many(const struct job *j, int rows, struct sums *sums, size_t at, struct part p) {
    w32 sum[WIDE_ROWS][WIDE_TILES];
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) sum[r][t] = w32_zero();
    const uint8_t *w = j->w + W16_HEAD, *x = j->x;
    for (size_t g = 0; g < j->n; g++, w += 2 * W16_PLANE, x += W16_ROW) UNROLL(2)
    for (int k = 0; k < W16_WORDS; k++) {
        w8 high[WIDE_TILES];
        UNROLL(2)
        for (int t = 0; t < WIDE_TILES; t++) {
            const uint8_t *v = w + (size_t)t * j->next + k * VECTOR;
            high[t] = w8_signed(w8_load(v));
            __builtin_prefetch(v + j->ahead, 0, 2);
        }
        UNROLL(8)
        for (int r = 0; r < rows; r++) {
            w32 a = w32_fill(x + (size_t)r * j->stride + 4 * k);
            UNROLL(2)
            for (int t = 0; t < WIDE_TILES; t++) sum[r][t] = w32_dot_signed(sum[r][t], high[t], a);
        }
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) sum[r][t] = w32_shift8(sum[r][t]);
    w = j->w + W16_HEAD, x = j->x;
    for (size_t g = 0; g < j->n; g++, w += 2 * W16_PLANE, x += W16_ROW) UNROLL(1)
    for (int k = 0; k < W16_WORDS; k++) {
        w8 high[WIDE_TILES], low[WIDE_TILES];
        UNROLL(2)
        for (int t = 0; t < WIDE_TILES; t++) {
            const uint8_t *v = w + (size_t)t * j->next + k * VECTOR;
            high[t] = w8_signed(w8_load(v));
            low[t] = w8_signed(w8_load(v + W16_PLANE));
            __builtin_prefetch(v + W16_PLANE + j->ahead, 0, 2);
        }
        UNROLL(8)
        for (int r = 0; r < rows; r++) {
            const uint8_t *from = x + (size_t)r * j->stride + 4 * k;
            w32 a = w32_fill(from + W16_GROUP), b = w32_fill(from);
            UNROLL(2)
            for (int t = 0; t < WIDE_TILES; t++) sum[r][t] = w32_dot_low(sum[r][t], high[t], a);
            UNROLL(2)
            for (int t = 0; t < WIDE_TILES; t++) sum[r][t] = w32_dot_signed(sum[r][t], low[t], b);
        }
    }
    UNROLL(8)
    for (int r = 0; r < rows; r++) UNROLL(2)
    for (int t = 0; t < WIDE_TILES; t++) {
        size_t i = SUM(at + (size_t)r, t);
        sum_end(sums, i, p, scaled(j, (size_t)t, (size_t)r, sum[r][t], sum_begin(sums, i, p)));
    }
}

EACH_ROWS(JOB, many)
static job_fn *const many_rows[WIDE_ROWS + 1] = {NULL, EACH_ROWS(ROWS_NAME, many)};

static void many_panel(const struct job *j, size_t rows, struct sums *sums, size_t at, struct part p) {
    many_rows[rows](j, sums, at, p);
}

static void amx_begin(size_t rows) {}
static void amx_end(void) {}
#endif

// One call's work: what the parts below share.
struct call {
    const struct weight *w;
    void *x;
    size_t rows, groups, tile_bytes, shape; // shape: rows that AMX's tiles were set up for, 0: none
    uint8_t *room;                          // for runs made from the file's rows
};

static const uint8_t *run_of(const struct call *c, size_t tile, const struct run *run, uint8_t *room) {
    if (c->w->own) return (const uint8_t *)c->w->own + tile * c->tile_bytes + w16_at(run);
    KERNEL(tile_w16)(c->w, tile, run, room);
    return room;
}

// A run of up to two tiles by rows [first, end).
static void do_run(struct call *c, size_t tile, size_t tiles, const struct run *run, size_t first, size_t end,
                   struct sums *sums) {
    const uint8_t *w[2] = {run_of(c, tile, run, c->room)};
    w[1] = tiles > 1 ? run_of(c, tile + 1, run, c->room + W16_RUN_BYTES) : w[0];
    struct job j = {w[0], NULL, (size_t)(w[1] - w[0]), run->n * W16_ROW, run->n, 0, NULL};
    struct part p = {run->segment, run->begins, run->ends};
    size_t wide = c->rows <= FEW_ROWS ? FEW_ROWS : MANY_ROWS16;
    for (size_t r = first; r < end; r += wide) {
        size_t n = panel(end, r, wide);
        j.x = w16_planes(c->x, c->rows, run, r);
        j.unit = w16_units(c->x, c->w->cols, c->rows, run, r);
        if (c->rows <= FEW_ROWS)
            few_rows[n](&j, sums, r - first, p);
        else {
            j.ahead = c->w->own && r == first ? w16_run_bytes(run) : 0;
            if (n != c->shape) amx_begin(c->shape = n);
            many_panel(&j, n, sums, r - first, p);
        }
    }
}

// With many rows a run's activations serve up to PAIRS pairs of tiles before the next run's are taken: they come from
// farther away than the second cache. That has to hold the sums too, so BLOCK_ROWS rows are multiplied at a time.
void KERNEL(matmul_w16)(const struct weight *w, void *x, size_t rows, const float *bias, float *y, size_t first,
                        size_t last) {
    struct sums sums[PAIRS];
    uint8_t room[2 * W16_RUN_BYTES];
    struct call c = {w, x, rows, w16_groups(w->cols), w16_tile_bytes(w->cols), 0, room};
    size_t step = rows <= FEW_ROWS ? 1 : WIDE_TILES, block = rows <= FEW_ROWS ? 1 : PAIRS * WIDE_TILES;
    for (size_t t = first; t < last; t += block)
        for (size_t r = 0; r < rows; r += BLOCK_ROWS) {
            size_t end = t + panel(last, t, block), n = panel(rows, r, BLOCK_ROWS);
            for (struct run run = w16_begin(); w16_next(c.groups, &run);)
                for (size_t i = t; i < end; i += step)
                    do_run(&c, i, panel(end, i, step), &run, r, r + n, &sums[(i - t) / WIDE_TILES]);
            for (size_t i = t; i < end; i += step)
                sums_put(&sums[(i - t) / WIDE_TILES], n, w, i, panel(end, i, step), bias, y + r * w->rows);
        }
    if (c.shape) amx_end();
}
